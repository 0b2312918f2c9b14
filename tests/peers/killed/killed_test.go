// Package killed ends ipcsd with SIGKILL at random moments while clients write, delete and pin, and holds what is
// there after each restart against what had been acknowledged.
package killed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	kills       = 200
	writers     = 4                      // of containerd; one more is the operator's
	longestRun  = 150 * time.Millisecond // from the first write to the kill
	killedStart = 10                     // each such round is followed by a kill during the start
	longestBoot = 100 * time.Millisecond // of these
)

// errFault is a wrong answer, as opposed to the error of a call that the kill cut off.
var errFault = errors.New("wrong answer")

func fault(format string, arguments ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errFault}, arguments...)...)
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

// seed is what all the random choices follow from: the value of KILL_SEED, or the time.
func seed(t *testing.T) uint64 {
	given := os.Getenv("KILL_SEED")
	if given == "" {
		return uint64(time.Now().UnixNano())
	}
	value, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("KILL_SEED: %v", err)
	}
	return value
}

func TestKilledDuringWrites(t *testing.T) {
	ipcsd, start := process.Ipcsd(t), seed(t)
	fmt.Printf("KILL_SEED=%d\n", start) // at once, also when the test hangs later
	random := rand.New(rand.NewPCG(start, 0))
	base := process.Directory(t)
	book, done := &ledger{entries: map[string]*entry{}}, &counts{}
	var all []*writer
	for i := range writers + 1 {
		all = append(all, &writer{name: fmt.Sprintf("writer-%d", i), operator: i == writers, tiny: i == 0,
			random: rand.New(rand.NewPCG(start, uint64(i+1))), ledger: book, counts: done})
	}
	read := 0
	for round := range kills {
		daemon := process.StartIn(t, ipcsd, base)
		control := daemon.Control()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		check(t, ctx, book, all, daemon.Conn, control)
		read += book.read(t, ctx, daemon.Conn, false)
		work(t, ctx, all, daemon, control, time.Duration(random.Int64N(int64(longestRun))))
		cancel()
		daemon.Conn.Close()
		control.Close()
		if t.Failed() {
			t.Fatalf("after %d kills\n%s", round, daemon.Output())
		}
		if round%killedStart == 0 {
			killAtStart(t, ipcsd, base, time.Duration(random.Int64N(int64(longestBoot))))
		}
	}
	daemon := process.StartIn(t, ipcsd, base)
	control := daemon.Control()
	ctx := process.Context(t)
	check(t, ctx, book, all, daemon.Conn, control)
	read += book.read(t, ctx, daemon.Conn, true)
	noLeaks(t, ctx, book, daemon, control)
	finish(t, ctx, all, book, daemon, control)
	empty(t, ctx, ipcsd, base, daemon, control)

	t.Logf("%d kills: %d commits, %d bytes, %d ingests resumed, %d deletes, %d aborts, %d pins, %d unpins, %d blobs read back",
		kills, done.commits.Load(), done.bytes.Load(), done.resumed.Load(), done.deletes.Load(), done.aborts.Load(),
		done.pins.Load(), done.unpins.Load(), read)
	// A run in which little happened would prove little.
	for name, count := range map[string]*atomic.Int64{"commits": &done.commits, "resumed": &done.resumed, "deletes": &done.deletes} {
		if count.Load() < kills/2 {
			t.Errorf("only %d %s in %d rounds", count.Load(), name, kills)
		}
	}
	if done.pins.Load() < kills/40 || done.aborts.Load() < kills/40 {
		t.Errorf("only %d pins and %d aborts", done.pins.Load(), done.aborts.Load())
	}
}

func check(t *testing.T, ctx context.Context, book *ledger, all []*writer, content, control *grpc.ClientConn) {
	t.Helper()
	book.compare(t, ctx, content, control)
	for _, w := range all {
		if err := w.settle(ctx, content, control); err != nil {
			t.Fatalf("%s after the restart: %v", w.name, err)
		}
	}
}

