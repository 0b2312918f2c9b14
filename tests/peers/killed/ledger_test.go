package killed

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"

	"ipcs/tests/peers/internal/blob"
)

// holding is what the test knows of a claim or a pin: a call that was cut off leaves it open.
type holding int

const (
	no holding = iota
	yes
	perhaps
)

// Who holds blobs: the clients by claims, the operator by pins.
const (
	clients  = 2
	operator = clients
	holders  = clients + 1
)

// hold is one holder's claim or pin.
type hold struct {
	state   holding
	labels  map[string]string // of a claim; nil: not known
	busy    bool              // a call about it is under way
	fresh   bool              // made since the last restart
	changes int               // how often its state was written here
}

// entry is a blob that was committed, perhaps.
type entry struct {
	blob   blob.Blob
	holds  [holders]hold
	unread bool // committed, or dropped by a holder, since its bytes were last read back
}

// held says whether anybody is known to hold the blob.
func (e *entry) held() bool {
	return slices.ContainsFunc(e.holds[:], func(h hold) bool { return h.state == yes })
}

// open says whether a call that was cut off may have changed who holds the blob.
func (e *entry) open() bool {
	return slices.ContainsFunc(e.holds[:], func(h hold) bool { return h.state == perhaps })
}

// plan is a blob that one writer begins and each other holder may write, too.
type plan struct {
	blob  blob.Blob
	taken [holders]bool
}

// ledger is what ipcsd has acknowledged. Its functions may be called by several goroutines.
type ledger struct {
	mu      sync.Mutex
	entries map[string]*entry // by digest
	plans   []*plan           // the latest
}

func newLedger() *ledger { return &ledger{entries: map[string]*entry{}} }

const mostPlans = 12

// propose lets the other holders write a blob that this one begins.
func (l *ledger) propose(b blob.Blob, holder int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &plan{blob: b}
	p.taken[holder] = true
	l.plans = append(l.plans, p)
	if len(l.plans) > mostPlans {
		l.plans = l.plans[1:]
	}
}

