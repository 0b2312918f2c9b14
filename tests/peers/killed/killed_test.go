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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	kills       = 200
	writers     = 4                      // two for each client; one more is the operator's
	longestRun  = 150 * time.Millisecond // from the first write to the kill
	killedStart = 10                     // each such round is followed by a kill during the start
	longestBoot = 100 * time.Millisecond // of these
)

// errFault is a wrong answer, as opposed to the error of a call that the kill cut off.
var errFault = errors.New("wrong answer")

func fault(format string, arguments ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errFault}, arguments...)...)
}

func isNotFound(err error) bool      { return status.Code(err) == codes.NotFound }
func isAlreadyExists(err error) bool { return status.Code(err) == codes.AlreadyExists }

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
	l := newLab(t, ipcsd)
	book, done := newLedger(), &counts{}
	var all []*writer
	for i := range writers + 1 {
		w := &writer{name: fmt.Sprintf("writer-%d", i), holder: i % clients, refs: fmt.Sprint(i / clients), tiny: i == 0,
			random: rand.New(rand.NewPCG(start, uint64(i+1))), ledger: book, counts: done}
		if i == writers {
			w.holder, w.refs = operator, "operator" // he would be shown the clients' ingests of his refs
		}
		all = append(all, w)
	}
	read := 0
	for round := range kills {
		c := l.start(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		check(t, ctx, book, all, c)
		read += book.read(t, ctx, c, false)
		work(t, ctx, all, c, time.Duration(random.Int64N(int64(longestRun))))
		cancel()
		c.close()
		if t.Failed() {
			t.Fatalf("after %d kills\n%s", round, c.daemon.Output())
		}
		if round%killedStart == 0 {
			l.killAtStart(t, time.Duration(random.Int64N(int64(longestBoot))))
		}
	}
	c := l.start(t)
	ctx := process.Context(t)
	check(t, ctx, book, all, c)
	read += book.read(t, ctx, c, true)
	noLeaks(t, ctx, book, c)
	finish(t, ctx, all, book, c)
	empty(t, ctx, l, c)

	t.Logf("%d kills: %d commits, %d bytes, %d ingests resumed, %d deletes, %d aborts, %d pins, %d unpins, %d blobs read back; "+
		"%d held by AlreadyExists, %d by Info, %d dropped while others hold them",
		kills, done.commits.Load(), done.bytes.Load(), done.resumed.Load(), done.deletes.Load(), done.aborts.Load(),
		done.pins.Load(), done.unpins.Load(), read,
		done.existed.Load(), done.infos.Load(), done.parted.Load())
	// A run in which little happened would prove little.
	for name, count := range map[string]*atomic.Int64{"commits": &done.commits, "resumed": &done.resumed, "deletes": &done.deletes,
		"claims by AlreadyExists": &done.existed, "claims by Info": &done.infos, "parted deletes": &done.parted} {
		if count.Load() < kills/2 {
			t.Errorf("only %d %s in %d rounds", count.Load(), name, kills)
		}
	}
	if done.pins.Load() < kills/40 || done.aborts.Load() < kills/40 {
		t.Errorf("only %d pins and %d aborts", done.pins.Load(), done.aborts.Load())
	}
}

func check(t *testing.T, ctx context.Context, book *ledger, all []*writer, c *connections) {
	t.Helper()
	book.compare(t, ctx, c)
	for _, w := range all {
		if err := w.settle(ctx, c.client(w.holder)); err != nil {
			t.Fatalf("%s after the restart: %v", w.name, err)
		}
	}
}

// work lets the writers run and kills the daemon after a while.
func work(t *testing.T, ctx context.Context, all []*writer, c *connections, duration time.Duration) {
	t.Helper()
	var killed atomic.Bool
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() {
			// Calls fail when the daemon goes, and not before.
			if err := w.run(ctx, c); !killed.Load() || errors.Is(err, errFault) {
				t.Errorf("%s: %v", w.name, err)
			}
		})
	}
	time.Sleep(duration)
	killed.Store(true)
	c.daemon.Kill()
	group.Wait()
}

// noLeaks holds the files against what ipcsd serves.
func noLeaks(t *testing.T, ctx context.Context, book *ledger, c *connections) {
	t.Helper()
	output, err := exec.Command(process.Ipcsctl(t), "-a", c.daemon.ControlSocket(), "--no-progress", "verify").CombinedOutput()
	if err != nil {
		t.Errorf("ipcsctl verify: %v\n%s", err, output)
	}
	eventually(t, func() (wrong []string) {
		for _, name := range storedBlobs(t, c.daemon) {
			if book.entries["sha256:"+name] == nil {
				wrong = append(wrong, fmt.Sprintf("blob %s is stored, but nobody holds it", name))
			}
		}
		return wrong
	})
	if held, listed := storedIngests(t, c.daemon), ingests(t, ctx, c); len(held) != len(listed) {
		t.Errorf("%d files of ingests for %d ingests", len(held), len(listed))
	}
	if names := quarantined(t, c.daemon); len(names) > 0 {
		t.Errorf("something was put into quarantine: %v", names)
	}
}

// ingests lists everybody's.
func ingests(t *testing.T, ctx context.Context, c *connections) []*api.Status {
	t.Helper()
	response, err := c.client(operator).ListStatuses(ctx, &api.ListStatusesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return response.Statuses
}

// finish lets each writer complete what it has begun, and takes all holds away, one holder's after the other's.
func finish(t *testing.T, ctx context.Context, all []*writer, book *ledger, c *connections) {
	t.Helper()
	for _, w := range all {
		for _, in := range append(w.parked, w.current) {
			if in == nil {
				continue
			}
			commit := book.commit(in.blob, w.holder)
			if err := blob.Put(ctx, c.client(w.holder), in.ref, in.data); err != nil && !isAlreadyExists(err) {
				t.Errorf("%s: ref %q: %v", w.name, in.ref, err)
			}
			commit.end(yes, nil)
		}
	}
	book.compare(t, ctx, c)
	for holder := range holders {
		book.read(t, ctx, c, false) // what another holder dropped
		dropped := 0
		for digest, e := range book.entries {
			drop := book.again(e, holder)
			if drop == nil {
				continue
			}
			if _, err := c.client(holder).Delete(ctx, &api.DeleteContentRequest{Digest: digest}); err != nil {
				t.Errorf("delete of %s by %s: %v", digest, holderName(holder), err)
			}
			drop.end(no, nil)
			dropped++
		}
		if dropped == 0 {
			t.Errorf("%s held nothing at the end", holderName(holder))
		}
		book.compare(t, ctx, c)
	}
}

// empty holds that nothing is left, before and after a restart.
func empty(t *testing.T, ctx context.Context, l *lab, c *connections) {
	t.Helper()
	for _, when := range []string{"after all deletes", "after a restart"} {
		newLedger().compare(t, ctx, c)
		eventually(t, func() (wrong []string) {
			for what, left := range map[string][]string{"blobs": storedBlobs(t, c.daemon), "ingests": storedIngests(t, c.daemon), "pins": kuboPins(t, c.daemon),
				"scratch": files(t, c.daemon.Root, "scratch/"+backend())} {
				if len(left) > 0 {
					wrong = append(wrong, fmt.Sprintf("%s: %s: %v are left", when, what, left))
				}
			}
			return wrong
		})
		if left := ingests(t, ctx, c); len(left) > 0 {
			t.Errorf("%s: ingests: %v", when, left)
		}
		if when == "after all deletes" {
			c.daemon.Kill()
			c = l.start(t)
		}
	}
	c.daemon.Stop()
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
