package kubo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	chunk   = 262144
	hundred = 100 << 20 // bytes; of no round number of MiB chunks in the other sizes
)

// sizes at which the tree changes its shape under the options beside them.
var tables = []struct {
	options []string
	sizes   []int
}{
	{nil, []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 2 * chunk, 174 * chunk, 174*chunk + 1, hundred, hundred + 7}},
	{[]string{"--cid-version=1"}, []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 174 * chunk, 174*chunk + 1, hundred}},
	{[]string{"--raw-leaves"}, []int{0, 1, chunk, chunk + 1, 174*chunk + 1}},
	{[]string{"--cid-version=1", "--raw-leaves=false"}, []int{0, 1, chunk, chunk + 1, 5*chunk + 3}},
	// Second and third level of 174, and 1024 links.
	{[]string{"--chunker=size-64"}, []int{0, 63, 64, 65, 64 * 174, 64*174 + 1, 64 * 174 * 174, 64*174*174 + 1}},
	{[]string{"--cid-version=1", "--chunker=size-64", "--max-file-links=1024"},
		[]int{64 * 1023, 64*1023 + 1, 64 * 1024, 64*1024 + 1, 64 * 2048, 64*2048 + 1}},
	{[]string{"--chunker=size-100", "--max-file-links=2"}, []int{99, 100, 101, 200, 201, 400, 401, 800, 801, 1700, 12345}},
	{[]string{"--chunker=size-100", "--max-file-links=3", "--cid-version=1"}, []int{300, 301, 900, 901, 2700, 2701, 12345}},
	{[]string{"--chunker=size-2096896"}, []int{2096895, 2096896, 2096897, 9000000}},
	{[]string{"--chunker=size-2096896", "--cid-version=1"}, []int{2096896, 2096897, 9000000}},
	{[]string{"--chunker=size-1048576"}, []int{1 << 20, 1<<20 + 1, 9000000}},
	{[]string{"--chunker=size-1"}, []int{1, 2, 175, 1000}},
	{[]string{"--hash=sha2-512"}, []int{0, 1, chunk, chunk + 1}},
	{[]string{"--hash=sha2-512", "--raw-leaves=false"}, []int{0, 1, chunk, chunk + 1}},
	{[]string{"--inline"}, []int{0, 1, 24, 25, 32, 33, 100, chunk + 1, chunk + 20}},
	{[]string{"--inline", "--inline-limit=128", "--cid-version=1"}, []int{0, 1, 127, 128, 129, chunk + 100, chunk + 200}},
	{[]string{"--cid-base=base32"}, []int{1, chunk + 1}},
	{[]string{"--cid-base=base58btc", "--cid-version=1"}, []int{1, chunk + 1}},
	{[]string{"--cid-base=base16"}, []int{1}},
	{[]string{"--cid-base=base36"}, []int{1}},
}

// ours are the CIDs of ipcsctl, one for each path.
func ours(t *testing.T, options, paths []string) []string {
	t.Helper()
	arguments := append(append([]string{"cid", "-q"}, options...), paths...)
	return strings.Fields(string(output(t, exec.Command(program(t, "IPCSCTL"), arguments...))))
}

// theirs are Kubo's, in the order of the paths, whose last parts differ; Kubo itself goes by the names. Under -w the
// directory's comes last.
func (r repo) theirs(t *testing.T, options, paths []string) []string {
	t.Helper()
	arguments := append(append([]string{"add", "--only-hash", "--progress=false"}, options...), paths...)
	cids := map[string]string{}
	for line := range strings.Lines(string(r.run(t, arguments...))) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(words) < 2 || words[0] != "added" {
			t.Fatalf("Kubo says %q", line)
		}
		cids[strings.Join(words[2:], " ")] = words[1]
	}
	var inOrder []string
	for _, path := range paths {
		inOrder = append(inOrder, cids[filepath.Base(path)])
	}
	if directory, ok := cids[""]; ok {
		inOrder = append(inOrder, directory)
	}
	return inOrder
}

// compare fails for each path whose CIDs differ. It returns how many were equal.
func compare(t *testing.T, what string, paths, mine, kubos []string) int {
	t.Helper()
	if len(mine) != len(paths) || len(kubos) != len(paths) {
		t.Fatalf("%s: %d paths, %d CIDs of ipcsctl, %d of Kubo", what, len(paths), len(mine), len(kubos))
	}
	equal := 0
	for i, path := range paths {
		if mine[i] != kubos[i] {
			t.Errorf("%s %s: ipcsctl says %s, Kubo %s", what, filepath.Base(path), mine[i], kubos[i])
		} else {
			equal++
		}
	}
	return equal
}

