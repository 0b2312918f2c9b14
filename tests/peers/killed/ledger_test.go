package killed

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"

	"ipcs/tests/peers/internal/blob"
)

// holding is what the test knows of a claim or a pin: a call that was cut off leaves it open.
type holding int

const (
	no holding = iota
	yes
	perhaps
)

// entry is a blob that was committed, perhaps.
type entry struct {
	blob   blob.Blob
	labels map[string]string // of the claim; nil: not known
	claim  holding
	pin    holding
	busy   bool // a call about it is under way
	unread bool // committed since its bytes were last read back
}

// ledger is what ipcsd has acknowledged. Its functions may be called by several goroutines.
type ledger struct {
	mu      sync.Mutex
	entries map[string]*entry // by digest
}

// take gives a committed blob to a caller who alone may call ipcsd about it, until give. Nil: there is none.
func (l *ledger) take(random *rand.Rand, fits func(*entry) bool) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fitting []string
	for digest, e := range l.entries {
		if !e.busy && fits(e) {
			fitting = append(fitting, digest)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	slices.Sort(fitting) // a map's order is not the seed's
	e := l.entries[fitting[random.IntN(len(fitting))]]
	e.busy = true
	return e
}

// begin makes an entry for a commit; the caller owns it until give.
func (l *ledger) begin(b blob.Blob, labels map[string]string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{blob: b, labels: labels, busy: true, unread: true}
	l.entries[b.Digest] = e
	return e
}

func (l *ledger) give(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.busy = false
}

// forget is give, and drops the entry when nobody holds the blob any more.
func (l *ledger) forget(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.busy = false
	if e.claim == no && e.pin == no {
		delete(l.entries, e.blob.Digest)
	}
}

// compare holds the ledger against a started ipcsd: what was acknowledged is there, with its size and labels, what was
// deleted is not, and nothing else is there. What the ledger left open is settled by what is found.
func (l *ledger) compare(t *testing.T, ctx context.Context, content *grpc.ClientConn, control *grpc.ClientConn) {
	t.Helper()
	claims, err := blob.List(ctx, api.NewContentClient(content))
	if err != nil {
		t.Fatalf("list of the claims: %v", err)
	}
	all, err := blob.List(ctx, api.NewContentClient(control))
	if err != nil {
		t.Fatalf("list of all: %v", err)
	}
	pins, err := blob.Pins(ctx, control)
	if err != nil {
		t.Fatalf("list of the pins: %v", err)
	}
	for digest := range all {
		if claims[digest] == nil && !pins[digest] {
			t.Errorf("%s is listed, but neither claimed nor pinned", digest)
		}
		if l.entries[digest] == nil {
			t.Errorf("%s is there: nobody committed it, or its Delete was answered", digest)
		}
	}
	for digest, e := range l.entries {
		e.busy = false
		claim, pinned := claims[digest], pins[digest]
		open := e.claim == perhaps || e.pin == perhaps
		if e.claim == yes && claim == nil {
			t.Errorf("%s (%d bytes): its claim was acknowledged and is lost", digest, e.blob.Size)
		}
		if e.pin == yes && !pinned {
			t.Errorf("%s (%d bytes): its pin was acknowledged and is lost", digest, e.blob.Size)
		}
		// A cut-off Delete may leave bytes that nobody holds; containerd then gets a claim, and its collector decides.
		if !open && e.claim == no && claim != nil {
			t.Errorf("%s: there is a claim that was never made, or was dropped", digest)
		}
		if e.pin == no && pinned {
			t.Errorf("%s: there is a pin that was never made, or was dropped", digest)
		}
		if claim != nil {
			if claim.Size != int64(e.blob.Size) {
				t.Errorf("%s: listed with %d bytes, committed with %d", digest, claim.Size, e.blob.Size)
			}
			if e.claim == yes && e.labels != nil && !maps.Equal(claim.Labels, e.labels) {
				t.Errorf("%s: committed with the labels %v, has %v", digest, e.labels, claim.Labels)
			}
			if e.claim != yes {
				e.labels = claim.Labels
			}
		}
		e.claim, e.pin = holdingOf(claim != nil), holdingOf(pinned)
		if all[digest] == nil {
			delete(l.entries, digest)
			continue
		}
		if !e.unread {
			continue
		}
		// As the operator, for an Info of containerd would make a claim.
		info, err := api.NewContentClient(control).Info(ctx, &api.InfoRequest{Digest: digest})
		if err != nil || info.Info.Size != int64(e.blob.Size) {
			t.Errorf("%s: Info says %v, %v; %d bytes were committed", digest, info, err, e.blob.Size)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func holdingOf(held bool) holding {
	if held {
		return yes
	}
	return no
}

// read reads blobs back and hashes them: all of them, or those that were not read yet.
func (l *ledger) read(t *testing.T, ctx context.Context, content *grpc.ClientConn, all bool) (count int) {
	t.Helper()
	for digest, e := range l.entries {
		if !all && !e.unread {
			continue
		}
		data, err := blob.Read(ctx, api.NewContentClient(content), digest)
		if err != nil {
			t.Fatalf("%s (%d bytes): %v", digest, e.blob.Size, err)
		}
		if got := blob.Digest(data); got != digest || len(data) != e.blob.Size {
			t.Fatalf("%s: read %d bytes that hash to %s, %d were committed", digest, len(data), got, e.blob.Size)
		}
		e.unread = false
		count++
	}
	return count
}
