package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/defaults"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const startLimit = 30 * time.Second

// server is one side at work: a content daemon with a root of its own and containerd's proxy client on one connection to
// it, a Kubo with a repository of its own, or both.
type server struct {
	store content.Store // null where there is no content daemon

	side      string // its name
	directory string
	conn      *grpc.ClientConn
	daemon    *daemon // the content daemon; may be nil
	kubo      *kubo   // may be nil
}

// start makes `directory`, starts the side's programs in it, and returns when they answer.
func start(from side, directory string) (*server, error) {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return nil, err
	}
	s := &server{side: from.name, directory: directory}
	if err := s.startAll(from); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w\n%s", from.name, err, s.output())
	}
	return s, nil
}

func (s *server) startAll(from side) error {
	arguments := from.arguments
	if from.kubo != "" {
		var err error
		if s.kubo, err = startKubo(from.kubo, filepath.Join(s.directory, "kubo")); err != nil {
			return err
		}
		file := filepath.Join(s.directory, "config.toml")
		table := fmt.Sprintf("version = 1\n[plugins.ipfs-http]\napi = %q\n", s.kubo.api)
		if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
			return err
		}
		arguments = append([]string{"--config", file}, arguments...)
	}
	if from.program == "" {
		return nil
	}
	socket := filepath.Join(s.directory, "c.sock")
	arguments = append([]string{"--root", filepath.Join(s.directory, "root"), "--address", socket}, arguments...)
	var err error
	if s.daemon, err = startDaemon(from.program, arguments, nil); err != nil {
		return err
	}
	return s.connect(socket)
}

func (s *server) connect(socket string) error {
	for limit := time.Now().Add(startLimit); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		select {
		case <-s.daemon.done:
			return fmt.Errorf("ended at its start: %v", s.daemon.command.ProcessState)
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

// stop ends what runs and leaves the directory.
func (s *server) stop() error {
	if s.conn != nil {
		s.conn.Close()
	}
	var problem error
	if s.daemon != nil {
		problem = s.daemon.stop()
	}
	if s.kubo != nil {
		problem = errors.Join(problem, s.kubo.daemon.stop())
	}
	return problem
}

// output is what the daemons printed; read only when they have ended or are idle.
func (s *server) output() string {
	var said string
	if s.daemon != nil {
		said = s.daemon.output.String()
	}
	if s.kubo != nil {
		said += s.kubo.daemon.output.String()
	}
	return said
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

// cpu is the processor time, user and system, that the content daemon has used so far.
func (s *server) cpu() (time.Duration, error) { return s.daemon.cpu() }

// memory is a field of /proc/PID/status in MiB: VmRSS, the resident memory now, or VmHWM, the most that it was.
func (s *server) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.daemon.command.Process.Pid))
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
