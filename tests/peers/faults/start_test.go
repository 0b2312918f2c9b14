package faults

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// TestTwoDaemons starts a second ipcsd on the socket, the control socket, the root and the store of a running one.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	base, other := process.Directory(t), process.Directory(t)
	ipcsd := process.Ipcsd(t)
	daemon := process.StartIn(t, ipcsd, base)
	ctx, client := process.Context(t), daemon.Client()
	var blobs []blob.Blob
	root, socket := filepath.Join(base, "root"), filepath.Join(base, "content.sock")
	otherRoot, otherSocket := filepath.Join(other, "root"), filepath.Join(other, "content.sock")
	store := config(t, other, fmt.Sprintf("[plugins.local]\npath = %q\n", filepath.Join(root, "local")))
	for _, c := range []struct {
		name      string
		arguments []string
		words     []string
	}{
		{"socket", []string{"--root", otherRoot, "--address", socket}, []string{socket, "another ipcsd"}},
		{"control socket", []string{"--root", otherRoot, "--address", otherSocket, "--control", daemon.ControlSocket()},
			[]string{daemon.ControlSocket(), "another ipcsd"}},
		{"root", []string{"--root", root, "--address", otherSocket, "--control", filepath.Join(other, "control.sock")}, []string{root}},
		{"all", []string{"--root", root, "--address", socket}, []string{root}},
		{"store", append([]string{"--root", filepath.Join(other, "root2"), "--address", otherSocket}, store...),
			[]string{filepath.Join(root, "local")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, ipcsd, nil, c.arguments...).says(t, 1, c.words...)
			// The first goes on, on a connection that it has and on a new one.
			b := blob.New(uint64(len(blobs)), mib)
			wants(t, blob.Put(ctx, client, c.name, b.Bytes()), codes.OK)
			blobs = append(blobs, b)
			holds(t, ctx, client, blobs)
			holds(t, ctx, api.NewContentClient(daemon.Control()), blobs)
		})
	}
	daemon.Stop()
	daemon = process.StartIn(t, ipcsd, base) // locks go with the process
	holds(t, ctx, daemon.Client(), blobs)
}

// TestNewerCatalog starts ipcsd on a catalog that a later one has changed.
func TestNewerCatalog(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	ctx := process.Context(t)
	b := blob.New(1, mib)
	wants(t, blob.Put(ctx, daemon.Client(), "a", b.Bytes()), codes.OK)
	daemon.Stop()

	catalog := filepath.Join(base, "root/catalog.db")
	if info, err := os.Stat(catalog + "-wal"); err == nil && info.Size() > 0 {
		t.Fatalf("a stopped ipcsd left a log of %d bytes", info.Size())
	}
	const userVersion = 60 // sqlite's file header: PRAGMA user_version, 4 bytes, big-endian
	before, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, catalog, userVersion, []byte{0, 0, 0, 99})
	files := snapshot(t, base)
	refused(t, process.Ipcsd(t), nil, at(base)...).says(t, 1, catalog, "version 99")
	same(t, files, snapshot(t, base))

	overwrite(t, catalog, userVersion, before[userVersion:userVersion+4])
	daemon = process.StartIn(t, process.Ipcsd(t), base)
	holds(t, ctx, daemon.Client(), []blob.Blob{b})
	daemon.Stop()

	// Damage is told apart, and the file is left for whoever can mend it.
	overwrite(t, catalog, 0, []byte("this is no database, but text for a while"))
	files = snapshot(t, base)
	refused(t, process.Ipcsd(t), nil, at(base)...).says(t, 1, catalog)
	same(t, files, snapshot(t, base))
}