// join gives a blob that others began; each holder gets it once, so that two of its calls never are about one digest.
func (l *ledger) join(random *rand.Rand, holder int) *blob.Blob {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fitting []*plan
	for _, p := range l.plans {
		if !p.taken[holder] {
			fitting = append(fitting, p)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	p := fitting[random.IntN(len(fitting))]
	p.taken[holder] = true
	return &p.blob
}

// call is one call that may change what a holder holds. Until it is ended nobody else makes one about the same hold.
type call struct {
	ledger *ledger
	entry  *entry
	holder int
	before [holders]hold // when the call began
}

// begin starts a call; what it leaves is open until end. The caller holds the lock.
func (l *ledger) begin(e *entry, holder int) *call {
	c := &call{l, e, holder, e.holds}
	own := &e.holds[holder]
	own.busy, own.state = true, perhaps
	own.changes++
	return c
}

// take begins a call of a holder about a blob that fits. Nil: there is none.
func (l *ledger) take(random *rand.Rand, holder int, fits func(*entry) bool) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fitting []string
	for digest, e := range l.entries {
		if !e.holds[holder].busy && fits(e) {
			fitting = append(fitting, digest)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	slices.Sort(fitting) // a map's order is not the seed's
	return l.begin(l.entries[fitting[random.IntN(len(fitting))]], holder)
}

// commit begins the COMMIT of a blob. Nil: another call of this holder is about it.
func (l *ledger) commit(b blob.Blob, holder int) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[b.Digest]
	if e == nil {
		e = &entry{blob: b}
		l.entries[b.Digest] = e
	}
	if e.holds[holder].busy {
		return nil
	}
	e.unread = true
	return l.begin(e, holder)
}

// again begins a call about a blob that this holder has and makes no call about. Nil: it does not have it, or does.
func (l *ledger) again(e *entry, holder int) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := e.holds[holder]; h.busy || h.state != yes {
		return nil
	}
	return l.begin(e, holder)
}

// end writes down what a call was answered. An entry that nobody holds is forgotten.
func (c *call) end(state holding, labels map[string]string) {
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	own := &c.entry.holds[c.holder]
	own.busy, own.state, own.labels, own.fresh = false, state, labels, state == yes
	own.changes++
	c.entry.unread = c.entry.unread || state == no
	for _, h := range c.entry.holds {
		if h.busy || h.state != no {
			return
		}
	}
	delete(c.ledger.entries, c.entry.blob.Digest)
}

// stays gives a holder of the blob, the caller's own hold aside, that has held it since the call began; -1: none.
func (c *call) stays() int {
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	for i, before := range c.before {
		if i != c.holder && before.state == yes && c.entry.holds[i].changes == before.changes {
			return i
		}
	}
	return -1
}

// ownLabels is what a claim has that a call found or made without labels of its own.
func (c *call) ownLabels() map[string]string {
	if own := c.before[c.holder]; own.state == yes {
		return own.labels
	}
	return map[string]string{}
}

// lonely says whether nobody else can have held the blob since the call began.
func (c *call) lonely() bool {
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	for i, before := range c.before {
		if before.state != no || i != c.holder && c.entry.holds[i].changes != before.changes {
			return false
		}
	}
	return true
}

// compare holds the ledger against a started ipcsd: what was acknowledged is there for whom it was acknowledged, with
// its size and labels, what was deleted is not, and nothing else is there. What the ledger left open is settled by
// what is found.
func (l *ledger) compare(t *testing.T, ctx context.Context, c *connections) {
	t.Helper()
	claims, all, pins := c.lists(t, ctx)
	for digest := range all {
		if claims[0][digest] == nil && claims[1][digest] == nil && !pins[digest] {
			t.Errorf("%s is listed, but neither claimed nor pinned", digest)
		}
		if l.entries[digest] == nil {
			t.Errorf("%s is there: nobody committed it, or its Delete was answered", digest)
		}
	}
	for digest, e := range l.entries {
		// What a cut-off call left without any holder is given to all clients, and their collectors decide.
		adopted := e.open() && !e.held()
		for i := range e.holds {
			h := &e.holds[i]
			there := pins[digest]
			if i != operator {
				there = claims[i][digest] != nil
			}
			switch {
			case h.state == yes && !there:
				t.Errorf("%s (%d bytes): %s's hold was acknowledged and is lost", digest, e.blob.Size, holderName(i))
			case h.state == no && there && (i == operator || !adopted):
				t.Errorf("%s: %s holds it, but never asked for it, or dropped it", digest, holderName(i))
			}
			if i != operator && there {
				info := claims[i][digest]
				if info.Size != int64(e.blob.Size) {
					t.Errorf("%s: listed with %d bytes, committed with %d", digest, info.Size, e.blob.Size)
				}
				if h.state == yes && h.labels != nil && !maps.Equal(info.Labels, h.labels) {
					t.Errorf("%s: %s's labels are %v, should be %v", digest, holderName(i), info.Labels, h.labels)
				}
			}
			fresh := there && (h.fresh || h.state != yes)
			*h = hold{state: holdingOf(there), fresh: fresh, changes: h.changes + 1}
			if i != operator && there {
				h.labels = notNil(claims[i][digest].Labels)
			}
		}
		if all[digest] == nil {
			delete(l.entries, digest)
			continue
		}
		l.ask(t, ctx, c, e)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// ask asks for a blob in the name of each who holds it newly; an Info of anybody else would make a claim.
func (l *ledger) ask(t *testing.T, ctx context.Context, c *connections, e *entry) {
	t.Helper()
	for i := range e.holds {
		if !e.holds[i].fresh {
			continue
		}
		e.holds[i].fresh = false
		info, err := c.client(i).Info(ctx, &api.InfoRequest{Digest: e.blob.Digest})
		if err != nil || info.Info.Size != int64(e.blob.Size) {
			t.Errorf("%s: Info says %v, %v to %s; %d bytes were committed", e.blob.Digest, info, err, holderName(i), e.blob.Size)
		}
	}
}

func holdingOf(held bool) holding {
	if held {
		return yes
	}
	return no
}

func notNil(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// read reads blobs back and hashes them: those that were not read yet as one who holds them, or all as all of them.
func (l *ledger) read(t *testing.T, ctx context.Context, c *connections, all bool) (count int) {
	t.Helper()
	for digest, e := range l.entries {
		if !all && !e.unread {
			continue
		}
		for k := range holders {
			i := (count + k) % holders
			if e.holds[i].state != yes {
				continue
			}
			data, err := blob.Read(ctx, c.client(i), digest)
			if err != nil {
				t.Fatalf("%s (%d bytes) as %s: %v", digest, e.blob.Size, holderName(i), err)
			}
			if got := blob.Digest(data); got != digest || len(data) != e.blob.Size {
				t.Fatalf("%s as %s: read %d bytes that hash to %s, %d were committed", digest, holderName(i), len(data), got, e.blob.Size)
			}
			if !all {
				break
			}
		}
		e.unread = false
		count++
	}
	return count
}
