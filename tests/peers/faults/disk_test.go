package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const mib = 1 << 20

// holds reads all the blobs back.
func holds(t *testing.T, ctx context.Context, client api.ContentClient, blobs []blob.Blob) {
	t.Helper()
	for _, b := range blobs {
		info, err := client.Info(ctx, &api.InfoRequest{Digest: b.Digest})
		if err != nil || info.Info.Size != int64(b.Size) {
			t.Fatalf("Info of %s (%d bytes): %v, %v", b.Digest, b.Size, info, err)
		}
		if data, err := blob.Read(ctx, client, b.Digest); err != nil || blob.Digest(data) != b.Digest {
			t.Fatalf("%s: read %d of %d bytes, %v", b.Digest, len(data), b.Size, err)
		}
	}
}

// TestDiskFull fills the disk once with the blobs alone on it, and once with the catalog beside them.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("catalog_on_it=%v", shared), func(t *testing.T) {
			base := process.Directory(t)
			small := filepath.Join(base, "small")
			if shared {
				small = filepath.Join(base, "root")
			}
			mount(t, "tmpfs", small, "tmpfs", 0, "size=24m")
			// full_at = 1: not refused beforehand, the disk itself says that it is full.
			for _, fullAt := range []string{"0.9", "1.0"} {
				t.Run("full_at="+fullAt, func(t *testing.T) {
					path := filepath.Join(small, "blobs-"+fullAt)
					diskFull(t, base, config(t, base, fmt.Sprintf("[plugins.local]\npath = %q\nfull_at = %s\n", path, fullAt)))
					for _, left := range []string{"root/catalog.db", "root/catalog.db-wal", "root/catalog.db-shm"} {
						os.Remove(filepath.Join(base, left))
					}
					os.RemoveAll(path)
				})
			}
		})
	}
}

func diskFull(t *testing.T, base string, arguments []string) {
	daemon := process.StartIn(t, process.Ipcsd(t), base, arguments...)
	ctx, client := process.Context(t), daemon.Client()
	var blobs []blob.Blob
	put := func() error {
		b := blob.New(uint64(len(blobs)), 3*mib)
		err := blob.Put(ctx, client, fmt.Sprintf("fill-%d", len(blobs)), b.Bytes())
		if err == nil {
			blobs = append(blobs, b)
		}
		return err
	}
	var err error
	for err == nil && len(blobs) < 100 {
		err = put()
	}
	wants(t, err, codes.ResourceExhausted)
	t.Logf("full after %d blobs: %v", len(blobs), err)
	if len(blobs) < 5 {
		t.Fatalf("only %d blobs of 3 MiB came onto a disk of 24 MiB", len(blobs))
	}
	// What was acknowledged is there, and the cut-off ingest is where Status says, so that it can go on or be dropped.
	holds(t, ctx, client, blobs)
	statuses, err := client.ListStatuses(ctx, &api.ListStatusesRequest{})
	wants(t, err, codes.OK)
	for _, s := range statuses.GetStatuses() {
		if s.Offset < 0 || s.Offset > 3*mib {
			t.Errorf("ref %q is at %d", s.Ref, s.Offset)
		}
	}
	// Nothing but a failure comes of further tries, and the daemon lives.
	for i := range 5 {
		_, err := client.Info(ctx, &api.InfoRequest{Digest: blobs[0].Digest})
		wants(t, err, codes.OK)
		wants(t, blob.Put(ctx, client, fmt.Sprintf("more-%d", i), blob.New(uint64(1000+i), 8*mib).Bytes()), codes.ResourceExhausted)
	}
	// A restart does not need room.
	daemon.Kill()
	daemon = process.StartIn(t, process.Ipcsd(t), base, arguments...)
	client = daemon.Client()
	holds(t, ctx, client, blobs)
	daemon.Stop()
	daemon = process.StartIn(t, process.Ipcsd(t), base, arguments...)
	client = daemon.Client()
	holds(t, ctx, client, blobs)
	// A delete makes room.
	for range 2 {
		_, err = client.Delete(ctx, &api.DeleteContentRequest{Digest: blobs[0].Digest})
		wants(t, err, codes.OK)
		blobs = blobs[1:]
	}
	statuses, err = client.ListStatuses(ctx, &api.ListStatusesRequest{})
	wants(t, err, codes.OK)
	for _, s := range statuses.GetStatuses() {
		_, err := client.Abort(ctx, &api.AbortRequest{Ref: s.Ref})
		wants(t, err, codes.OK)
	}
	again := blob.New(7777, mib)
	if err := blob.Put(ctx, client, "again", again.Bytes()); err != nil {
		t.Fatalf("there is room again, but: %v", err)
	}
	blobs = append(blobs, again)
	holds(t, ctx, client, blobs)

	daemon.Kill()
	daemon = process.StartIn(t, process.Ipcsd(t), base, arguments...)
	holds(t, ctx, daemon.Client(), blobs)
	if text, code := ipcsctl(t, daemon, nil, "verify"); code != 0 {
		t.Errorf("verify: %s", text)
	}
	daemon.Stop()
}

