package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
)

// traces are what a layer could leave behind in ipcsd.
type traces struct {
	descriptors map[string]int // what they lead to → how many
	mounts      string
}

func (p *peers) traces(t *testing.T) traces {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.daemon.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	found := traces{descriptors: map[string]int{}}
	for _, entry := range entries {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.daemon.Pid(), entry.Name()))
		kind, _, _ := strings.Cut(to, ":[") // of sockets and pipes the number says nothing
		if strings.HasPrefix(kind, p.daemon.Root) || kind == "socket" || kind == "anon_inode" {
			continue // of the store and of connections, which come and go
		}
		found.descriptors[kind]++
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.daemon.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	found.mounts = string(mounts)
	return found
}

// nothingLeft expects ipcsd to be as it was before: no worker, no mount, no descriptor more.
func (p *peers) nothingLeft(t *testing.T, before traces) {
	t.Helper()
	var now traces
	eventually(t, "everything of a layer to go", func() bool {
		now = p.traces(t)
		return len(workers(t, p.daemon.Pid())) == 0 && (maps.Equal(now.descriptors, before.descriptors) || t.Failed())
	})
	if now.mounts != before.mounts {
		t.Errorf("mounts: %s\nbefore: %s", now.mounts, before.mounts)
	}
	if entries, err := os.ReadDir(filepath.Join(p.daemon.Root, "unpack")); err != nil || len(entries) != 0 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestNodesWhereNoneWork applies devices and setuid programs to file systems on which they do nothing.
func TestNodesWhereNoneWork(t *testing.T) {
	p := start(t)
	d := p.put(t, gzipLayer, gzipped(archive(t,
		file{Header: tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 8, Gid: 6}},
		file{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}},
		file{Header: tar.Header{Name: "su", Mode: 0o4755}, body: "x"})))
	where := func() string {
		path := p.directory(t)
		if err := syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Unmount(path, 0) })
		return path
	}
	bind := func() snapshot {
		root := where()
		return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}}}, root}
	}
	overlay := func() snapshot {
		base := where()
		upper, work := filepath.Join(base, "fs"), filepath.Join(base, "work")
		if err := os.Mkdir(upper, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(work, 0o755); err != nil {
			t.Fatal(err)
		}
		return snapshot{[]mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{"index=off",
			"workdir=" + work, "upperdir=" + upper, "lowerdir=" + p.directory(t)}}}, upper}
	}
	// The mount says nodev, not the file system below it.
	options := func() snapshot {
		root := p.directory(t)
		return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw", "nodev", "nosuid"}}}, root}
	}
	for name, kind := range map[string]func() snapshot{"bind": bind, "overlay": overlay, "options": options} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := kind(), kind()
			before := p.traces(t)
			if err := p.same(t, d, ours, theirs); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(filepath.Join(ours.root, "disk")); err != nil || info.Mode()&os.ModeDevice == 0 {
				t.Errorf("%v %v", info, err)
			}
			p.nothingLeft(t, before)
		})
	}
}

// framed puts data into a zstd frame whose decoder needs a window of 2^log bytes.
func framed(log int, data []byte) []byte {
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(log-10) << 3}
	for {
		size := min(len(data), 1<<17)
		head := size << 3 // a raw block
		if size == len(data) {
			head |= 1 // the last one
		}
		out = append(append(out, byte(head), byte(head>>8), byte(head>>16)), data[:size]...)
		if data = data[size:]; len(data) == 0 {
			return out
		}
	}
}

// TestWindows has frames that ask for much memory. containerd's reader takes windows of up to 512 MiB, ipcsd of 128.
func TestWindows(t *testing.T) {
	p := start(t)
	layer := archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: strings.Repeat("text", 100_000)})
	if err := p.same(t, p.put(t, zstdLayer, framed(27, layer)), p.bind(t), p.bind(t)); err != nil {
		t.Errorf("128 MiB: %v", err)
	}
	larger := p.put(t, zstdLayer, framed(28, layer))
	if err := applied(p.theirs, larger, p.bind(t)).err; err != nil {
		t.Errorf("containerd, 256 MiB: %v", err)
	}
	if err := applied(p.ours, larger, p.bind(t)).err; err == nil || !strings.Contains(err.Error(), "too much memory") {
		t.Errorf("256 MiB: %v", err)
	}
}

