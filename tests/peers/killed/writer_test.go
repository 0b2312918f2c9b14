package killed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"

	"ipcs/tests/peers/internal/blob"
)

const (
	largest     = 4 << 20  // bytes of a blob
	largestPart = 1 << 20  // bytes of a message
	fewBytes    = 16       // a blob of fewer may come twice by chance
	inMemory    = 32 << 10 // bytes of a new ingest that a kill may take, as long as its stream is open
	mostParked  = 3        // ingests that a writer leaves half done
)

// ingest is an upload as its writer knows it.
type ingest struct {
	ref        string
	blob       blob.Blob
	data       []byte
	begun      bool // the first message was answered
	acked      int64
	sent       int64
	stored     bool // what was acknowledged survives a kill
	committing bool // COMMIT or Abort was sent: it may be gone
}

// counts is what the writers did, all of them together.
type counts struct {
	commits, resumed, deletes, aborts, pins, unpins, bytes atomic.Int64
	existed, infos, parted                                 atomic.Int64 // held by AlreadyExists, by Info; dropped while others hold
}

// writer writes, deletes and pins, one call at a time, until ipcsd is killed; after the restart it goes on.
type writer struct {
	name    string
	holder  int    // a client, or the operator on the control socket, who pins what he commits
	refs    string // how its refs begin; two clients use the same ones
	tiny    bool   // makes blobs of fewer than fewBytes
	random  *rand.Rand
	ledger  *ledger
	counts  *counts
	number  int
	current *ingest   // to be gone on with
	parked  []*ingest // left for later
}

// run works until a call fails and gives that call's error.
func (w *writer) run(ctx context.Context, c *connections) error {
	client := c.client(w.holder)
	for {
		var err error
		switch choice := w.random.IntN(100); {
		case w.current != nil:
			err = w.upload(ctx, client)
		case choice < 30:
			err = w.delete(ctx, c)
		case choice < 40 && w.holder == operator:
			err = w.pin(ctx, c.control)
		case choice < 40:
			err = w.info(ctx, client)
		case choice < 45 && len(w.parked) > 0:
			err = w.abort(ctx, client)
		case choice < 55 && len(w.parked) > 0:
			w.current, w.parked = w.parked[0], w.parked[1:]
		default:
			w.begin()
		}
		if err != nil {
			return err
		}
	}
}

func (w *writer) begin() {
	w.number++
	ref := fmt.Sprintf("%s/%d\n", w.refs, w.number)
	if w.random.IntN(3) == 0 {
		if b := w.ledger.join(w.random, w.holder); b != nil {
			w.current = &ingest{ref: ref, blob: *b, data: b.Bytes()}
			return
		}
	}
	size := w.random.IntN([]int{4 << 10, 256 << 10, largest + 1}[w.random.IntN(3)])
	if w.random.IntN(20) == 0 {
		size = []int{1, 32 << 10, largestPart, largest}[w.random.IntN(4)]
	}
	// A client writes a blob once, or its calls would change each other's answers; so only one makes those of which
	// there are few.
	if !w.tiny {
		size = max(size, fewBytes)
	}
	b := blob.New(w.random.Uint64(), size)
	if size < fewBytes && w.known(b) {
		b = blob.New(w.random.Uint64(), fewBytes)
	}
	if size >= fewBytes {
		w.ledger.propose(b, w.holder)
	}
	w.current = &ingest{ref: ref, blob: b, data: b.Bytes()}
}

// known says whether this writer's blob is there already, or half there.
func (w *writer) known(b blob.Blob) bool {
	for _, in := range w.parked {
		if in.blob.Digest == b.Digest {
			return true
		}
	}
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return w.ledger.entries[b.Digest] != nil
}

func (w *writer) upload(ctx context.Context, client api.ContentClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := w.current
	upload, err := blob.Open(ctx, client, in.ref, int64(len(in.data)))
	if err != nil {
		return err
	}
	in.begun = true
	if upload.Offset < in.acked || upload.Offset > in.sent {
		return fault("ref %q goes on at %d; %d bytes were acknowledged, %d sent", in.ref, upload.Offset, in.acked, in.sent)
	}
	if want := blob.Digest(in.data[:upload.Offset]); upload.Digest != want {
		return fault("ref %q: the %d bytes held have the digest %s, said to be %s", in.ref, upload.Offset, want, upload.Digest)
	}
	if upload.Offset > 0 {
		w.counts.resumed.Add(1)
	}
	for upload.Offset < int64(len(in.data)) {
		if len(w.parked) < mostParked && w.random.IntN(40) == 0 {
			w.current, w.parked = nil, append(w.parked, in)
			if err := upload.Close(); err != nil {
				return err
			}
			in.stored = true
			return nil
		}
		part := in.data[upload.Offset:min(upload.Offset+1+w.random.Int64N(largestPart), int64(len(in.data)))]
		in.sent = upload.Offset + int64(len(part))
		if err := upload.Write(part); err != nil {
			return err
		}
		if upload.Offset != in.sent {
			return fault("ref %q: %d bytes were sent, the answer says %d", in.ref, in.sent, upload.Offset)
		}
		in.acked = upload.Offset
		in.stored = in.stored || in.acked > inMemory
		w.counts.bytes.Add(int64(len(part)))
	}
	return w.commit(upload, in)
}

