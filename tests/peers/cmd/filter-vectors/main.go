// Command filter-vectors prints what containerd's filters answer, as the golden vectors tests/data/filters.json.
//
//	go run ./cmd/filter-vectors > ../data/filters.json
//
// Strings that are not UTF-8 are written as {"hex": "…"}. The output depends on nothing but containerd's version.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/filters"
	containerdlog "github.com/containerd/log"
	"github.com/opencontainers/go-digest"
)

// text is a string of any bytes.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(string(t))
		return bytes.TrimSpace(out.Bytes()), err
	}
	return json.Marshal(map[string]string{"hex": hex.EncodeToString([]byte(t))})
}

type blob struct {
	Digest text          `json:"digest"`
	Labels map[text]text `json:"labels"`
}

type vector struct {
	Filters []text `json:"filters"`
	Error   *text  `json:"error,omitempty"`   // the filters are refused
	Blobs   []int  `json:"blobs,omitempty"`   // indexes of those that match
	Ingests []int  `json:"ingests,omitempty"` // likewise
}

const sha = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var blobs = []blob{
	{sha, nil},
	{"sha256:" + text(strings.Repeat("ab", 32)), map[text]text{"foo": "true"}},
	{"sha512:" + text(strings.Repeat("0f", 64)), map[text]text{"foo": "present", "more complex label": "present"}},
	{"sha256:" + text(strings.Repeat("01", 32)), map[text]text{"bar": "true", "foo": ""}},
	{"sha256:" + text(strings.Repeat("02", 32)), map[text]text{`quoted \ and "`: "x", `quoted \ and ".post`: "y"}},
	{"sha256:" + text(strings.Repeat("03", 32)), map[text]text{"other": "too complex, yo", "": "nameless"}},
	{"sha256:" + text(strings.Repeat("04", 32)), map[text]text{"foo": "omg_asdf.asdf-qwer", "a.b.c": "1", "a.b": "2", "a": "3"}},
	{"sha256:" + text(strings.Repeat("05", 32)), map[text]text{
		"containerd.io/uncompressed":             sha,
		"containerd.io/distribution.source.ghcr": "library/busybox,library/alpine",
		"containerd.io/gc.root":                  "2024-01-01T00:00:00Z",
		"containerd.io/gc.ref.content.0":         "sha256:" + text(strings.Repeat("ab", 32))}},
	{"sha256:" + text(strings.Repeat("06", 32)), map[text]text{"moo": "牛", "foo": "größe", "tab": "a\tb", "line": "a\nb"}},
	{"sha256:" + text(strings.Repeat("07", 32)), map[text]text{"foo": "/slash|pipe/", "bar": "FOO", "byte": "\x80"}},
}

var refs = []text{"ref-1", "layer-" + sha, "foo", "", "a,b", "manifest-sha256:ffff", "größe 牛"}

func adaptBlob(b blob) filters.Adaptor {
	info := content.Info{Digest: digest.Digest(b.Digest), Size: 42, Labels: map[string]string{}}
	for key, value := range b.Labels {
		info.Labels[string(key)] = string(value)
	}
	return content.AdaptInfo(info)
}

// adaptRef does what the stores of containerd do for a content.Status.
func adaptRef(ref text) filters.Adaptor {
	return filters.AdapterFunc(func(path []string) (string, bool) {
		if path[0] == "ref" {
			return string(ref), true
		}
		return "", false
	})
}

func evaluate(list []string) vector {
	v := vector{Filters: []text{}}
	for _, f := range list {
		v.Filters = append(v.Filters, text(f))
	}
	filter, err := filters.ParseAll(list...)
	if err != nil {
		message := text(strings.TrimSuffix(err.Error(), ": invalid argument"))
		v.Error = &message
		return v
	}
	for i, b := range blobs {
		if filter.Match(adaptBlob(b)) {
			v.Blobs = append(v.Blobs, i)
		}
	}
	for i, ref := range refs {
		if filter.Match(adaptRef(ref)) {
			v.Ingests = append(v.Ingests, i)
		}
	}
	return v
}

