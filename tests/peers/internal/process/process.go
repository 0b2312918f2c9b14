// Package process runs a content store daemon as a child process and connects to its socket.
package process

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/defaults"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
)

// Daemon is a running child that serves containerd's Content service. It ends with the test.
type Daemon struct {
	Conn *grpc.ClientConn
	Root string // the daemon's own directory

	t       testing.TB
	command *exec.Cmd
	stopped sync.Once
	done    chan struct{} // closed when the child has ended
	state   error         // what Wait said; read only after done
	output  *lockedBuffer
}

// Ipcsd names the program under test: the value of IPCSD. A test without it fails.
func Ipcsd(t testing.TB) string {
	t.Helper()
	return programOf(t, "IPCSD", "the ipcsd under test, for example build/bin/ipcsd")
}

// Ipcsctl is the operator's tool beside the ipcsd under test.
func Ipcsctl(t testing.TB) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(Ipcsd(t)), "ipcsctl")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// ReferenceStore names the program that serves containerd's own store: the value of REFERENCE_STORE.
func ReferenceStore(t testing.TB) string {
	t.Helper()
	return programOf(t, "REFERENCE_STORE", "the built cmd/reference-store")
}

func programOf(t testing.TB, variable, meaning string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set; it names %s", variable, meaning)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(absolute); err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return absolute
}

// Directory makes a temporary directory that is removed when the test ends. Unlike t.TempDir's its path is short: a
// socket's path must stay below 108 bytes.
func Directory(t testing.TB) string {
	t.Helper()
	base, err := os.MkdirTemp("", "ipcs-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	return base
}

// Start runs `program --root DIR --address SOCK --backend local` below a new temporary directory and waits until the
// socket accepts connections. The child is stopped, and the directory removed, when the test ends.
func Start(t testing.TB, program string) *Daemon {
	t.Helper()
	return StartIn(t, program, Directory(t))
}

// StartIn is Start below a directory of the caller's, which may hold what an earlier daemon left, with more arguments.
// With KUBO_API, the address of a Kubo's RPC API, the backend is ipfs-http with a place of its own in that Kubo; with
// BACKEND it is that plugin, which lies in BACKEND_DIR.
func StartIn(t testing.TB, program, base string, arguments ...string) *Daemon {
	t.Helper()
	root := filepath.Join(base, "root")
	socket := filepath.Join(base, "content.sock")
	backend := []string{"--backend", "local"}
	api, plugin := os.Getenv("KUBO_API"), os.Getenv("BACKEND")
	switch {
	case program != os.Getenv("IPCSD"):
	case api != "":
		backend = []string{"--backend", "ipfs-http", "--config", onKubo(t, base, api)}
	case plugin != "":
		backend = []string{"--backend", plugin, "--plugin-dir", os.Getenv("BACKEND_DIR")}
	}
	return StartWith(t, program, root, socket,
		append(append([]string{"--root", root, "--address", socket}, backend...), arguments...)...)
}

// KuboTable is the part of a configuration that gives the backend ipfs-http a place of its own in the Kubo at `api`.
func KuboTable(base, api string) string {
	return fmt.Sprintf("[plugins.ipfs-http]\nprefix = %q\napi = %q\n", "/"+filepath.Base(base), api)
}

// onKubo writes the configuration of a backend ipfs-http for a daemon below `base`.
func onKubo(t testing.TB, base, api string) string {
	t.Helper()
	file := filepath.Join(base, "config.toml")
	if err := os.WriteFile(file, []byte("version = 1\n"+KuboTable(base, api)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// StartWith runs the program with these arguments alone, which lead to that root and to that socket among others.
func StartWith(t testing.TB, program, root, socket string, arguments ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, Root: root, done: make(chan struct{}), output: &lockedBuffer{}}
	d.command = exec.Command(program, arguments...)
	d.command.Stdout = d.output
	d.command.Stderr = d.output
	d.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread that forked
		defer runtime.UnlockOSThread()
		err := d.command.Start()
		started <- err
		if err != nil {
			return
		}
		d.state = d.command.Wait()
		close(d.done)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(d.Stop)

	d.await(socket)
	d.Conn = d.connect(socket)
	return d
}

func (d *Daemon) connect(socket string) *grpc.ClientConn {
	d.t.Helper()
	conn, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
			grpc.MaxCallSendMsgSize(defaults.DefaultMaxSendMsgSize)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return conn
}

// await returns when the socket accepts connections.
func (d *Daemon) await(socket string) {
	d.t.Helper()
	for limit := time.Now().Add(startLimit); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return
		}
		select {
		case <-d.done:
			d.t.Fatalf("%s ended at start: %v\n%s", d.command.Path, d.state, d.output)
		default:
		}
		if time.Now().After(limit) {
			d.t.Fatalf("%s does not listen on %s after %v\n%s", d.command.Path, socket, startLimit, d.output)
		}
	}
}

// ControlSocket is where ipcsctl finds an ipcsd.
func (d *Daemon) ControlSocket() string { return filepath.Join(d.Root, "control.sock") }

// Control connects to an ipcsd's control socket.
func (d *Daemon) Control() *grpc.ClientConn {
	d.t.Helper()
	return d.Connect(d.ControlSocket())
}

// Connect makes a new connection to one of the daemon's sockets.
func (d *Daemon) Connect(socket string) *grpc.ClientConn {
	d.t.Helper()
	d.await(socket)
	return d.connect(socket)
}

// Threads is how many the child has.
func (d *Daemon) Threads() int {
	d.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", d.command.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(entries)
}

// Descriptor is what one of the child's descriptors leads to, as the system names it.
func (d *Daemon) Descriptor(number int) string {
	d.t.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", d.command.Process.Pid, number))
	if err != nil {
		d.t.Fatal(err)
	}
	return target
}

// Kill ends the child with SIGKILL. A Stop after it does nothing.
func (d *Daemon) Kill() {
	d.stopped.Do(func() {
		d.command.Process.Kill()
		<-d.done
	})
}

// Client is a raw client of the Content service.
func (d *Daemon) Client() api.ContentClient { return api.NewContentClient(d.Conn) }

// Pid is the child's number.
func (d *Daemon) Pid() int { return d.command.Process.Pid }

// Alive says whether the child still runs, after giving a crash a moment to show.
func (d *Daemon) Alive() bool {
	select {
	case <-d.done:
		return false
	case <-time.After(200 * time.Millisecond):
		return true
	}
}

// Resident is the child's memory, in bytes.
func (d *Daemon) Resident() int64 {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.command.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	d.t.Fatalf("no VmRSS in %s", status)
	return 0
}

// Output is what the child has printed so far.
func (d *Daemon) Output() string { return d.output.String() }

// Stop ends the child with SIGTERM; the test fails when that takes too long. Called again it does nothing.
func (d *Daemon) Stop() {
	d.stopped.Do(func() {
		d.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(stopLimit):
			d.command.Process.Kill()
			<-d.done
			d.t.Errorf("%s did not stop within %v after SIGTERM\n%s", d.command.Path, stopLimit, d.output)
		}
		if d.t.Failed() {
			d.t.Logf("output of %s:\n%s", d.command.Path, d.output)
		}
	})
}

// Context is a context for one test's calls: no call may take longer than a minute.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
