package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	someHung     = 400  // Reads that hang, with threads of their lane to spare
	allHung      = 2200 // more than the lane has threads:
	laneThreads  = 2048
	laneSamples  = 2000
	laneRounds   = 3 // the best counts: the machine has other work too
	infoP99      = 10 * time.Millisecond
	commitP99    = 100 * time.Millisecond // of a backend in memory: what the daemon itself adds
	freedLimit   = 5 * time.Second        // until cancelled calls have given up their threads' work
	stopInTime   = 9 * time.Second        // five seconds for calls that run, then they are cancelled
	stopWithDeaf = 14 * time.Second       // five more for those that do not notice
)

// laneLab is an ipcsd with two sockets on a backend in memory in which some reads hang.
type laneLab struct {
	*process.Daemon
	a, b   api.ContentClient // of the two sockets
	spare  api.ContentClient // another connection to a's socket; reads hang on both
	seed   atomic.Uint64
	hung   []blob.Blob // they wait in open_blob and in read_at
	deaf   blob.Blob
	plain  []blob.Blob
	ctx    context.Context
	cancel context.CancelFunc // ends the hung reads
	ended  sync.WaitGroup
}

func startLanes(t *testing.T, plugin string, more ...string) *laneLab {
	t.Helper()
	base, ipcsd := process.Directory(t), process.Ipcsd(t)
	plugins := filepath.Join(base, "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(hangingPlugins(t), plugin+".so"), filepath.Join(plugins, plugin+".so"))
	root, a, b := filepath.Join(base, "root"), filepath.Join(base, "a.sock"), filepath.Join(base, "b.sock")
	arguments := config(t, base, strings.Join(more, "\n")+fmt.Sprintf(`
root = %q
plugin_dirs = [%q]
backend = %q
[[grpc]]
name = "a"
address = %q
[[grpc]]
name = "b"
address = %q
[control]
address = %q
`, root, plugins, plugin, a, b, filepath.Join(root, "control.sock")))
	l := &laneLab{Daemon: process.StartWith(t, ipcsd, root, a, arguments...)}
	l.a = l.Client()
	l.spare, l.b = api.NewContentClient(l.Connect(a)), api.NewContentClient(l.Connect(b))
	ctx := process.Context(t)
	put := func(data []byte) blob.Blob {
		digest := blob.Digest(data)
		for _, client := range []api.ContentClient{l.a, l.b} {
			if err := blob.Put(ctx, client, digest, data); status.Code(err) != codes.OK && status.Code(err) != codes.AlreadyExists {
				t.Fatal(err)
			}
		}
		return blob.Blob{Size: len(data), Digest: digest}
	}
	for i := range 8 {
		l.hung = append(l.hung, put(fmt.Appendf(nil, "hang in open %d", i)), put(fmt.Appendf(nil, "hang in read %d", i)))
	}
	l.deaf = put([]byte("deaf in read"))
	for i := range 4 {
		l.plain = append(l.plain, put(blob.New(uint64(i), 300_000).Bytes()))
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.Cleanup(l.cancel)
	return l
}

// hangingPlugins is where the plugins of tests/peers are built: the value of HANGING_PLUGINS.
func hangingPlugins(t *testing.T) string {
	t.Helper()
	directory := os.Getenv("HANGING_PLUGINS")
	if directory == "" {
		t.Fatal("HANGING_PLUGINS is not set; it names the built plugins of tests/peers")
	}
	return directory
}

// hang begins `count` Reads that hang, on both connections to a's socket, in open_blob and in read_at, some small and some
// large.
func (l *laneLab) hang(t *testing.T, count int) {
	t.Helper()
	for i := range count {
		request := &api.ReadContentRequest{Digest: l.hung[i%len(l.hung)].Digest, Size: int64(i / len(l.hung) % 2 * 8)}
		client := l.a
		if i/len(l.hung)/2%2 == 1 {
			client = l.spare
		}
		stream, err := client.Read(l.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		l.ended.Go(func() {
			if _, err := stream.Recv(); status.Code(err) != codes.Canceled && status.Code(err) != codes.Unavailable {
				t.Errorf("a Read that hangs: %v", err)
			}
		})
	}
}

// awaitThreads returns when the daemon has so many.
func (l *laneLab) awaitThreads(t *testing.T, count int) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); l.Threads() < count; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d threads, %d Reads should hang", l.Threads(), count)
		}
	}
}

