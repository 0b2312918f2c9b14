package unpack

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	typesapi "github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"ipcs/tests/peers/internal/process"
)

func TestCancelledCallEndsTheWorker(t *testing.T) {
	p := start(t)
	var files []file
	for i := range 20_000 {
		files = append(files, file{Header: tar.Header{Name: fmt.Sprintf("d%d/f%d", i%100, i), Mode: 0o644}, body: "text"})
	}
	d := p.put(t, gzipLayer, gzipped(archive(t, files...)))
	where := p.bind(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := p.ours.Apply(ctx, d, where.mounts)
		done <- err
	}()
	eventually(t, "a file", func() bool {
		entries, _ := os.ReadDir(where.root)
		return len(entries) > 0
	})
	cancel()
	if err := <-done; !errdefs.IsCanceled(err) {
		t.Errorf("%v", err)
	}
	eventually(t, "the worker's end", func() bool { return len(workers(t, p.daemon.Pid())) == 0 })
	// The same layer again, to its end.
	if got := applied(p.ours, d, p.bind(t)); got.err != nil {
		t.Error(got.err)
	}
}

// workers lists the children of a process that unpack.
func workers(t *testing.T, parent int) []string {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		found = append(found, strings.Fields(string(text))...)
	}
	return found
}

func TestRequests(t *testing.T) {
	p := start(t)
	d := p.put(t, gzipLayer, gzipped(archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: "x"})))
	where := p.bind(t)
	if got := applied(p.ours, d, where, diff.WithSyncFs(true)); got.err != nil {
		t.Errorf("with sync: %v", got.err)
	}
	request := &diffapi.ApplyRequest{Mounts: mount.ToProto(where.mounts), Payloads: map[string]*anypb.Any{"keys": {}}}
	if _, err := p.client.Apply(context.Background(), request); status.Code(err) != codes.Unimplemented ||
		!strings.Contains(err.Error(), `"keys"`) {
		t.Errorf("with a payload: %v", err)
	}
	// CRI sends this one with every layer that it unpacks itself, and a processor that is not asked for needs none.
	request = &diffapi.ApplyRequest{Diff: &typesapi.Descriptor{MediaType: d.MediaType, Digest: d.Digest.String(), Size: d.Size},
		Mounts: mount.ToProto(where.mounts), Payloads: map[string]*anypb.Any{"io.containerd.ocicrypt.decoder.v1.tar.gzip": {}}}
	if _, err := p.client.Apply(context.Background(), request); err != nil {
		t.Errorf("with the payload of a decoder: %v", err)
	}
	if _, err := p.client.Diff(context.Background(), &diffapi.DiffRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("Diff: %v", err)
	}
	info, err := os.Stat(filepath.Join(p.base, "diff.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
}

func TestLimit(t *testing.T) {
	base := process.Directory(t)
	config := filepath.Join(base, "limit.toml")
	if err := os.WriteFile(config, []byte("version = 1\n[diff]\nmax_size = \"4MiB\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", config)
	layer := func(size int) []byte {
		return gzipped(archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: strings.Repeat("\x00", size)}))
	}
	if got := applied(p.ours, p.put(t, gzipLayer, layer(4<<20-1024-512)), p.bind(t)); got.err != nil || got.size > 4<<20 {
		t.Errorf("%+v", got)
	}
	where := p.bind(t)
	err := applied(p.ours, p.put(t, gzipLayer, layer(1<<30)), where).err
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "4194304 bytes") {
		t.Errorf("%v", err)
	}
	bomb := zstandard(archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: strings.Repeat("\x00", 64<<20)}))
	err = applied(p.ours, p.put(t, zstdLayer, bomb), p.bind(t)).err
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "4194304 bytes") {
		t.Errorf("zstd: %v", err)
	}
	if written, _ := os.Stat(filepath.Join(where.root, "f")); written != nil && written.Size() > 5<<20 {
		t.Errorf("%d bytes were written", written.Size())
	}
}

// A caller in another mount or user namespace, as which this test starts itself.
func TestAnotherNamespace(t *testing.T) {
	const socket = "UNPACK_SOCKET"
	if path := os.Getenv(socket); path != "" {
		connection, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = diffapi.NewDiffClient(connection).Apply(context.Background(), &diffapi.ApplyRequest{})
		fmt.Printf("answer: %v\n", err)
		return
	}
	p := start(t)
	for kind, flags := range map[string][]string{"mount": {"--mount"}, "user": {"--user", "--map-root-user"}} {
		other := exec.Command("unshare", append(flags, os.Args[0], "-test.run=^TestAnotherNamespace$")...)
		other.Env = append(os.Environ(), socket+"="+filepath.Join(p.base, "diff.sock"))
		out, err := other.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "code = FailedPrecondition desc = containerd (process ") ||
			!strings.Contains(string(out), "has another "+kind+" namespace than ipcsd") {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
}
