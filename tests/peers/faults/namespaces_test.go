package faults

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"

	"ipcs/tests/peers/internal/process"
)

const (
	ofNamespace = 1000 // reads that hang in it; with the others' on its connection and the writers fewer than a connection's 2,000 calls
	collections = 20   // of garbage, in each round
)

// containerdLab is containerd's metadata store, as containerd puts it over a proxy plugin, on one connection of a laneLab.
type containerdLab struct {
	*laneLab
	db    *metadata.DB
	store content.Store
	two   context.Context // of the namespace that must not notice what happens in "one"
}

func startContainerd(t *testing.T) *containerdLab {
	t.Helper()
	l := startLanes(t, "hanging")
	// Without the metadata's own syncs: ipcsd is measured.
	db, err := bolt.Open(filepath.Join(process.Directory(t), "metadata.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := &containerdLab{laneLab: l, db: metadata.NewDB(db, proxy.NewContentStore(l.Conn), nil)}
	c.store = c.db.ContentStore()
	c.two = namespaces.WithNamespace(process.Context(t), "two")
	return c
}

func descriptor(data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// put writes a blob that garbage collections leave alone.
func (c *containerdLab) put(t *testing.T, ctx context.Context, data []byte) ocispec.Descriptor {
	t.Helper()
	d, root := descriptor(data), content.WithLabels(map[string]string{"containerd.io/gc.root": "yes"})
	if err := content.WriteBlob(ctx, c.store, d.Digest.String(), bytes.NewReader(data), d, root); err != nil {
		t.Fatal(err)
	}
	return d
}

// prepare begins a blob of namespace "two" and writes it, all but the commit.
func (c *containerdLab) prepare(t *testing.T) (content.Writer, ocispec.Descriptor) {
	t.Helper()
	data := c.fresh()
	d := descriptor(data)
	w, err := c.store.Writer(c.two, content.WithRef(d.Digest.String()), content.WithDescriptor(d))
	if err == nil {
		_, err = w.Write(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, d
}

// read reads the first bytes of a blob of namespace "one".
func (c *containerdLab) read(d ocispec.Descriptor) error {
	reader, err := c.store.ReaderAt(namespaces.WithNamespace(c.ctx, "one"), d)
	if err != nil {
		return err
	}
	defer reader.Close()
	_, err = reader.ReadAt(make([]byte, 4), 0)
	return err
}

// TestNamespaces has reads of one namespace hang, through containerd's own metadata store, which has one connection for
// all of its namespaces and calls under locks of all of them, and other reads beside them until their lane is full: what
// another namespace does, and the garbage collection, stay as fast as they are.
func TestNamespaces(t *testing.T) {
	c := startContainerd(t)
	one := namespaces.WithNamespace(process.Context(t), "one")
	var hung, kept []ocispec.Descriptor
	for i := range 8 {
		hung = append(hung, c.put(t, one, fmt.Appendf(nil, "hang in open %d", i)),
			c.put(t, one, fmt.Appendf(nil, "hang in read %d", i)))
		kept = append(kept, c.put(t, c.two, c.fresh()))
	}
	var writers []content.Writer
	var written, garbage []ocispec.Descriptor
	for range 100 * laneRounds {
		w, d := c.prepare(t)
		writers, written = append(writers, w), append(written, d)
	}
	for range collections * laneRounds {
		garbage = append(garbage, c.put(t, c.two, c.fresh()))
	}

	var over atomic.Int64
	for i := range ofNamespace {
		c.ended.Go(func() {
			err := c.read(hung[i%len(hung)])
			over.Add(1)
			if c.ctx.Err() == nil {
				t.Errorf("a read that hangs: %v", err)
			}
		})
	}
	c.awaitThreads(t, ofNamespace)
	c.hang(t, allHung-ofNamespace)
	c.awaitThreads(t, laneThreads)

	best(t, "Info in two", infoP99, laneSamples/4, func(i int) error {
		d := kept[i%len(kept)]
		info, err := c.store.Info(c.two, d.Digest)
		if err == nil && info.Size != d.Size {
			return fmt.Errorf("%v", info)
		}
		return err
	})
	// containerd asks ipcsd, within a transaction that writes, whether a blob that two is to have is there.
	best(t, "Writer of one's blob in two", commitP99, laneSamples/4, func(i int) error {
		d := hung[i%len(hung)]
		w, err := c.store.Writer(c.two, content.WithRef("shared"), content.WithDescriptor(d))
		if err != nil {
			return err
		}
		defer w.Close()
		if status, err := w.Status(); err != nil || status.Offset != d.Size {
			return fmt.Errorf("%v, %w", status, err)
		}
		return nil
	})
	best(t, "Status in two", infoP99, laneSamples/4, func(i int) error {
		d := written[i%len(written)]
		status, err := c.store.Status(c.two, d.Digest.String())
		if err == nil && status.Offset != d.Size {
			return fmt.Errorf("%v", status)
		}
		return err
	})
	committed := 0
	best(t, "Commit in two", commitP99, 100, func(int) error {
		w, d := writers[committed], written[committed]
		committed++
		return w.Commit(c.two, d.Size, d.Digest)
	})
	deleted := 0
	best(t, "Delete in two", commitP99, committed/laneRounds, func(int) error {
		d := written[deleted]
		deleted++
		return c.store.Delete(c.two, d.Digest)
	})
	// Each finds something to delete in ipcsd, the first also what has no root.
	best(t, "garbage collection", commitP99, collections, func(int) error {
		d := garbage[0]
		garbage = garbage[1:]
		if err := c.store.Delete(c.two, d.Digest); err != nil {
			return err
		}
		_, err := c.db.GarbageCollect(c.two)
		return err
	})
	if n := over.Load(); n != 0 {
		t.Errorf("%d of %d reads did not hang", n, ofNamespace)
	}
	c.gone(t, written[:deleted], kept)
	c.cancel()
	c.ended.Wait()
	c.Stop()
}

// gone holds which of two namespaces' blobs ipcsd has after the garbage collections.
func (c *containerdLab) gone(t *testing.T, gone, kept []ocispec.Descriptor) {
	t.Helper()
	has := make(map[digest.Digest]bool)
	err := proxy.NewContentStore(c.Conn).Walk(c.two, func(info content.Info) error {
		has[info.Digest] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range gone {
		if has[d.Digest] {
			t.Errorf("%s is still there", d.Digest)
		}
	}
	for _, d := range kept {
		if !has[d.Digest] {
			t.Errorf("%s is gone", d.Digest)
		}
	}
}
