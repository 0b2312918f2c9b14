package faults

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	manyRefs    = 1000
	idleWriters = 40
	slowReaders = 400
	keptMemory  = 120 * mib // more than an ipcsd at rest holds on to
	readsMemory = 140 * mib // more than slowReaders take together: 64 MiB and 32 KiB each, and what a stream costs
	readsLeast  = 40 * mib  // less: the test measures nothing
	manyBlobs   = 100_000
	listLimit   = 20 * time.Second // all of manyBlobs; an idle machine needs a tenth
	firstLimit  = time.Second      // until the first of them
	infoLimit   = 2 * time.Second  // an Info while manyRefs are open
)

// TestManyRefs has 1,000 refs open at once, and commits all of them.
func TestManyRefs(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	ctx, client := process.Context(t), daemon.Client()
	blobs := make([]blob.Blob, manyRefs)
	uploads := make([]*blob.Upload, manyRefs)
	each := func(work func(i int) error) {
		t.Helper()
		start := time.Now()
		var group sync.WaitGroup
		for first := range 16 {
			group.Go(func() {
				for i := first; i < manyRefs; i += 16 {
					if err := work(i); err != nil {
						t.Errorf("ref %d: %v", i, err)
						return
					}
				}
			})
		}
		group.Wait()
		if t.Failed() {
			t.FailNow()
		}
		t.Logf("%d in %v", manyRefs, time.Since(start))
	}
	each(func(i int) (err error) {
		blobs[i] = blob.New(uint64(i), 4000+i)
		if uploads[i], err = blob.Open(ctx, client, fmt.Sprint("ref-", i), int64(blobs[i].Size)); err != nil {
			return err
		}
		return uploads[i].Write(blobs[i].Bytes()[:1000+i])
	})
	statuses, err := client.ListStatuses(ctx, &api.ListStatusesRequest{})
	wants(t, err, codes.OK)
	if len(statuses.GetStatuses()) != manyRefs {
		t.Errorf("%d ingests are listed, %d are open", len(statuses.GetStatuses()), manyRefs)
	}
	for _, s := range statuses.GetStatuses() {
		var i int
		if _, err := fmt.Sscanf(s.Ref, "ref-%d", &i); err != nil || s.Offset != int64(1000+i) || s.Total != int64(4000+i) {
			t.Errorf("listed: %v", s)
		}
	}
	start := time.Now()
	_, err = client.Info(ctx, &api.InfoRequest{Digest: blobs[0].Digest})
	wants(t, err, codes.NotFound)
	if took := time.Since(start); took > infoLimit {
		t.Errorf("an Info beside %d open refs took %v", manyRefs, took)
	}
	_, err = blob.Open(ctx, client, "ref-0", 0)
	wants(t, err, codes.Unavailable)
	each(func(i int) error {
		if err := uploads[i].Write(blobs[i].Bytes()[1000+i:]); err != nil {
			return err
		}
		return uploads[i].Commit(blobs[i].Digest, nil)
	})
	holds(t, ctx, client, blobs)
	daemon.Stop()
}