// random writes filters from the pieces of the language, every other one with a mistake in it.
func random(r *rand.Rand) string {
	pick := func(from ...string) string { return from[r.Intn(len(from))] }
	mistakes := r.Intn(2) == 0
	or := func(good string, wrong ...string) string {
		if mistakes && r.Intn(6) == 0 {
			return pick(wrong...)
		}
		return good
	}
	key := func() string {
		return or(pick("foo", "foo", "bar", "a", "a.b", "a.b.c", `a."b.c"`, "moo", `"foo"`, `"more complex label"`,
			`"containerd.io/gc.root"`, `"a.b"`, `"\x66oo"`, "other"), "/foo/", "ü", "", "a. b", "a .b", "x_1", `""`)
	}
	value := func(op string) string {
		if op == "~=" && r.Intn(4) > 0 {
			return or(pick("/tr.e/", "|tr.e|", "/^$/", `/\\./`, `|\\/|`, `/\//`, "^.*$", "[a-c]+", "(?i)foo", "^sha256:.*[2-4]$", "e$",
				"^[0-9]", `"\\pL"`, "|[ps]|", `"^.{4}$"`, "(true|1)", "^(|1)$", `\w`, `"-"`), "(", "+", "[z-a]", "/x", `/\d/`, "|||", "")
		}
		return or(pick("true", "present", "1", "2", "3", "x", "y", `""`, `"true"`, `"too complex, yo"`, `"\u725b"`, "牛", "größe",
			" true", "omg_asdf.asdf-qwer", "sha256:", sha, `"\164rue"`, "$x", "€"),
			`"\400"`, `"\q"`, `"open`, "", "true ", "a b", "\x7f", "\u00ad", "/true/", "|x|", ".x")
	}
	selector := func() string {
		path := or(pick("digest", "ref", "size", `"labels".foo`, "labels", "name"), "", "'x'", "labels.")
		if r.Intn(4) > 0 {
			path = or("labels.", "labels", "labels ", ".labels.", "labels..", " labels. ") + key()
		}
		if r.Intn(5) == 0 {
			return path
		}
		op := pick("==", "!=", "~=")
		return path + or(op, "=", "===", "=~", "!", "<", "== ", " ==", " ") + value(op)
	}
	s := selector()
	for r.Intn(3) == 0 {
		s += or(",", ", ", " ,", ";", ",,") + selector()
	}
	if mistakes && r.Intn(4) == 0 && len(s) > 0 { // one byte is lost, changed or new
		at := r.Intn(len(s))
		s = s[:at] + pick("", "\x00", "\xff", "\n", "\\", `"`, ",", "\u2028", "\xef\xbf\xbd") + s[at+r.Intn(2):]
	}
	return s
}

func main() {
	log.SetFlags(0)
	// Bad regular expressions are logged as they are met.
	if err := containerdlog.SetLevel("panic"); err != nil {
		log.Fatal(err)
	}

	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/containerd/containerd/v2" {
				version = module.Version
			}
		}
	}
	lists := append([][]string{}, written...)
	r := rand.New(rand.NewSource(3))
	for len(lists) < len(written)+400 {
		list := []string{random(r)}
		for r.Intn(6) == 0 {
			list = append(list, random(r))
		}
		lists = append(lists, list)
	}

	line := func(v any) string {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			log.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	fmt.Printf("{\"containerd\": %s,\n\"blobs\": [\n", line(version))
	for i, b := range blobs {
		fmt.Print(line(pairs(b)), []string{",\n", "],\n"}[last(i, len(blobs))])
	}
	fmt.Printf("\"ingests\": %s,\n\"vectors\": [\n", line(refs))
	for i, list := range lists {
		fmt.Print(line(evaluate(list)), []string{",\n", "]}\n"}[last(i, len(lists))])
	}
}

// pairs shows a blob with its labels as a list of pairs, so that keys and values may be any bytes.
func pairs(b blob) any {
	labels := [][2]text{}
	for _, key := range sortedKeys(b.Labels) {
		labels = append(labels, [2]text{key, b.Labels[key]})
	}
	return struct {
		Digest text      `json:"digest"`
		Labels [][2]text `json:"labels"`
	}{b.Digest, labels}
}

func last(i, n int) int {
	if i == n-1 {
		return 1
	}
	return 0
}
