// Package faults runs ipcsd on disks that are full, read-only, damaged or another's, with plugins that are none, and
// with more of everything than usual.
package faults

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/process"
)

const refusalLimit = 90 * time.Second // the backend's open() may take 60 s

// refusal is how an ipcsd ended that did not start.
type refusal struct {
	code int
	line string // what it said
}

// refused runs an ipcsd that must end by itself with a status that is no crash's, after one line of errors.
func refused(t *testing.T, program string, user *syscall.Credential, arguments ...string) refusal {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), refusalLimit)
	defer cancel()
	command := exec.CommandContext(ctx, program, append([]string{"--log-level", "error"}, arguments...)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	command.Env = append(os.Environ(), "HOME=/nonexistent") // no configuration of whoever runs the test
	err := command.Run()
	var ended *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &ended) {
		t.Fatalf("ipcsd %v: %v; it should have refused\n%s", arguments, err, output.String())
	}
	line := strings.TrimSuffix(output.String(), "\n")
	if code := ended.ExitCode(); code != 1 && code != 2 {
		t.Errorf("ipcsd %v: %v; a refusal has status 1 or 2\n%s", arguments, err, line)
	}
	if line == "" || strings.Contains(line, "\n") {
		t.Errorf("ipcsd %v: said\n%s\nwhere one line is due", arguments, line)
	}
	return refusal{ended.ExitCode(), line}
}

// says holds the status and that the line has all of the words.
func (r refusal) says(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("status %d, %d is due: %s", r.code, code, r.line)
	}
	for _, word := range words {
		if !strings.Contains(r.line, word) {
			t.Errorf("the line does not say %q: %s", word, r.line)
		}
	}
	t.Logf("status %d: %s", r.code, r.line)
}

// at is the arguments of an ipcsd below a directory, as process.StartIn gives them.
func at(base string, more ...string) []string {
	return append([]string{"--root", filepath.Join(base, "root"), "--address", filepath.Join(base, "content.sock")}, more...)
}

// config writes a configuration file and gives the arguments that name it.
func config(t *testing.T, base, text string) []string {
	t.Helper()
	path := filepath.Join(base, "config.toml")
	if err := os.WriteFile(path, []byte("version = 1\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", path}
}

// ipcsctl runs the operator's tool; the status is 0 or 1.
func ipcsctl(t *testing.T, daemon *process.Daemon, input []byte, arguments ...string) (output string, code int) {
	t.Helper()
	arguments = append([]string{"-a", daemon.ControlSocket(), "--no-progress"}, arguments...)
	command := exec.Command(process.Ipcsctl(t), arguments...)
	command.Stdin = bytes.NewReader(input)
	text, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !(errors.As(err, &ended) && ended.ExitCode() == 1) {
		t.Fatalf("ipcsctl %v: %v\n%s", arguments, err, text)
	}
	return string(text), command.ProcessState.ExitCode()
}

// mount mounts something on a directory until the test ends or it is unmounted.
func mount(t *testing.T, source, directory, kind string, flags uintptr, data string) (unmount func()) {
	t.Helper()
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(source, directory, kind, flags, data); err != nil {
		t.Fatalf("mount on %s (these tests run as root): %v", directory, err)
	}
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			if err := syscall.Unmount(directory, 0); err != nil {
				t.Errorf("unmount of %s: %v", directory, err)
				syscall.Unmount(directory, syscall.MNT_DETACH)
			}
		}
	}
	t.Cleanup(unmount)
	return unmount
}

var oneLine = regexp.MustCompile(`^[^\n]+$`)

// wants holds that a call failed with that code and a message of one line with the words.
func wants(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != code {
		t.Errorf("the call gave %v, %v is due: %s", s.Code(), code, s.Message())
		return
	}
	if code == codes.OK {
		return
	}
	if !oneLine.MatchString(s.Message()) {
		t.Errorf("the message is not one line: %q", s.Message())
	}
	for _, word := range words {
		if !strings.Contains(s.Message(), word) {
			t.Errorf("the message does not say %q: %s", word, s.Message())
		}
	}
}
