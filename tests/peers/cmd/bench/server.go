package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/defaults"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
)

// server is a running content daemon with a root of its own, and containerd's proxy client on one connection to it.
// The daemon dies with this program.
type server struct {
	store  content.Store
	output bytes.Buffer // what the daemon printed; read only when it has ended or while it is idle

	directory string
	conn      *grpc.ClientConn
	command   *exec.Cmd
	done      chan struct{} // closed when the daemon has ended
}

// start makes `directory`, starts the side's program in it, and returns when its socket accepts connections.
func start(from side, directory string) (*server, error) {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return nil, err
	}
	s := &server{directory: directory, done: make(chan struct{})}
	socket := filepath.Join(directory, "c.sock")
	arguments := append([]string{"--root", filepath.Join(directory, "root"), "--address", socket}, from.arguments...)
	s.command = exec.Command(from.program, arguments...)
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.command.WaitDelay = time.Second // were `program` a wrapper, its child could keep the output open
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread that forked
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := s.command.Start()
		started <- err
		if err == nil {
			s.command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := s.connect(socket); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w\n%s", from.name, err, s.output.String())
	}
	return s, nil
}

func (s *server) connect(socket string) error {
	for limit := time.Now().Add(startLimit); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		select {
		case <-s.done:
			return fmt.Errorf("ended at its start: %v", s.command.ProcessState)
		default:
		}
		if time.Now().After(limit) {
			return fmt.Errorf("does not listen on %s after %v", socket, startLimit)
		}
	}
	// The options are those with which containerd dials a proxy plugin.
	conn, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
			grpc.MaxCallSendMsgSize(defaults.DefaultMaxSendMsgSize)))
	if err != nil {
		return err
	}
	s.conn, s.store = conn, proxy.NewContentStore(conn)
	return nil
}

// stop ends the daemon and leaves its directory.
func (s *server) stop() error {
	if s.conn != nil {
		s.conn.Close()
	}
	s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-time.After(stopLimit):
		s.command.Process.Kill()
		<-s.done
		return fmt.Errorf("%s did not stop within %v\n%s", s.command.Path, stopLimit, s.output.String())
	}
}

// sync writes out what the file system still holds back, so that nobody pays for another's writes.
func (s *server) sync() error {
	directory, err := os.Open(s.directory)
	if err != nil {
		return err
	}
	defer directory.Close()
	return unix.Syncfs(int(directory.Fd()))
}

// cpu is the processor time, user and system, that all threads of the daemon have used so far: the sum that
// /proc/PID/stat shows in ticks of 10 ms, in nanoseconds.
func (s *server) cpu() (time.Duration, error) {
	clock := int32(^s.command.Process.Pid<<3 | 2) // CPUCLOCK_SCHED of a process; see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// memory is a field of /proc/PID/status in MiB: VmRSS, the resident memory now, or VmHWM, the most that it was.
func (s *server) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == field+":" {
			kib, err := strconv.ParseFloat(words[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the daemon's status", field)
}