// TestMemory has writers that pause after a large message and readers that do not read: neither keeps what it needed.
func TestMemory(t *testing.T) {
	t.Parallel()
	daemon := process.StartIn(t, process.Ipcsd(t), process.Directory(t))
	ctx, client := process.Context(t), daemon.Client()
	large := blob.New(1, 8*mib)
	before := daemon.Resident()
	falls := func(what string, limit int64) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); daemon.Resident()-before > limit; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: %d MiB more than before", what, (daemon.Resident()-before)/mib)
				return
			}
		}
	}
	for i := range idleWriters {
		upload, err := blob.Open(ctx, client, fmt.Sprint("idle-", i), 0)
		wants(t, err, codes.OK)
		wants(t, upload.Write(large.Bytes()), codes.OK)
		defer upload.Close()
	}
	falls("idle writers", keptMemory)
	wants(t, blob.Put(ctx, client, "large", large.Bytes()), codes.OK)
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	var slow []api.Content_ReadClient
	for range slowReaders {
		stream, err := client.Read(reading, &api.ReadContentRequest{Digest: large.Digest})
		wants(t, err, codes.OK)
		slow = append(slow, stream)
	}
	// Until all have as much in flight as they get.
	peak, since := int64(0), time.Now()
	for time.Since(since) < time.Second {
		if now := daemon.Resident() - before; now > peak+mib {
			peak, since = now, time.Now()
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%d slow readers: %d MiB", slowReaders, peak/mib)
	if peak > readsMemory || peak < readsLeast {
		t.Errorf("%d slow readers took %d MiB, should take %d to %d", slowReaders, peak/mib, readsLeast/mib, readsMemory/mib)
	}
	// Those that read on after all get every byte, and somebody else is not kept waiting.
	for _, stream := range slow[:4] {
		hash := sha256.New()
		for {
			response, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			wants(t, err, codes.OK)
			hash.Write(response.GetData())
		}
		if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); got != large.Digest {
			t.Errorf("a slow reader read %s, %s was committed", got, large.Digest)
		}
	}
	holds(t, ctx, api.NewContentClient(daemon.Connect(daemon.ControlSocket())), []blob.Blob{large})
	cancel()
	falls("readers that have gone", keptMemory)
}

// TestManyBlobs points new catalogs at a directory of 100,000 blobs: as the operator's, and as containerd's.
func TestManyBlobs(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	store := filepath.Join(base, "store")
	mount(t, "tmpfs", store, "tmpfs", 0, "size=600m,nr_inodes=200000")
	digests := makeBlobs(t, filepath.Join(store, "blobs/sha256"))

	for _, adopt := range []string{"operator", "containerd"} {
		t.Run(adopt, func(t *testing.T) {
			own := filepath.Join(base, adopt)
			if err := os.Mkdir(own, 0o755); err != nil {
				t.Fatal(err)
			}
			arguments := config(t, own, fmt.Sprintf("adopt = %q\n[plugins.local]\npath = %q\n", adopt, store))
			for _, when := range []string{"first start", "second start"} {
				start := time.Now()
				daemon := process.StartIn(t, process.Ipcsd(t), own, arguments...)
				t.Logf("%s: %v", when, time.Since(start))
				ctx := process.Context(t)
				control := daemon.Control()
				pins, err := blob.Pins(ctx, control)
				wants(t, err, codes.OK)
				operators, containerds := manyBlobs, 0
				if adopt == "containerd" {
					operators, containerds = containerds, operators
				}
				if len(pins) != operators {
					t.Errorf("%d pins, %d are due", len(pins), operators)
				}
				listed(t, ctx, "containerd's list", daemon.Client(), digests, containerds)
				listed(t, ctx, "the operator's list", api.NewContentClient(control), digests, manyBlobs)
				daemon.Stop()
			}
		})
	}
}

// makeBlobs writes small blobs under their digests.
func makeBlobs(t *testing.T, directory string) map[string]int64 {
	t.Helper()
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	digests := make(map[string]int64, manyBlobs)
	for i := range manyBlobs {
		text := []byte(fmt.Sprintf("blob %d", i))
		name := fmt.Sprintf("%x", sha256.Sum256(text))
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o444); err != nil {
			t.Fatal(err)
		}
		digests["sha256:"+name] = int64(len(text))
	}
	return digests
}

