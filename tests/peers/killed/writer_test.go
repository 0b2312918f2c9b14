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
}

// writer writes, deletes and pins, one call at a time, until ipcsd is killed; after the restart it goes on.
type writer struct {
	name     string
	operator bool // on the control socket: what it commits is pinned
	tiny     bool // makes blobs of fewer than fewBytes
	random   *rand.Rand
	ledger   *ledger
	counts   *counts
	number   int
	current  *ingest   // to be gone on with
	parked   []*ingest // left for later
}

// run works until a call fails and gives that call's error.
func (w *writer) run(ctx context.Context, content, control *grpc.ClientConn) error {
	client := api.NewContentClient(content)
	if w.operator {
		client = api.NewContentClient(control)
	}
	for {
		var err error
		switch choice := w.random.IntN(100); {
		case w.current != nil:
			err = w.upload(ctx, client)
		case choice < 30:
			err = w.delete(ctx, client)
		case choice < 40 && w.operator:
			err = w.pin(ctx, control)
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
	size := w.random.IntN([]int{4 << 10, 256 << 10, largest + 1}[w.random.IntN(3)])
	if w.random.IntN(20) == 0 {
		size = []int{1, 32 << 10, largestPart, largest}[w.random.IntN(4)]
	}
	// Each blob has one writer, or their calls would change each other's answers; so only one makes those of which there
	// are few.
	if !w.tiny {
		size = max(size, fewBytes)
	}
	b := blob.New(w.random.Uint64(), size)
	if size < fewBytes && w.known(b) {
		b = blob.New(w.random.Uint64(), fewBytes)
	}
	w.current = &ingest{ref: fmt.Sprintf("%s/%d\n", w.name, w.number), blob: b, data: b.Bytes()}
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
	e := w.ledger.begin(in.blob, labels)
	held := &e.claim
	if w.operator {
		held = &e.pin
	}
	*held = perhaps
	in.committing = true
	if err := upload.Commit(in.blob.Digest, labels); err != nil {
		return err
	}
	*held = yes
	w.current = nil
	w.counts.commits.Add(1)
	w.ledger.give(e)
	return nil
}

func (w *writer) delete(ctx context.Context, client api.ContentClient) error {
	e := w.ledger.take(w.random, func(e *entry) bool { return w.operator && e.pin == yes || !w.operator && e.claim == yes })
	if e == nil {
		return nil
	}
	held := &e.claim
	if w.operator {
		held = &e.pin
	}
	*held = perhaps
	if _, err := client.Delete(ctx, &api.DeleteContentRequest{Digest: e.blob.Digest}); err != nil {
		return err
	}
	*held = no
	w.counts.deletes.Add(1)
	w.ledger.forget(e)
	return nil
}

// pin holds what containerd wrote, or gives up what it holds so.
func (w *writer) pin(ctx context.Context, control *grpc.ClientConn) error {
	held := holding(w.random.IntN(2))
	e := w.ledger.take(w.random, func(e *entry) bool { return e.claim == yes && e.pin == held })
	if e == nil {
		return nil
	}
	call, result, count := blob.Pin, yes, &w.counts.pins
	if e.pin == yes {
		call, result, count = blob.Unpin, no, &w.counts.unpins
	}
	e.pin = perhaps
	if err := call(ctx, control, e.blob.Digest); err != nil {
		return err
	}
	e.pin = result
	count.Add(1)
	w.ledger.give(e)
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
func (w *writer) settle(ctx context.Context, content, control *grpc.ClientConn) error {
	client := api.NewContentClient(content)
	if w.operator {
		client = api.NewContentClient(control)
	}
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
