package unpack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// now is the time of the file system that holds `base`, a little earlier.
func now(t *testing.T, base string) time.Time {
	t.Helper()
	return time.Now().Add(-50 * time.Millisecond)
}

// tree describes each file below root by every attribute that an archive can set. Times between `since` and this moment
// are those in which something was made, and all the same.
func tree(t *testing.T, root string, since time.Time) map[string]string {
	t.Helper()
	found := map[string]string{}
	first := map[uint64]string{} // inode → the first of its names
	var walk func(path, name string)
	walk = func(path, name string) {
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			t.Fatal(err)
		}
		when := func(ts unix.Timespec) string {
			if at := time.Unix(ts.Sec, ts.Nsec); !at.Before(since) && !at.After(time.Now()) {
				return "now"
			}
			return fmt.Sprintf("%d.%09d", ts.Sec, ts.Nsec)
		}
		line := fmt.Sprintf("mode %o uid %d gid %d rdev %x nlink %d mtime %s atime %s", s.Mode, s.Uid, s.Gid, s.Rdev, s.Nlink,
			when(s.Mtim), when(s.Atim))
		kind := s.Mode & unix.S_IFMT
		if kind != unix.S_IFDIR {
			line += fmt.Sprintf(" size %d", s.Size)
			if other, seen := first[s.Ino]; seen {
				line += " as " + other
			} else {
				first[s.Ino] = name
			}
		}
		line += xattrs(t, path)
		switch kind {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				t.Fatal(err)
			}
			line += " -> " + target
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		found[name] = line
		if kind != unix.S_IFDIR {
			return
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			walk(filepath.Join(path, entry.Name()), name+"/"+entry.Name())
		}
	}
	walk(root, "")
	return found
}

func xattrs(t *testing.T, path string) string {
	t.Helper()
	names := make([]byte, 64*1024)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimRight(string(names[:n]), "\x00"), "\x00")
	sort.Strings(list)
	out := ""
	for _, name := range list {
		if name == "" {
			continue
		}
		value := make([]byte, 64*1024)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintf(" %s=%x", name, value[:n])
	}
	return out
}

func compare(t *testing.T, ours, theirs map[string]string) {
	t.Helper()
	names := map[string]bool{}
	for name := range ours {
		names[name] = true
	}
	for name := range theirs {
		names[name] = true
	}
	for name := range names {
		if ours[name] != theirs[name] {
			t.Errorf("%q\n  ipcsd:      %s\n  containerd: %s", name, ours[name], theirs[name])
		}
	}
}

// extent is a part of a file that is stored.
type extent struct{ from, to int64 }

// stored are the parts of a file that are not holes.
func stored(t *testing.T, path string) (parts []extent) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := int64(0); ; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			t.Fatal(err)
		}
		parts, at = append(parts, extent{from, to}), to
	}
}

// compareHoles expects files with the holes that containerd's have or, where the archive has sparse files, with more of
// them: containerd writes these in full.
func compareHoles(t *testing.T, ours, theirs string, sparse bool) {
	t.Helper()
	err := filepath.WalkDir(ours, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name := strings.TrimPrefix(path, ours)
		got, wanted := stored(t, path), stored(t, theirs+name)
		within := func(part extent) bool {
			return slices.ContainsFunc(wanted, func(w extent) bool { return w.from <= part.from && part.to <= w.to })
		}
		for _, part := range got {
			if !within(part) {
				t.Errorf("%q: bytes %v are stored, containerd stores %v", name, part, wanted)
			}
		}
		if !sparse && !slices.Equal(got, wanted) {
			t.Errorf("%q: %v is stored, containerd stores %v", name, got, wanted)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
