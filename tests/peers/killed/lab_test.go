package killed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// lab is where one ipcsd after the other serves two clients.
type lab struct {
	ipcsd, config, root string
	sockets             [clients]string
}

// connections lead to a running ipcsd.
type connections struct {
	daemon  *process.Daemon
	clients [clients]*grpc.ClientConn
	control *grpc.ClientConn
}

func newLab(t *testing.T, ipcsd string) *lab {
	t.Helper()
	base := process.Directory(t)
	l := &lab{ipcsd: ipcsd, config: filepath.Join(base, "config.toml"), root: filepath.Join(base, "root")}
	text := fmt.Sprintf("version = 1\nroot = %q\nbackend = %q\n", l.root, backend())
	for i := range l.sockets {
		l.sockets[i] = filepath.Join(base, fmt.Sprintf("content-%d.sock", i))
		text += fmt.Sprintf("[[grpc]]\nname = %q\naddress = %q\n", holderName(i), l.sockets[i])
	}
	text += fmt.Sprintf("[control]\naddress = %q\n", filepath.Join(l.root, "control.sock"))
	if api := os.Getenv("KUBO_API"); api != "" {
		text += process.KuboTable(base, api)
	}
	if err := os.WriteFile(l.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) start(t *testing.T) *connections {
	t.Helper()
	daemon := process.StartWith(t, l.ipcsd, l.root, l.sockets[0], "--config", l.config)
	c := &connections{daemon: daemon, control: daemon.Control()}
	c.clients[0] = daemon.Conn
	for i := 1; i < clients; i++ {
		c.clients[i] = daemon.Connect(l.sockets[i])
	}
	return c
}

func (l *lab) killAtStart(t *testing.T, duration time.Duration) {
	t.Helper()
	command := exec.Command(l.ipcsd, "--config", l.config)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(duration)
	command.Process.Kill()
	command.Wait()
}

func holderName(holder int) string {
	if holder == operator {
		return "the operator"
	}
	return fmt.Sprintf("client-%d", holder)
}

// client speaks as a holder: through a client's socket or the control socket.
func (c *connections) client(holder int) api.ContentClient {
	if holder == operator {
		return api.NewContentClient(c.control)
	}
	return api.NewContentClient(c.clients[holder])
}

// lists gives each client's claims, all blobs, and the pins.
func (c *connections) lists(t *testing.T, ctx context.Context) (claims [clients]map[string]*api.Info, all map[string]*api.Info, pins map[string]bool) {
	t.Helper()
	var err error
	for i := range claims {
		if claims[i], err = blob.List(ctx, c.client(i)); err != nil {
			t.Fatalf("list of %s's claims: %v", holderName(i), err)
		}
	}
	if all, err = blob.List(ctx, c.client(operator)); err != nil {
		t.Fatalf("list of all: %v", err)
	}
	if pins, err = blob.Pins(ctx, c.control); err != nil {
		t.Fatalf("list of the pins: %v", err)
	}
	return claims, all, pins
}

func (c *connections) close() {
	for _, conn := range c.clients {
		conn.Close()
	}
	c.control.Close()
}