// TestStartOnFullDisk starts ipcsd where another program has taken the last byte beside the catalog.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	root := filepath.Join(base, "root")
	mount(t, "tmpfs", root, "tmpfs", 0, "size=8m")
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	ctx, b := process.Context(t), blob.New(1, mib)
	wants(t, blob.Put(ctx, daemon.Client(), "a", b.Bytes()), codes.OK)
	daemon.Stop()
	junk := filepath.Join(root, "junk")
	if err := os.WriteFile(junk, make([]byte, 8*mib), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk of 8 MiB is not full: %v", err)
	}
	refused(t, process.Ipcsd(t), nil, at(base)...).says(t, 1, filepath.Join(root, "catalog.db"), "No space left on device")
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	daemon = process.StartIn(t, process.Ipcsd(t), base)
	holds(t, ctx, daemon.Client(), []blob.Blob{b})
	daemon.Stop()
}

// TestReadOnlyStore makes the store's directory read-only below a running ipcsd, and starts one on it.
func TestReadOnlyStore(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	store := filepath.Join(base, "store")
	arguments := config(t, base, fmt.Sprintf("[plugins.local]\npath = %q\n", store))
	unmount := mount(t, "tmpfs", store, "tmpfs", 0, "size=16m")
	daemon := process.StartIn(t, process.Ipcsd(t), base, arguments...)
	ctx, client := process.Context(t), daemon.Client()
	b := blob.New(1, mib)
	wants(t, blob.Put(ctx, client, "first", b.Bytes()), codes.OK)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", store, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatalf("remount: %v", err)
		}
	}
	remount(syscall.MS_RDONLY)
	err := blob.Put(ctx, client, "second", blob.New(2, mib).Bytes())
	if err == nil {
		t.Fatal("a write to a read-only store succeeded")
	}
	t.Logf("write: %v", err)
	wants(t, err, codes.PermissionDenied, "Read-only file system")
	holds(t, ctx, client, []blob.Blob{b})
	// One failing Delete would end containerd's whole collection.
	_, err = client.Delete(ctx, &api.DeleteContentRequest{Digest: b.Digest})
	wants(t, err, codes.OK)
	daemon.Stop()

	// Where nothing has to be made, ipcsd serves what is there. The Delete's bytes are: containerd's collector decides.
	daemon = process.StartIn(t, process.Ipcsd(t), base, arguments...)
	client = daemon.Client()
	holds(t, ctx, client, []blob.Blob{b})
	wants(t, blob.Put(ctx, client, "third", blob.New(2, mib).Bytes()), codes.PermissionDenied, "Read-only file system")
	daemon.Stop()
	fresh := filepath.Join(store, "fresh")
	other := process.Directory(t)
	refused(t, process.Ipcsd(t), nil, at(other, config(t, other, fmt.Sprintf("[plugins.local]\npath = %q\n", fresh))...)...).
		says(t, 1, fresh, "Read-only file system")

	remount(0)
	daemon = process.StartIn(t, process.Ipcsd(t), base, arguments...)
	holds(t, ctx, daemon.Client(), []blob.Blob{b})
	wants(t, blob.Put(ctx, daemon.Client(), "fourth", blob.New(3, mib).Bytes()), codes.OK)
	daemon.Stop()
	unmount()
}

// TestReadOnlyRoot starts ipcsd where not even the catalog can be written.
func TestReadOnlyRoot(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	root := filepath.Join(base, "root")
	mount(t, "tmpfs", root, "tmpfs", 0, "size=16m")
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	daemon.Stop()
	if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, process.Ipcsd(t), nil, at(base)...).says(t, 2, root)
}

// TestOwner starts ipcsd as a user to whom the directories do not belong.
func TestOwner(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	// The build may lie where this user can't go.
	ipcsd := process.Ipcsd(t)
	plugins := filepath.Join(filepath.Dir(ipcsd), "../lib/ipcs/plugins")
	copyFile(t, ipcsd, filepath.Join(base, "bin/ipcsd"))
	copyFile(t, filepath.Join(plugins, "local.so"), filepath.Join(base, "lib/ipcs/plugins/local.so"))
	ipcsd = filepath.Join(base, "bin/ipcsd")

	root := filepath.Join(base, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	refused(t, ipcsd, nobody, at(base)...).says(t, 2, root)
	refused(t, ipcsd, nobody, "--root", filepath.Join(root, "below"), "--address", filepath.Join(base, "s")).says(t, 2, root)

	// Its own root, but another's store, and another's catalog.
	if err := os.Chown(root, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "local"), 0o755); err != nil {
		t.Fatal(err)
	}
	refused(t, ipcsd, nobody, at(base)...).says(t, 1, filepath.Join(root, "local"), "Permission denied")
	if err := os.Remove(filepath.Join(root, "local")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(root, "catalog.db"), 0, 0); err != nil {
		t.Fatal(err)
	}
	refused(t, ipcsd, nobody, at(base)...).says(t, 1, filepath.Join(root, "catalog.db"))
	// A directory for sockets that is not its own.
	if err := os.Chown(filepath.Join(root, "catalog.db"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	refused(t, ipcsd, nobody, at(base)...).says(t, 2, filepath.Join(base, "content.sock"))
	// A file where the root should be.
	refused(t, process.Ipcsd(t), nil, "--root", ipcsd, "--address", filepath.Join(base, "s")).says(t, 2, ipcsd)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}