func TestFiles(t *testing.T) {
	r, directory, data := newRepo(t), t.TempDir(), noise(hundred+7)
	total := 0
	for _, table := range tables {
		var paths []string
		for _, size := range table.sizes {
			path := filepath.Join(directory, fmt.Sprint(size))
			if _, err := os.Stat(path); err != nil {
				write(t, path, data[:size])
			}
			paths = append(paths, path)
		}
		total += compare(t, fmt.Sprint(table.options), paths, ours(t, table.options, paths), r.theirs(t, table.options, paths))
	}
	t.Logf("%d CIDs equal", total)
}

// Bytes that are all the same give a tree in which one block stands many times.
func TestFileOfZeros(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "zeros"), make([]byte, 40*chunk+5))
	for _, options := range [][]string{nil, {"--cid-version=1"}} {
		compare(t, fmt.Sprint(options), []string{path}, ours(t, options, []string{path}), newRepo(t).theirs(t, options, []string{path}))
	}
}

func TestProfiles(t *testing.T) {
	directory, data := t.TempDir(), noise(hundred)
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		r := newRepo(t, profile)
		var paths []string
		for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, hundred} {
			paths = append(paths, write(t, filepath.Join(directory, fmt.Sprint(size)), data[:size]))
		}
		compare(t, profile, paths, ours(t, []string{"--profile", profile}, paths), r.theirs(t, nil, paths))
		// 1024 leaves and one more, with a small chunk in the place of the profile's.
		for _, options := range [][]string{{"--chunker=size-1000"}, {"--cid-version=0"}, {"--raw-leaves=false"}} {
			paths := []string{write(t, filepath.Join(directory, "edge"), data[:1024000]), write(t, filepath.Join(directory, "above"), data[:1024001])}
			compare(t, fmt.Sprint(profile, options), paths, ours(t, append(options, "--profile", profile), paths), r.theirs(t, options, paths))
		}
		compareTrees(t, r, []string{"--profile", profile}, nil, tree(t)[1:])
	}
}

func TestStandardInput(t *testing.T) {
	data := noise(chunk + 9)
	for _, options := range [][]string{nil, {"--cid-version=1"}, {"-w", "--stdin-name=name"}} {
		file := write(t, filepath.Join(t.TempDir(), "f"), data)
		run := func(command *exec.Cmd) string {
			input, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			command.Stdin = input
			return strings.TrimSpace(string(output(t, command)))
		}
		mine := run(exec.Command(program(t, "IPCSCTL"), append([]string{"cid", "-Q", "-"}, options...)...))
		kubos := run(newRepo(t).command(append([]string{"add", "--only-hash", "-Q"}, options...)...))
		if mine != kubos {
			t.Errorf("%v: ipcsctl says %s, Kubo %s", options, mine, kubos)
		}
	}
}

func TestOutput(t *testing.T) {
	directory := t.TempDir()
	path := write(t, filepath.Join(directory, "hello\x1b"), []byte("hello\n"))
	const hello, empty = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
	cid := func(arguments ...string) (string, string, int) {
		var out, complaint strings.Builder
		command := exec.Command(program(t, "IPCSCTL"), append([]string{"cid"}, arguments...)...)
		command.Stdout, command.Stderr = &out, &complaint
		if err := command.Run(); err != nil && command.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), complaint.String(), command.ProcessState.ExitCode()
	}
	if out, _, _ := cid(path); out != hello+" "+filepath.Join(directory, `hello\x1b`)+"\n" {
		t.Errorf("%q", out)
	}
	if out, _, _ := cid("-q", path, path); out != hello+"\n"+hello+"\n" {
		t.Errorf("-q: %q", out)
	}
	if out, _, _ := cid("--format", "json", path); !strings.Contains(out, `"cid": "`+hello+`"`) || !strings.Contains(out, `"size": 6`) {
		t.Errorf("json: %q", out)
	}
	// What can't be read is said, and the rest is done.
	out, complaint, code := cid("-q", filepath.Join(directory, "absent"), path)
	if out != hello+"\n" || code != 1 || !strings.Contains(complaint, "absent: No such file") {
		t.Errorf("%q, %q, %d", out, complaint, code)
	}
	none := filepath.Join(directory, "none")
	if err := os.Mkdir(none, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, complaint, code := cid(none); code != 1 || !strings.Contains(complaint, "none: it is a directory; -r") {
		t.Errorf("%q, %d", complaint, code)
	}
	if out, _, _ := cid("-rq", none); out != empty+"\n" {
		t.Errorf("-r: %q", out)
	}
	if _, complaint, code := cid("/dev/null"); code != 1 || !strings.Contains(complaint, "/dev/null: it is no file") {
		t.Errorf("%q, %d", complaint, code)
	}
}