// p99 makes `count` calls one after the other and gives the time that all but one in a hundred stay within.
func p99(t *testing.T, name string, count int, call func(i int) error) time.Duration {
	t.Helper()
	times := make([]time.Duration, count)
	for i := range times {
		start := time.Now()
		if err := call(i); err != nil {
			t.Errorf("%s: %v", name, err)
			return time.Hour
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	slow := times[count*99/100]
	t.Logf("%-34s p50 %8v  p99 %8v  max %8v", name, times[count/2], slow, times[count-1])
	return slow
}

// best fails unless one of a few rounds stays within the bound.
func best(t *testing.T, name string, bound time.Duration, count int, call func(i int) error) {
	t.Helper()
	least := time.Hour
	for range laneRounds {
		if least = min(least, p99(t, name, count, call)); least < bound || t.Failed() {
			return
		}
	}
	t.Errorf("%s: p99 %v, at most %v is due", name, least, bound)
}

// control measures what containerd calls under its locks, on one client whose uploads have all their bytes.
func (l *laneLab) control(t *testing.T, name string, client api.ContentClient, uploads []upload) {
	t.Helper()
	ctx := process.Context(t)
	blobs := append(slices.Clone(l.hung), l.plain...)
	best(t, "Info, "+name, infoP99, laneSamples, func(i int) error {
		b := blobs[i%len(blobs)]
		info, err := client.Info(ctx, &api.InfoRequest{Digest: b.Digest})
		if err == nil && info.Info.Size != int64(b.Size) {
			return fmt.Errorf("%v", info)
		}
		return err
	})
	best(t, "Info of nothing, "+name, infoP99, laneSamples/4, func(int) error {
		_, err := client.Info(ctx, &api.InfoRequest{Digest: blob.Digest(l.fresh())})
		if status.Code(err) == codes.NotFound {
			return nil
		}
		return fmt.Errorf("not NotFound: %w", err)
	})
	best(t, "List, "+name, commitP99, laneSamples/10, func(int) error {
		listed, err := blob.List(ctx, client)
		if err == nil && len(listed) < len(blobs) {
			return fmt.Errorf("%d blobs", len(listed))
		}
		return err
	})
	best(t, "Status, "+name, infoP99, laneSamples/4, func(i int) error {
		_, err := client.Status(ctx, &api.StatusRequest{Ref: uploads[i%len(uploads)].digest})
		return err
	})
	best(t, "STAT and Abort, "+name, commitP99, laneSamples/10, func(int) error {
		u, err := blob.Open(ctx, client, "aborted", 0)
		if err == nil {
			err = u.Close()
		}
		if err == nil {
			_, err = client.Abort(ctx, &api.AbortRequest{Ref: "aborted"})
		}
		return err
	})
	each := len(uploads) / laneRounds
	next := 0
	best(t, "COMMIT, "+name, commitP99, each, func(int) error {
		u := uploads[next]
		next++
		return u.Commit(u.digest, nil)
	})
	gone := 0
	best(t, "Delete, "+name, commitP99, next/laneRounds, func(int) error {
		u := uploads[gone]
		gone++
		_, err := client.Delete(ctx, &api.DeleteContentRequest{Digest: u.digest})
		return err
	})
}

// fresh is bytes that no call has given.
func (l *laneLab) fresh() []byte { return fmt.Append(nil, "fresh ", l.seed.Add(1)) }

type upload struct {
	*blob.Upload
	digest string // of its bytes; also its ref
}

// uploads sends the bytes of many blobs, all but the COMMIT.
func (l *laneLab) uploads(t *testing.T, client api.ContentClient) (all []upload) {
	t.Helper()
	for range 100 * laneRounds {
		data := l.fresh()
		u, err := blob.Open(process.Context(t), client, blob.Digest(data), int64(len(data)))
		if err == nil {
			err = u.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, upload{u, blob.Digest(data)})
	}
	return all
}

// data measures calls that may wait for a network but have no reason to: they need threads beside the hung ones.
func (l *laneLab) data(t *testing.T, name string, client api.ContentClient) {
	t.Helper()
	ctx := process.Context(t)
	best(t, "write of a blob, "+name, commitP99, laneSamples/10, func(int) error {
		data := l.fresh()
		return blob.Put(ctx, client, blob.Digest(data), data)
	})
	best(t, "Read of another blob, "+name, commitP99, laneSamples/10, func(i int) error {
		b := l.plain[i%len(l.plain)]
		data, err := blob.Read(ctx, client, b.Digest)
		if err == nil && blob.Digest(data) != b.Digest {
			return fmt.Errorf("other bytes")
		}
		return err
	})
	best(t, "Read of 32 KiB, "+name, commitP99, laneSamples/4, func(i int) error {
		stream, err := client.Read(ctx, &api.ReadContentRequest{Digest: l.plain[i%len(l.plain)].Digest, Size: 32 << 10})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	})
}

// TestLanes fills the lane of calls that may wait for a network with Reads that hang, on the connections and the socket of
// the calls that containerd makes under its locks, and measures those: containerd would stall with them.
func TestLanes(t *testing.T) {
	l := startLanes(t, "hanging")
	clients := []struct {
		name   string
		client api.ContentClient
	}{{"same connection", l.a}, {"other socket", l.b}}
	uploads := func() (all [][]upload) {
		for _, c := range clients {
			all = append(all, l.uploads(t, c.client))
		}
		return all
	}
	idle, some, saturated := uploads(), uploads(), uploads()
	for i, c := range clients {
		l.control(t, "nothing hangs, "+c.name, c.client, idle[i])
	}
	l.hang(t, someHung)
	l.awaitThreads(t, someHung)
	for i, c := range clients {
		l.control(t, fmt.Sprintf("%d hang, %s", someHung, c.name), c.client, some[i])
		l.data(t, fmt.Sprintf("%d hang, %s", someHung, c.name), c.client)
	}
	l.hang(t, allHung-someHung)
	l.awaitThreads(t, laneThreads)
	for i, c := range clients {
		l.control(t, "all hang, "+c.name, c.client, saturated[i])
	}
	// A containerd that gives up its reads has its lane back.
	start := time.Now()
	l.cancel()
	l.ended.Wait()
	wants(t, readAll(t, l.a, l.plain[0]), codes.OK)
	took := time.Since(start)
	t.Logf("%d cancelled Reads have made room after %v", allHung, took)
	if took > freedLimit {
		t.Errorf("%d cancelled Reads hold up others for %v", allHung, took)
	}
	// Those that still run at the end are cancelled then.
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.Cleanup(l.cancel)
	l.hang(t, someHung)
	l.awaitThreads(t, someHung)
	start = time.Now()
	l.Stop()
	if took := time.Since(start); took > stopInTime {
		t.Errorf("the end took %v with %d Reads that hang", took, someHung)
	}
	l.ended.Wait()
}

// TestDeafRead ends a daemon whose backend is in a call that notices nothing.
func TestDeafRead(t *testing.T) {
	t.Parallel()
	for _, plugin := range []string{"hanging", "hanging-local"} {
		t.Run(plugin, func(t *testing.T) {
			t.Parallel()
			l := startLanes(t, plugin)
			stream, err := l.b.Read(l.ctx, &api.ReadContentRequest{Digest: l.deaf.Digest, Size: 4})
			wants(t, err, codes.OK)
			l.ended.Go(func() { stream.Recv() })
			time.Sleep(200 * time.Millisecond)
			_, err = l.b.Info(process.Context(t), &api.InfoRequest{Digest: l.deaf.Digest})
			wants(t, err, codes.OK)
			start := time.Now()
			l.Stop()
			if took := time.Since(start); took > stopWithDeaf {
				t.Errorf("the end took %v", took)
			}
			l.ended.Wait()
		})
	}
}

// TestLocalReadHangs has a backend hang that says it waits for a local disk at most, as it does when that disk is ill:
// reads that hang delay others once, and only shortly.
func TestLocalReadHangs(t *testing.T) {
	l := startLanes(t, "hanging-local")
	l.hang(t, someHung)
	for _, c := range []struct {
		name   string
		client api.ContentClient
	}{{"same connection", l.a}, {"other socket", l.b}} {
		l.control(t, "local, "+c.name, c.client, l.uploads(t, c.client))
		l.data(t, "local, "+c.name, c.client)
	}
	l.cancel()
	l.ended.Wait()
	l.Stop()
}

func readAll(t *testing.T, client api.ContentClient, b blob.Blob) error {
	_, err := blob.Read(process.Context(t), client, b.Digest)
	return err
}
