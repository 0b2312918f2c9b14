package kubo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var carCases = []struct {
	profile, chunker string
	options          []string // of `ipfs add`
	size             int
}{
	{"default", "", nil, 0},
	{"default", "", nil, 1},
	{"default", "", nil, 200*chunk + 5},
	{"cid-version=1", "", []string{"--cid-version=1"}, 5*chunk + 5},
	{"cid-version=1", "size-1000", []string{"--cid-version=1", "--chunker=size-1000"}, 1_000_000},
	{"unixfs-v1-2025", "", []string{"--cid-version=1", "--chunker=size-1048576", "--max-file-links=1024"}, 5<<20 + 1},
}

func TestKuboReadsOurCars(t *testing.T) {
	tool, r, directory := program(t, "CAR_TOOL"), newRepo(t), t.TempDir()
	car := filepath.Join(directory, "car")
	read := func(profile, chunker string, data []byte) string {
		file := write(t, filepath.Join(directory, "file"), data)
		root := strings.TrimSpace(string(output(t, exec.Command(tool, "write", profile, chunker, file, car))))
		r.run(t, "dag", "import", "--pin-roots", car)
		if got := r.run(t, "cat", root); !bytes.Equal(got, data) {
			t.Errorf("%s %s, %d bytes: Kubo reads %d other bytes", profile, chunker, len(data), len(got))
		}
		return root
	}
	for _, each := range carCases {
		data := noise(each.size)
		root := read(each.profile, each.chunker, data)
		theirs := strings.TrimSpace(string(r.run(t, append(append([]string{"add", "-Q"}, each.options...), filepath.Join(directory, "file"))...)))
		if root != theirs {
			t.Errorf("%s, %d bytes: root %s, Kubo's %s", each.profile, each.size, root, theirs)
		}
		if exported := r.run(t, "dag", "export", "--progress=false", root); !bytes.Equal(exported, contents(t, car)) {
			t.Errorf("%s, %d bytes: Kubo's export of %d bytes differs from ours", each.profile, each.size, len(exported))
		}
	}
	// A chunker that Kubo lacks: the file is one that it reads.
	read("cid-version=1", "fastcdc-2000-8000-32000", noise(3_000_000))
	read("default", "fastcdc-65536-262144-1048576", noise(3_000_000))
}

func TestWeReadKubosCars(t *testing.T) {
	tool, r, directory := program(t, "CAR_TOOL"), newRepo(t), t.TempDir()
	layouts := [][]string{{"--chunker=rabin"}, {"--chunker=buzhash", "--cid-version=1"}, {"--trickle"}, {"--trickle", "--raw-leaves"},
		{"--trickle", "--chunker=size-100"}, {"--inline", "--inline-limit=128", "--chunker=size-100"}, {"--hash=sha2-512"}, {"--mtime=5", "--mode=420"}}
	for _, each := range carCases {
		layouts = append(layouts, each.options)
	}
	for _, options := range layouts {
		data := noise(3*chunk + 11)
		file := write(t, filepath.Join(directory, "file"), data)
		root := strings.TrimSpace(string(r.run(t, append(append([]string{"add", "-Q"}, options...), file)...)))
		car := write(t, filepath.Join(directory, "car"), r.run(t, "dag", "export", "--progress=false", root))
		if got := output(t, exec.Command(tool, "read", car)); !bytes.Equal(got, data) {
			t.Errorf("%v: %d other bytes", options, len(got))
		}
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
