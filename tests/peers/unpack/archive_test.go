package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	plainLayer = "application/vnd.oci.image.layer.v1.tar"
	gzipLayer  = plainLayer + "+gzip"
	zstdLayer  = plainLayer + "+zstd"
)

// file is a header with the bytes that follow it.
type file struct {
	tar.Header
	body string
}

// archive writes files in the format PAX.
func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := f.Header
		h.Format = tar.FormatPAX
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%+v: %v", h, err)
		}
		if _, err := w.Write([]byte(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(data)
	w.Close()
	return out.Bytes()
}

func zstandard(data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

// block is a header as bytes, with a right checksum; `edit` changes fields before that.
func block(name string, kind byte, size int64, edit func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	copy(b[136:], "14000000000\x00")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	if edit != nil {
		edit(b)
	}
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func padded(body string) []byte {
	return append([]byte(body), make([]byte, -len(body)&511)...)
}

// joined puts parts one after the other, and an end behind them.
func joined(parts ...[]byte) []byte {
	return append(bytes.Join(parts, nil), make([]byte, 1024)...)
}

func record(key, value string) string {
	for size := len(key) + len(value) + 3; ; size++ {
		text := fmt.Sprintf("%d %s=%s\n", size, key, value)
		if len(text) == size {
			return text
		}
	}
}

func paxHeader(kind byte, records string) []byte {
	return append(block("PaxHeaders.0/x", kind, int64(len(records)), nil), padded(records)...)
}

// random makes an archive of a few files whose names meet each other often.
func random(r *rand.Rand) []file {
	name := func() string {
		var parts []string
		for range 1 + r.IntN(3) {
			parts = append(parts, string(rune('a'+r.IntN(4))))
		}
		return strings.Join(parts, "/")
	}
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	var files []file
	for range 2 + r.IntN(2+r.IntN(12)) {
		f := file{Header: tar.Header{Name: name(), Mode: int64(r.IntN(0o10000)), Uid: r.IntN(3_000_000), Gid: r.IntN(70_000),
			ModTime: time.Unix(int64(r.IntN(1_700_000_000)), int64(r.IntN(1_000_000_000)))}}
		switch k := r.IntN(20); {
		case k < 6:
			f.Typeflag, f.body = tar.TypeReg, strings.Repeat("x", r.IntN(3000))
		case k < 11:
			f.Typeflag, f.Name = tar.TypeDir, f.Name+"/"
		case k < 13:
			f.Typeflag = tar.TypeSymlink
			f.Linkname = one("a", "b/c", "/a/b", "../b", "../../../../a", ".", "c", "/", "d/../c")
		case k < 15:
			f.Typeflag, f.Linkname = tar.TypeLink, name()
			// Most lead to a file that is there, or the archive can't be applied.
			for range 20 {
				if len(files) == 0 || r.IntN(20) == 0 {
					break
				}
				if one := files[r.IntN(len(files))]; one.Typeflag == tar.TypeReg && one.Name != f.Name {
					f.Linkname = one.Name
					break
				}
			}
		case k == 15:
			f.Typeflag = tar.TypeFifo
		case k == 16:
			f.Typeflag, f.Devmajor, f.Devminor = tar.TypeChar, int64(r.IntN(300)), int64(r.IntN(300))
		case k == 17:
			f.Name = strings.TrimSuffix(name()+"/", "/") + "/.wh..wh..opq"
		default:
			slash := strings.LastIndex(f.Name, "/") + 1
			f.Name = f.Name[:slash] + ".wh." + f.Name[slash:]
		}
		if r.IntN(3) == 0 {
			f.PAXRecords = map[string]string{}
			for range 1 + r.IntN(2) {
				switch r.IntN(4) {
				case 0:
					f.PAXRecords["SCHILY.xattr.user.note"] = one("one", "two", "a\x00b")
				case 1:
					f.PAXRecords["SCHILY.xattr.trusted.note"] = "left out"
				case 2:
					f.PAXRecords["SCHILY.xattr.security.capability"] = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				case 3:
					f.AccessTime = f.ModTime.Add(time.Duration(r.IntN(1000)-500) * time.Second)
				}
			}
		}
		if r.IntN(8) == 0 {
			f.Name = one("./", "/", "../", "x/../", "") + f.Name
		}
		files = append(files, f)
	}
	return files
}