// repeated writes a piece many times.
func repeated(w io.Writer, piece []byte, times int) {
	for range times {
		w.Write(piece)
	}
}

// TestBombs applies a layer of few bytes that would need gigabytes of memory.
func TestBombs(t *testing.T) {
	p := start(t)

	// Names alone: each directory is remembered until its time can be set.
	t.Run("names", func(t *testing.T) {
		name := strings.Repeat(strings.Repeat("n", 250)+"/", 15)
		entry := append(paxHeader('x', record("path", name)), block("d", '5', 0, nil)...)
		var layer bytes.Buffer
		w, err := zstd.NewWriter(&layer)
		if err != nil {
			t.Fatal(err)
		}
		repeated(w, entry, 400_000)
		w.Close()
		began, before := time.Now(), p.traces(t)
		err = applied(p.ours, p.put(t, zstdLayer, layer.Bytes()), p.bind(t)).err
		if !errdefs.IsResourceExhausted(err) || strings.Contains(err.Error(), "limit") {
			t.Errorf("%v", err)
		}
		t.Logf("%v after %v", err, time.Since(began))
		p.nothingLeft(t, before)
	})
}

// peakOfWorkers polls the memory of the workers until `done`, and returns the most that one of them has had.
func (p *peers) peakOfWorkers(t *testing.T, done <-chan outcome) (int64, outcome) {
	t.Helper()
	most := int64(0)
	for {
		select {
		case result := <-done:
			return most, result
		case <-time.After(2 * time.Millisecond):
		}
		for _, pid := range workers(t, p.daemon.Pid()) {
			text, _ := os.ReadFile("/proc/" + pid + "/status")
			for line := range strings.Lines(string(text)) {
				var kib int64
				if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
					most = max(most, kib<<10)
				}
			}
		}
	}
}

// TestMemory applies a layer of 256 MiB: neither ipcsd nor the worker has more than a small part of it at a time.
func TestMemory(t *testing.T) {
	p := start(t)
	const size, bound = 256 << 20, 48 << 20
	line := []byte(strings.Repeat("some text that is the same, ", 1<<10))
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: int64(size / len(line) * len(line))}); err != nil {
		t.Fatal(err)
	}
	repeated(w, line, size/len(line))
	w.Close()
	var fast bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&fast, gzip.BestSpeed)
	zip.Write(plain.Bytes())
	zip.Close()
	layers := map[string][]byte{gzipLayer: fast.Bytes(), zstdLayer: zstandard(plain.Bytes()), plainLayer: plain.Bytes()}
	for mediaType, data := range layers {
		t.Run(mediaType[len(plainLayer):], func(t *testing.T) {
			root := p.small(t, "size=300m")
			d, done := p.put(t, mediaType, data), make(chan outcome, 1)
			before := p.daemon.Resident()
			go func() {
				done <- applied(p.ours, d,
					snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}}}, root})
			}()
			most, result := p.peakOfWorkers(t, done)
			if result.err != nil || result.size != int64(plain.Len()) {
				t.Fatalf("%+v", result)
			}
			grown := p.daemon.Resident() - before
			t.Logf("worker %d MiB, ipcsd grew by %d MiB", most>>20, grown>>20)
			if most < 2<<20 { // its buffers
				t.Errorf("no worker was seen at work: %d bytes", most)
			}
			if most > bound || grown > bound {
				t.Errorf("worker %d bytes, ipcsd %d more; at most %d are due", most, grown, bound)
			}
		})
	}
}