// TestAnotherStore starts ipcsd with its catalog and a store that the catalog does not describe.
func TestAnotherStore(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	stores := [2][]string{}
	for i := range stores {
		directory := filepath.Join(base, fmt.Sprint("config", i))
		if err := os.Mkdir(directory, 0o755); err != nil {
			t.Fatal(err)
		}
		stores[i] = config(t, directory, fmt.Sprintf("[plugins.local]\npath = %q\n", filepath.Join(base, fmt.Sprint("store", i))))
	}
	ctx := process.Context(t)
	daemon := process.StartIn(t, process.Ipcsd(t), base, stores[0]...)
	blobs := []blob.Blob{blob.New(1, mib), blob.New(2, 0), blob.New(3, 5000)}
	for _, b := range blobs {
		wants(t, blob.Put(ctx, daemon.Client(), b.Digest, b.Bytes()), codes.OK)
	}
	half, err := blob.Open(ctx, daemon.Client(), "half", 100)
	wants(t, err, codes.OK)
	wants(t, half.Close(), codes.OK)
	daemon.Stop()

	// The new store's own files are made; the catalog and the old store stay as they are.
	files := snapshot(t, filepath.Join(base, "store0"))
	refused(t, process.Ipcsd(t), nil, at(base, stores[1]...)...).says(t, 2, "another store", "3 of the 3", "--allow-missing")
	same(t, files, snapshot(t, filepath.Join(base, "store0")))
	daemon = process.StartIn(t, process.Ipcsd(t), base, stores[0]...)
	holds(t, ctx, daemon.Client(), blobs)
	status, err := daemon.Client().Status(ctx, &api.StatusRequest{Ref: "half"})
	wants(t, err, codes.OK)
	if status.GetStatus().GetTotal() != 100 {
		t.Errorf("the ingest begun before is %v", status)
	}
	daemon.Stop()

	daemon = process.StartIn(t, process.Ipcsd(t), base, append(stores[1], "--allow-missing")...)
	for _, b := range blobs {
		_, err := daemon.Client().Info(ctx, &api.InfoRequest{Digest: b.Digest})
		wants(t, err, codes.NotFound, b.Digest)
	}
	if text, code := ipcsctl(t, daemon, nil, "--format", "json", "status"); code != 0 || !strings.Contains(text, `"missing": 3`) {
		t.Errorf("status %d:\n%s", code, text)
	}
	wants(t, blob.Put(ctx, daemon.Client(), "back", blobs[0].Bytes()), codes.OK)
	holds(t, ctx, daemon.Client(), blobs[:1])
	daemon.Stop()
	// Accepted once, the store is the catalog's.
	daemon = process.StartIn(t, process.Ipcsd(t), base, stores[1]...)
	holds(t, ctx, daemon.Client(), blobs[:1])
}

// snapshot hashes all regular files below a directory; locks (which hold the last process's id) and empty files do not
// count.
func snapshot(t *testing.T, directory string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, ".lock") {
			return err
		}
		data, err := os.ReadFile(path)
		if len(data) > 0 {
			files[path] = fmt.Sprintf("%x", sha256.Sum256(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path, hash := range before {
		if after[path] != hash {
			t.Errorf("%s was changed", path)
		}
	}
	for path := range after {
		if before[path] == "" {
			t.Errorf("%s was made", path)
		}
	}
}

// TestClosedStreams starts an ipcsd without standard streams, whose lines of log must not go into the next file it opens.
func TestClosedStreams(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	arguments := append([]string{"-c", `exec "$0" "$@" <&- >&- 2>&-`, process.Ipcsd(t)}, at(base, "--log-level", "debug")...)
	daemon := process.StartWith(t, "/bin/sh", filepath.Join(base, "root"), filepath.Join(base, "content.sock"), arguments...)
	for fd := range 3 {
		if target := daemon.Descriptor(fd); target != "/dev/null" {
			t.Errorf("descriptor %d is %s", fd, target)
		}
	}
	ctx, b := process.Context(t), blob.New(1, mib)
	wants(t, blob.Put(ctx, daemon.Client(), "ref", b.Bytes()), codes.OK)
	holds(t, ctx, daemon.Client(), []blob.Blob{b})
}