func listed(t *testing.T, ctx context.Context, what string, client api.ContentClient, digests map[string]int64, count int) {
	t.Helper()
	start, first := time.Now(), time.Duration(0)
	stream, err := client.List(ctx, &api.ListContentRequest{})
	wants(t, err, codes.OK)
	seen := make(map[string]bool, manyBlobs)
	for {
		response, err := stream.Recv()
		if first == 0 {
			first = time.Since(start)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, info := range response.Info {
			if size, known := digests[info.Digest]; !known || size != info.Size || seen[info.Digest] {
				t.Fatalf("%s: %v (known: %v, before: %v)", what, info, known, seen[info.Digest])
			}
			seen[info.Digest] = true
		}
	}
	total := time.Since(start)
	t.Logf("%s: %d blobs, the first after %v, all after %v", what, len(seen), first, total)
	if len(seen) != count {
		t.Errorf("%s: %d blobs, %d are there", what, len(seen), count)
	}
	if first > firstLimit || total > listLimit {
		t.Errorf("%s is slow", what)
	}
}

// TestOddRefs uses refs that are paths, control characters, patterns and long, also over a kill.
func TestOddRefs(t *testing.T) {
	t.Parallel()
	refs := []string{
		"../../../../etc/passwd", "/absolute/path", ".", "..", "a\x00b", "line\nbreak\r", "\x01\x1b[31m", "tab\t", " ", "%s%n%d",
		"'; DROP TABLE ingests; --", "\"quoted\\", "*", "ref==x,ref~=.*", "\u202eleft", "häß-日本語-🙂", "\ufffd",
		strings.Repeat("long/", 1000),
	}
	base := process.Directory(t)
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	ctx, client := process.Context(t), daemon.Client()
	blobs := make([]blob.Blob, len(refs))
	for i, ref := range refs {
		blobs[i] = blob.New(uint64(i), 90000)
		upload, err := blob.Open(ctx, client, ref, 90000)
		wants(t, err, codes.OK)
		wants(t, upload.Write(blobs[i].Bytes()[:40000+i]), codes.OK) // more than stays in memory
	}
	daemon.Kill()
	daemon = process.StartIn(t, process.Ipcsd(t), base)
	client = daemon.Client()
	statuses, err := client.ListStatuses(ctx, &api.ListStatusesRequest{})
	wants(t, err, codes.OK)
	if len(statuses.GetStatuses()) != len(refs) {
		t.Errorf("%d ingests are listed, %d were begun", len(statuses.GetStatuses()), len(refs))
	}
	for i, ref := range refs {
		response, err := client.Status(ctx, &api.StatusRequest{Ref: ref})
		if err != nil || response.Status.Ref != ref || response.Status.Offset != int64(40000+i) {
			t.Errorf("ref %q: %v, %v", ref, response, err)
		}
		if i%2 == 0 {
			_, err := client.Abort(ctx, &api.AbortRequest{Ref: ref})
			wants(t, err, codes.OK)
			_, err = client.Status(ctx, &api.StatusRequest{Ref: ref})
			wants(t, err, codes.NotFound)
		}
		wants(t, blob.Put(ctx, client, ref, blobs[i].Bytes()), codes.OK)
	}
	holds(t, ctx, client, blobs)

	// Bytes that are no UTF-8 are no protobuf string: no client of containerd's can send them, and who does it by hand
	// gets an error while others are served. An empty ref is none.
	notText := &emptypb.Empty{}
	notText.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("\xff\xfe\x80")))
	for _, method := range []string{"Status", "Abort"} {
		err := daemon.Conn.Invoke(ctx, "/containerd.services.content.v1.Content/"+method, notText, &emptypb.Empty{})
		t.Logf("%s of a ref that is no UTF-8: %v", method, err)
		if err == nil {
			t.Errorf("%s of a ref that is no UTF-8 succeeded", method)
		}
	}
	_, err = blob.Open(ctx, client, "", 10)
	wants(t, err, codes.InvalidArgument, "reference")
	holds(t, ctx, client, blobs[:1])

	entries, err := os.ReadDir(filepath.Join(daemon.Root, "local/ipcs-ingest"))
	if err != nil || len(entries) > 0 {
		t.Errorf("left of the ingests: %v, %v", entries, err)
	}
	daemon.Stop()
}
