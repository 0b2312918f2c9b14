// Package unpack applies layers by ipcsd's diff service and by containerd's own applier, and compares the trees.
package unpack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/diff/apply"
	diffproxy "github.com/containerd/containerd/v2/core/diff/proxy"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ipcs/tests/peers/internal/process"
)

// peers are an ipcsd with its diff service and containerd's applier on the same blobs.
type peers struct {
	t      *testing.T
	daemon *process.Daemon
	store  content.Store
	client diffapi.DiffClient
	ours   diff.Applier
	theirs diff.Applier
	count  int
	base   string
}

func start(t *testing.T, arguments ...string) *peers {
	t.Helper()
	return startProgram(t, process.Ipcsd(t), arguments...)
}

// startProgram is start with something that runs ipcsd.
func startProgram(t *testing.T, program string, arguments ...string) *peers {
	t.Helper()
	// What a daemon of another kind did for gzip would be compared otherwise; it is also the fastest there is here.
	os.Setenv("CONTAINERD_DISABLE_PIGZ", "1")
	os.Setenv("CONTAINERD_DISABLE_IGZIP", "1")
	log.SetLevel("error")
	base := process.Directory(t)
	socket := filepath.Join(base, "diff.sock")
	daemon := process.StartIn(t, program, base, append([]string{"--diff-address", socket}, arguments...)...)
	connection := daemon.Connect(socket)
	p := &peers{t: t, daemon: daemon, base: base, client: diffapi.NewDiffClient(connection)}
	p.store = contentproxy.NewContentStore(contentapi.NewContentClient(daemon.Conn))
	p.ours = diffproxy.NewDiffApplier(p.client).(diff.Applier)
	p.theirs = apply.NewFileSystemApplier(p.store)
	return p
}

// put stores a blob and describes it.
func (p *peers) put(t *testing.T, mediaType string, data []byte) ocispec.Descriptor {
	t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	p.count++
	ref := fmt.Sprintf("layer-%d", p.count)
	if err := content.WriteBlob(context.Background(), p.store, ref, strings.NewReader(string(data)), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// directory makes a new empty directory.
func (p *peers) directory(t *testing.T) string {
	t.Helper()
	p.count++
	path := filepath.Join(p.base, "trees", fmt.Sprint(p.count))
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// snapshot is a place for a layer: mounts as containerd makes them, and where the files turn up.
type snapshot struct {
	mounts []mount.Mount
	root   string
}

func (p *peers) bind(t *testing.T) snapshot {
	root := p.directory(t)
	return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}}}, root}
}

func (p *peers) overlay(t *testing.T, lower ...string) snapshot {
	upper, work := p.directory(t), p.directory(t)
	options := []string{"index=off", "workdir=" + work, "upperdir=" + upper}
	if len(lower) != 0 {
		options = append(options, "lowerdir="+strings.Join(lower, ":"))
	}
	return snapshot{[]mount.Mount{{Type: "overlay", Source: "overlay", Options: options}}, upper}
}

// outcome is what became of one layer on one side.
type outcome struct {
	digest digest.Digest
	size   int64
	err    error
}

func applied(applier diff.Applier, d ocispec.Descriptor, s snapshot, options ...diff.ApplyOpt) outcome {
	result, err := applier.Apply(context.Background(), d, s.mounts, options...)
	return outcome{result.Digest, result.Size, err}
}

// same applies a layer to both snapshots and reports what differs; it returns our error.
func (p *peers) same(t *testing.T, d ocispec.Descriptor, ours, theirs snapshot) error {
	t.Helper()
	return p.sameBut(t, d, ours, theirs, false)
}

// sameBut is same for a layer that may have sparse files, whose holes are then not containerd's.
func (p *peers) sameBut(t *testing.T, d ocispec.Descriptor, ours, theirs snapshot, sparse bool) error {
	t.Helper()
	since := now(t, p.base)
	got, wanted := applied(p.ours, d, ours), applied(p.theirs, d, theirs)
	if (got.err == nil) != (wanted.err == nil) {
		t.Fatalf("ipcsd: %v\ncontainerd: %v", got.err, wanted.err)
	}
	if got.err != nil {
		// What an error is called matters where containerd acts on it; all else is an end to it.
		for name, is := range map[string]func(error) bool{"NotFound": errdefs.IsNotFound, "Unimplemented": errdefs.IsNotImplemented,
			"AlreadyExists": errdefs.IsAlreadyExists, "Unavailable": errdefs.IsUnavailable, "Canceled": errdefs.IsCanceled,
			"DeadlineExceeded": errdefs.IsDeadlineExceeded} {
			if is(got.err) != is(wanted.err) {
				t.Errorf("only one of them is %s\nipcsd: %v\ncontainerd: %v", name, got.err, wanted.err)
			}
		}
		if strings.ContainsRune(got.err.Error(), '\n') {
			t.Errorf("more than a line: %q", got.err)
		}
		return got.err
	}
	if got != wanted {
		t.Errorf("ipcsd: %+v\ncontainerd: %+v", got, wanted)
	}
	compare(t, tree(t, ours.root, since), tree(t, theirs.root, since))
	compareHoles(t, ours.root, theirs.root, sparse)
	return nil
}

// eventually waits until something is so, which it soon must be.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
