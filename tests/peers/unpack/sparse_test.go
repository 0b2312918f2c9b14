package unpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHoles applies sparse files of all formats: where an archive has no bytes, none are stored.
func TestHoles(t *testing.T) {
	p := start(t)
	m := sparseMap{size: 1 << 20, runs: []extent{{100_000, 100_384}, {600_000, 600_216}, {1 << 20, 1 << 20}}}
	body := strings.Repeat("x", 600)
	// What the file system makes of such a file.
	pattern := filepath.Join(p.base, "pattern")
	f, err := os.Create(pattern)
	for at, i := 0, 0; err == nil && i < len(m.runs); i++ {
		next := at + int(m.runs[i].to-m.runs[i].from)
		_, err = f.WriteAt([]byte(body[at:next]), m.runs[i].from)
		at = next
	}
	if err == nil {
		err = f.Truncate(m.size)
	}
	f.Close()
	content, _ := os.ReadFile(pattern)
	if err != nil || len(stored(t, pattern)) != 2 {
		t.Fatalf("%v, or no file system with holes: %v", err, stored(t, pattern))
	}

	cases := map[string][]byte{}
	for _, format := range []string{"0.0", "0.1", "1.0"} {
		m.format = format
		cases[format] = archive(t, file{Header: tar.Header{Name: "holes", Mode: 0o644}, body: body, sparse: &m})
	}
	// GNU's old format has a type of its own, which containerd refuses and tar writes all the same.
	old := block("holes", 'S', 600, func(b []byte) {
		copy(b[257:265], "ustar  \x00")
		for i, run := range m.runs {
			copy(b[386+24*i:], fmt.Sprintf("%011o\x00%011o\x00", run.from, run.to-run.from))
		}
		copy(b[483:], fmt.Sprintf("%011o\x00", m.size))
	})
	cases["old"] = joined(old, padded(body))
	for name, layer := range cases {
		t.Run(name, func(t *testing.T) {
			d := p.put(t, plainLayer, layer)
			for _, where := range []snapshot{p.bind(t), p.overlay(t)} {
				if err := applied(p.ours, d, where).err; err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(where.root, "holes")
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%v, %d bytes", err, len(got))
				}
				if got, wanted := stored(t, path), stored(t, pattern); !slices.Equal(got, wanted) {
					t.Errorf("%v is stored, %v is due", got, wanted)
				}
			}
			if theirs := applied(p.theirs, d, p.bind(t)).err; (theirs != nil) != (name == "old") {
				t.Errorf("containerd: %v", theirs)
			}
		})
	}
}