// work lets the writers run and kills the daemon after a while.
func work(t *testing.T, ctx context.Context, all []*writer, daemon *process.Daemon, control *grpc.ClientConn, duration time.Duration) {
	t.Helper()
	var killed atomic.Bool
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() {
			// Calls fail when the daemon goes, and not before.
			if err := w.run(ctx, daemon.Conn, control); !killed.Load() || errors.Is(err, errFault) {
				t.Errorf("%s: %v", w.name, err)
			}
		})
	}
	time.Sleep(duration)
	killed.Store(true)
	daemon.Kill()
	group.Wait()
}

func killAtStart(t *testing.T, ipcsd, base string, duration time.Duration) {
	t.Helper()
	command := exec.Command(ipcsd, "--root", filepath.Join(base, "root"), "--address", filepath.Join(base, "content.sock"))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(duration)
	command.Process.Kill()
	command.Wait()
}

// noLeaks holds the files against what ipcsd serves.
func noLeaks(t *testing.T, ctx context.Context, book *ledger, daemon *process.Daemon, control *grpc.ClientConn) {
	t.Helper()
	output, err := exec.Command(process.Ipcsctl(t), "-a", daemon.ControlSocket(), "--no-progress", "verify").CombinedOutput()
	if err != nil {
		t.Errorf("ipcsctl verify: %v\n%s", err, output)
	}
	for _, name := range files(t, daemon.Root, "local/blobs/sha256") {
		if book.entries["sha256:"+name] == nil {
			t.Errorf("the file of blob %s is there, but nobody holds it", name)
		}
	}
	statuses, err := api.NewContentClient(control).ListStatuses(ctx, &api.ListStatusesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if held := files(t, daemon.Root, "local/ipcs-ingest"); len(held) != len(statuses.Statuses) {
		t.Errorf("%d files of ingests for %d ingests", len(held), len(statuses.Statuses))
	}
	if _, err := os.Stat(filepath.Join(daemon.Root, "local/quarantine")); err == nil {
		t.Errorf("something was put into quarantine: %v", files(t, daemon.Root, "local/quarantine/sha256"))
	}
}

// finish lets each writer complete what it has begun, and takes all holds away.
func finish(t *testing.T, ctx context.Context, all []*writer, book *ledger, daemon *process.Daemon, control *grpc.ClientConn) {
	t.Helper()
	containerd, operator := daemon.Client(), api.NewContentClient(control)
	for _, w := range all {
		client := containerd
		if w.operator {
			client = operator
		}
		for _, in := range append(w.parked, w.current) {
			if in == nil {
				continue
			}
			if err := blob.Put(ctx, client, in.ref, in.data); err != nil {
				t.Errorf("%s: ref %q: %v", w.name, in.ref, err)
			}
			book.entries[in.blob.Digest] = &entry{blob: in.blob, claim: holdingOf(!w.operator), pin: holdingOf(w.operator)}
		}
	}
	book.compare(t, ctx, daemon.Conn, control)
	book.read(t, ctx, daemon.Conn, true)
	for digest, e := range book.entries {
		for held, client := range map[*holding]api.ContentClient{&e.claim: containerd, &e.pin: operator} {
			if *held != yes {
				continue
			}
			if _, err := client.Delete(ctx, &api.DeleteContentRequest{Digest: digest}); err != nil {
				t.Errorf("delete of %s: %v", digest, err)
			}
		}
	}
}

// empty holds that nothing is left, before and after a restart.
func empty(t *testing.T, ctx context.Context, ipcsd, base string, daemon *process.Daemon, control *grpc.ClientConn) {
	t.Helper()
	for _, when := range []string{"after all deletes", "after a restart"} {
		(&ledger{entries: map[string]*entry{}}).compare(t, ctx, daemon.Conn, control)
		for _, directory := range []string{"local/blobs/sha256", "local/ipcs-ingest", "scratch/local"} {
			if left := files(t, daemon.Root, directory); len(left) > 0 {
				t.Errorf("%s: %s holds %v", when, directory, left)
			}
		}
		statuses, err := api.NewContentClient(control).ListStatuses(ctx, &api.ListStatusesRequest{})
		if err != nil || len(statuses.Statuses) > 0 {
			t.Errorf("%s: ingests: %v, %v", when, statuses, err)
		}
		if when == "after all deletes" {
			daemon.Kill()
			daemon = process.StartIn(t, ipcsd, base)
			control = daemon.Control()
		}
	}
	daemon.Stop()
}

func files(t *testing.T, root, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, directory))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
