package faults

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	lookUpTime  = 200 * time.Millisecond // configured
	lookUpSlack = 300 * time.Millisecond // for everything else, on a machine with other work
	lookingUp   = 16                     // callers at once
	lookUpFor   = 5 * time.Second
)

// TestLookUpsHang searches for blobs in a network that never answers: each Info is NotFound when its time is over, who asks
// for the same blob shares the wait, what was not found is not searched for again at once, a caller's own deadline counts,
// and nobody who asks for what is there notices.
func TestLookUpsHang(t *testing.T) {
	l := startLanes(t, "hanging-look-ups", `look_up_timeout = "200ms"`)
	ask := func(ctx context.Context, digest string) (time.Duration, error) {
		start := time.Now()
		_, err := l.a.Info(ctx, &api.InfoRequest{Digest: digest})
		return time.Since(start), err
	}
	digest := blob.Digest(l.fresh())
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			if took, err := ask(process.Context(t), digest); status.Code(err) != codes.NotFound || took > lookUpTime+lookUpSlack {
				t.Errorf("Info of one blob of which others ask too: %v after %v", err, took)
			}
		})
	}
	callers.Wait()
	if took, err := ask(process.Context(t), digest); status.Code(err) != codes.NotFound || took > lookUpTime/2 {
		t.Errorf("Info of what was just not found: %v after %v", err, took)
	}
	ctx, cancel := context.WithTimeout(process.Context(t), lookUpTime/4)
	if took, err := ask(ctx, blob.Digest(l.fresh())); took > lookUpTime/2 || err == nil {
		t.Errorf("Info with a deadline of its own: %v after %v", err, took)
	}
	cancel()

	// Searches go on without a pause while others are measured.
	stop := make(chan struct{})
	longest := make([]time.Duration, lookingUp)
	for i := range lookingUp {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				took, err := ask(process.Context(t), blob.Digest(l.fresh()))
				if status.Code(err) != codes.NotFound {
					t.Errorf("Info of a blob that nobody has: %v", err)
					return
				}
				if took < lookUpTime/2 {
					t.Errorf("Info of a blob that nobody has: answered after %v, so nothing was searched", took)
					return
				}
				longest[i] = max(longest[i], took)
			}
		})
	}
	for _, c := range []struct {
		name   string
		client api.ContentClient
	}{{"same connection", l.a}, {"other socket", l.b}} {
		ctx := process.Context(t)
		uploads := l.uploads(t, c.client)
		best(t, "Info while searches hang, "+c.name, infoP99, laneSamples, func(i int) error {
			_, err := c.client.Info(ctx, &api.InfoRequest{Digest: l.plain[i%len(l.plain)].Digest})
			return err
		})
		best(t, "List while searches hang, "+c.name, commitP99, laneSamples/10, func(int) error {
			_, err := blob.List(ctx, c.client)
			return err
		})
		best(t, "Status while searches hang, "+c.name, infoP99, laneSamples/4, func(i int) error {
			_, err := c.client.Status(ctx, &api.StatusRequest{Ref: uploads[i%len(uploads)].digest})
			return err
		})
		next := 0
		best(t, "COMMIT while searches hang, "+c.name, commitP99, len(uploads)/laneRounds, func(int) error {
			next++
			return uploads[next-1].Commit(uploads[next-1].digest, nil)
		})
		l.data(t, "searches hang, "+c.name, c.client)
	}
	close(stop)
	callers.Wait()
	for _, took := range longest {
		if took > lookUpFor {
			t.Errorf("a search that hangs held up an Info for %v", took)
		}
	}
	t.Logf("the longest of Info that searched: %v", longest)
	l.Stop()
}

// TestDeafLookUps has searches that notice nothing, up to as many as there may be: each Info is NotFound when its time is
// over or at once, nobody who asks for what is there notices, and the daemon ends.
func TestDeafLookUps(t *testing.T) {
	const searches = 256 // LookUps::kMostSearches
	l := startLanes(t, "deaf-look-ups", `look_up_timeout = "200ms"`)
	ask := func(digest string) time.Duration {
		start := time.Now()
		if _, err := l.a.Info(process.Context(t), &api.InfoRequest{Digest: digest}); status.Code(err) != codes.NotFound {
			t.Errorf("Info of a blob that nobody has: %v", err)
		}
		return time.Since(start)
	}
	digest := blob.Digest(l.fresh())
	if took := ask(digest); took < lookUpTime || took > lookUpTime+lookUpSlack {
		t.Errorf("Info that begins a search answered after %v", took)
	}
	if took := ask(digest); took > lookUpTime/2 {
		t.Errorf("Info of a blob whose search hangs answered after %v", took)
	}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range lookingUp {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if took := ask(blob.Digest(l.fresh())); took > lookUpFor {
					t.Errorf("a search that hangs held up an Info for %v", took)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(l.Output(), "too many searches"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("fewer than %d searches were begun in a minute", searches)
			break
		}
	}
	ctx := process.Context(t)
	best(t, "Info while all searches hang", infoP99, laneSamples, func(i int) error {
		_, err := l.b.Info(ctx, &api.InfoRequest{Digest: l.plain[i%len(l.plain)].Digest})
		return err
	})
	if took := ask(blob.Digest(l.fresh())); took > lookUpTime/2 {
		t.Errorf("Info while all searches hang answered after %v", took)
	}
	close(stop)
	callers.Wait()
	if lines := strings.Count(l.Output(), "too many searches"); lines != 1 {
		t.Errorf("%d lines say that searches hang", lines)
	}
	start := time.Now()
	l.Stop()
	if took := time.Since(start); took > stopWithDeaf {
		t.Errorf("the end took %v", took)
	}
}
