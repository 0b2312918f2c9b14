package unpack

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"

	"ipcs/tests/peers/internal/blob"
)

// small mounts a tmpfs at a new directory until the test ends.
func (p *peers) small(t *testing.T, options string) string {
	t.Helper()
	path := p.directory(t)
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, 0); err != nil {
			t.Errorf("something still uses %s: %v", path, err)
		}
	})
	return path
}

// TestFullDisk applies layers where there is no room for them, and then the same ones where there is.
func TestFullDisk(t *testing.T) {
	p := start(t)
	var many []file
	for i := range 500 {
		many = append(many, file{Header: tar.Header{Name: fmt.Sprint("f", i), Mode: 0o644}, body: "x"})
	}
	large := []file{{Header: tar.Header{Name: "large", Mode: 0o644}, body: string(blob.New(1, 8<<20).Bytes())}}
	cases := map[string]struct {
		options, named string
		files          []file
	}{"no bytes left": {"size=2m", "large", large}, "no inodes left": {"nr_inodes=100", "f", many}}
	for name, c := range cases {
		d := p.put(t, gzipLayer, gzipped(archive(t, c.files...)))
		for kind, target := range map[string]func(string) snapshot{
			"bind": func(root string) snapshot {
				return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}}}, root}
			},
			"overlay": func(root string) snapshot {
				upper, work := filepath.Join(root, "fs"), filepath.Join(root, "work")
				for _, path := range []string{upper, work} {
					if err := os.Mkdir(path, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				return snapshot{[]mount.Mount{{Type: "overlay", Source: "overlay",
					Options: []string{"index=off", "workdir=" + work, "upperdir=" + upper, "lowerdir=" + p.directory(t)}}}, upper}
			},
			// What is neither is mounted by the worker, in a namespace that goes with it.
			"two mounts": func(root string) snapshot {
				return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}},
					{Type: "bind", Source: root, Options: []string{"rbind", "rw"}}}, root}
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				where := target(p.small(t, c.options))
				err := applied(p.ours, d, where).err
				if !errdefs.IsResourceExhausted(err) {
					t.Fatalf("%v", err)
				}
				for _, word := range []string{d.Digest.String(), c.named, "No space left on device"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q is missing from: %v", word, err)
					}
				}
				if left := workers(t, p.daemon.Pid()); len(left) != 0 {
					t.Errorf("workers are left: %v", left)
				}
				if err := p.same(t, d, p.bind(t), p.bind(t)); err != nil {
					t.Errorf("with room: %v", err)
				}
			})
		}
	}
}

// TestDamagedLayer changes the stored bytes of layers, as an ill disk does: no error may be missing.
func TestDamagedLayer(t *testing.T) {
	p := start(t)
	layer := archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: string(blob.New(2, 3<<20).Bytes())})
	for name, damage := range map[string]func(*os.File, int64) error{
		"a byte":    func(f *os.File, size int64) error { _, err := f.WriteAt([]byte{0x5a}, size/2); return err },
		"the first": func(f *os.File, size int64) error { _, err := f.WriteAt([]byte{0}, 0); return err },
		"cut":       func(f *os.File, size int64) error { return f.Truncate(size / 2) },
	} {
		t.Run(name, func(t *testing.T) {
			d := p.put(t, gzipLayer, gzipped(append([]byte(nil), append(layer, name...)...)))
			path := filepath.Join(p.daemon.Root, "local/blobs/sha256", d.Digest.Encoded())
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			stored, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				err = damage(stored, d.Size)
				stored.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			err = applied(p.ours, d, p.bind(t)).err
			if err == nil || !strings.Contains(err.Error(), d.Digest.String()) || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("%v", err)
			}
			t.Log(err)
			if !p.daemon.Alive() {
				t.Fatal("ipcsd has ended")
			}
		})
	}
}
