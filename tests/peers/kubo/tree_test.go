package kubo

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes room for the tree, which the tests share: it has thousands of files.
func TestMain(m *testing.M) {
	var err error
	if treeRoot, err = os.MkdirTemp("", "kubo-tree-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(treeRoot)
	os.Exit(code)
}

var (
	treeRoot  string
	treePaths []string
)

// tree makes directories of all kinds, the first time, and returns their paths.
func tree(t *testing.T) []string {
	t.Helper()
	if treePaths == nil {
		treePaths = makeTree(t, treeRoot)
	}
	return treePaths
}

func makeTree(t *testing.T, root string) []string {
	t.Helper()
	data := noise(chunk + 77)
	mixed := filepath.Join(root, "mixed")
	for name, content := range map[string][]byte{
		"empty": nil, "small": []byte("hello\n"), "large": data, "sub/deep/er/file": data[:1000], "sub/Z": data[:1],
		"sub/a b": data[:2], "sub/ä": data[:3], ".hidden": data[:4], ".dir/file": data[:5], "sub/deep/.x": data[:6],
		"sub\xff": data[:7], "0": data[:8], "Sub": data[:9],
	} {
		write(t, filepath.Join(mixed, name), content)
	}
	none := filepath.Join(root, "none")
	for _, directory := range []string{none, filepath.Join(mixed, "nothing/in/here")} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": "small", "dangling": "/no/such", "up": "..", "sub/link": "../sub"} {
		if err := os.Symlink(target, filepath.Join(mixed, name)); err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{mixed, none, filepath.Join(mixed, "sub"), filepath.Join(mixed, "link")}
	// Around the size at which a directory becomes a HAMT: 262,144 bytes of names and CIDs, or of the block. An entry with
	// a name of 222 bytes counts 256 under CIDv0, 258 under CIDv1, 268 in a block.
	for _, count := range []int{1, 978, 979, 1016, 1017, 1024, 1025} {
		directory := filepath.Join(root, fmt.Sprint("names-", count))
		for i := range count {
			write(t, filepath.Join(directory, fmt.Sprintf("%0222d", i)), nil)
		}
		paths = append(paths, directory)
	}
	// A HAMT of several levels, and one below a directory.
	for i := range 1500 {
		write(t, filepath.Join(root, "above", "large", fmt.Sprintf("%0240d", i)), []byte("same"))
	}
	return append(paths, filepath.Join(root, "above"))
}

func compareTrees(t *testing.T, r repo, mine, kubos, paths []string) {
	t.Helper()
	for _, path := range paths {
		command := exec.Command(program(t, "IPCSCTL"), append(append([]string{"cid", "-rQ"}, mine...), path)...)
		said := strings.TrimSpace(string(output(t, command)))
		want := strings.TrimSpace(string(r.run(t, append(append([]string{"add", "--only-hash", "-rQ"}, kubos...), path)...)))
		if said != want {
			t.Errorf("%v %s: ipcsctl says %s, Kubo %s", mine, filepath.Base(path), said, want)
		}
	}
}

func TestDirectories(t *testing.T) {
	r, paths := newRepo(t), tree(t)
	for _, options := range [][]string{nil, {"--cid-version=1"}} {
		compareTrees(t, r, options, options, paths)
	}
	for _, options := range [][]string{{"-H"}, {"-w"}, {"-wH", "--inline", "--cid-version=1"}, {"--hash=sha2-512"}, {"-w", "--chunker=size-1000"}} {
		compareTrees(t, r, options, options, paths[:4])
	}
}

func TestSeveralFilesWrapped(t *testing.T) {
	r, directory := newRepo(t), t.TempDir()
	var paths []string
	for i := range 20 {
		paths = append(paths, write(t, filepath.Join(directory, fmt.Sprint(i), fmt.Sprint("name", i)), noise(i)))
	}
	options := []string{"-w"}
	compare(t, "-w", append(paths, "the directory"), ours(t, options, paths), r.theirs(t, options, paths))
}

// What changes a CID in Kubo and is not offered is refused in one line that names it.
func TestRefusals(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), []byte("f"))
	for _, options := range [][]string{
		{"--trickle"}, {"-t"}, {"--chunker=rabin"}, {"--chunker=rabin-16-32-64"}, {"--chunker=buzhash"}, {"--hash=blake3"},
		{"--hash=identity"}, {"--preserve-mode"}, {"--preserve-mtime"}, {"--mode=420"}, {"--mtime=1"}, {"--nocopy"},
		{"--max-hamt-fanout=16"}, {"--max-directory-links=5"}, {"--cid-version=2"}, {"--cid-version=0", "--hash=sha2-512"},
		{"--inline", "--inline-limit=129"}, {"--chunker=size-0"}, {"--chunker=size-2096897"}, {"--chunker=size"},
		{"--profile=other"}, {"--max-file-links=1"}, {"--cid-base=base64"}, {"--fscache"}, {"--pin"}, {"--dereference-symlinks"},
	} {
		var out, complaint strings.Builder
		command := exec.Command(program(t, "IPCSCTL"), append(append([]string{"cid"}, options...), path)...)
		command.Stdout, command.Stderr = &out, &complaint
		err := command.Run()
		line := complaint.String()
		if command.ProcessState == nil || command.ProcessState.ExitCode() != 2 || out.Len() > 0 || strings.Count(line, "\n") != 1 {
			t.Errorf("%v: %v, %q, %q", options, err, out.String(), line)
			continue
		}
		flag, value, _ := strings.Cut(options[len(options)-1], "=")
		if !strings.Contains(line, strings.TrimLeft(flag, "-")) && (value == "" || !strings.Contains(line, value)) {
			t.Errorf("%v is not named: %s", options, line)
		}
	}
}