func (w *writer) commit(upload *blob.Upload, in *ingest) error {
	labels := map[string]string{"writer": w.name, "ref": in.ref}
	c := w.ledger.commit(in.blob, w.holder)
	if c == nil { // somebody of this client drops it, or asks for it, just now
		w.current, w.parked = nil, append(w.parked, in)
		if err := upload.Close(); err != nil {
			return err
		}
		in.stored = true
		return nil
	}
	in.committing = true
	err := upload.Commit(in.blob.Digest, labels)
	switch {
	case err == nil && c.stays() >= 0:
		return fault("COMMIT of %s: OK, but %s has it", in.blob.Digest, holderName(c.stays()))
	case isAlreadyExists(err) && c.lonely():
		return fault("COMMIT of %s: %v, but nobody has it", in.blob.Digest, err)
	case isAlreadyExists(err):
		labels = c.ownLabels()
		w.counts.existed.Add(1)
	case err != nil:
		return err
	}
	c.end(yes, labels)
	w.current = nil
	w.counts.commits.Add(1)
	return nil
}

// info learns of a blob that others hold, and so holds it, too.
func (w *writer) info(ctx context.Context, client api.ContentClient) error {
	c := w.ledger.take(w.random, w.holder, func(e *entry) bool { return e.holds[w.holder].state == no && e.held() })
	if c == nil {
		return nil
	}
	response, err := client.Info(ctx, &api.InfoRequest{Digest: c.entry.blob.Digest})
	switch {
	case isNotFound(err) && c.stays() < 0:
		c.end(no, nil)
	case isNotFound(err):
		return fault("Info of %s: %v, but %s has it", c.entry.blob.Digest, err, holderName(c.stays()))
	case err != nil:
		return err
	case response.Info.Size != int64(c.entry.blob.Size):
		return fault("Info of %s: %d bytes, %d were committed", c.entry.blob.Digest, response.Info.Size, c.entry.blob.Size)
	default:
		c.end(yes, c.ownLabels())
		w.counts.infos.Add(1)
	}
	return nil
}

func (w *writer) delete(ctx context.Context, all *connections) error {
	c := w.ledger.take(w.random, w.holder, func(e *entry) bool { return e.holds[w.holder].state == yes })
	if c == nil {
		return nil
	}
	if _, err := all.client(w.holder).Delete(ctx, &api.DeleteContentRequest{Digest: c.entry.blob.Digest}); err != nil {
		return err
	}
	w.counts.deletes.Add(1)
	other := c.stays()
	c.end(no, nil)
	if other < 0 {
		return nil
	}
	w.counts.parted.Add(1)
	return w.stillThere(ctx, all.client(other), c.entry, other)
}

// stillThere asks for a blob that another holder has as that one, after this one has dropped it.
func (w *writer) stillThere(ctx context.Context, client api.ContentClient, e *entry, other int) error {
	c := w.ledger.again(e, other)
	if c == nil {
		return nil
	}
	_, err := client.Info(ctx, &api.InfoRequest{Digest: e.blob.Digest})
	if isNotFound(err) {
		return fault("%s: %s dropped it, and %s has lost it: %v", e.blob.Digest, holderName(w.holder), holderName(other), err)
	}
	if err == nil {
		c.end(yes, c.ownLabels())
	}
	return err
}

// pin holds what a client wrote, or gives up what it holds so.
func (w *writer) pin(ctx context.Context, control *grpc.ClientConn) error {
	held := holding(w.random.IntN(2))
	c := w.ledger.take(w.random, w.holder, func(e *entry) bool {
		return e.holds[operator].state == held && (e.holds[0].state == yes || e.holds[1].state == yes)
	})
	if c == nil {
		return nil
	}
	if held == yes {
		if err := blob.Unpin(ctx, control, c.entry.blob.Digest); err != nil {
			return err
		}
		w.counts.unpins.Add(1)
		c.end(no, nil)
		return nil
	}
	err := blob.Pin(ctx, control, c.entry.blob.Digest)
	switch {
	case isNotFound(err) && c.stays() < 0:
		c.end(no, nil)
		return nil
	case isNotFound(err):
		return fault("pin of %s: %v, but %s has it", c.entry.blob.Digest, err, holderName(c.stays()))
	case err != nil:
		return err
	}
	w.counts.pins.Add(1)
	c.end(yes, nil)
	return nil
}

func (w *writer) abort(ctx context.Context, client api.ContentClient) error {
	in := w.parked[0]
	in.committing = true
	if _, err := client.Abort(ctx, &api.AbortRequest{Ref: in.ref}); err != nil {
		return err
	}
	w.parked = w.parked[1:]
	w.counts.aborts.Add(1)
	return nil
}

// settle asks a restarted ipcsd how far this writer's ingests are, and drops those that are done with.
func (w *writer) settle(ctx context.Context, client api.ContentClient) error {
	left := func(in *ingest) (bool, error) {
		response, err := client.Status(ctx, &api.StatusRequest{Ref: in.ref})
		switch {
		case isNotFound(err) && (!in.begun || in.committing || !in.stored):
			in.begun, in.committing = false, false
			return false, nil
		case err != nil:
			return false, fault("ref %q, %d bytes acknowledged: %v", in.ref, in.acked, err)
		case response.Status.Offset < in.acked || response.Status.Offset > in.sent:
			return false, fault("ref %q: %d bytes are said to be held; %d were acknowledged, %d sent", in.ref,
				response.Status.Offset, in.acked, in.sent)
		}
		in.begun, in.committing, in.stored = true, false, true
		return true, nil
	}
	if w.current != nil {
		kept, err := left(w.current)
		if err != nil {
			return err
		}
		if !kept {
			w.current = nil
		}
	}
	var parked []*ingest
	for _, in := range w.parked {
		kept, err := left(in)
		if err != nil {
			return err
		}
		if kept {
			parked = append(parked, in)
		}
	}
	w.parked = parked
	return nil
}
