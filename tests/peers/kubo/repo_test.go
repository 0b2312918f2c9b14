package kubo

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the path in an environment variable; a test without it fails.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run.sh kubo sets it", variable)
	}
	return path
}

// repo is a Kubo without a daemon, with a directory of its own.
type repo struct {
	ipfs, path string
}

// newRepo makes one, with Kubo's profile "test" (no network) and the named ones on top.
func newRepo(t *testing.T, profiles ...string) repo {
	t.Helper()
	r := repo{program(t, "KUBO"), filepath.Join(t.TempDir(), "repo")}
	r.run(t, "init", "--profile="+strings.Join(append([]string{"test"}, profiles...), ","))
	return r
}

func (r repo) command(arguments ...string) *exec.Cmd {
	command := exec.Command(r.ipfs, arguments...)
	command.Env = append(os.Environ(), "IPFS_PATH="+r.path, "IPFS_TELEMETRY=off")
	return command
}

// run returns standard output; a failing command ends the test.
func (r repo) run(t *testing.T, arguments ...string) []byte {
	t.Helper()
	return output(t, r.command(arguments...))
}

func output(t *testing.T, command *exec.Cmd) []byte {
	t.Helper()
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command.Args, " "), err, complaint.String())
	}
	return out
}

// noise is the same in every run.
func noise(size int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	data := make([]byte, size)
	source.Read(data)
	return data
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
