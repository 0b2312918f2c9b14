package unpack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
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
	body   string
	sparse *sparseMap
}

// sparseMap says where the bytes of a sparse file are: `format` is GNU's, 0.0, 0.1 or 1.0.
type sparseMap struct {
	format string
	size   int64
	runs   []extent
}

// bytes are a sparse file's headers and its body, which must be as long as its runs.
func (m sparseMap) bytes(f file) []byte {
	records := record("path", f.Name) + record("mtime", fmt.Sprintf("%d.%09d", f.ModTime.Unix(), f.ModTime.Nanosecond()))
	var numbers []string
	for _, run := range m.runs {
		numbers = append(numbers, fmt.Sprint(run.from), fmt.Sprint(run.to-run.from))
	}
	count, body := fmt.Sprint(len(m.runs)), []byte(nil)
	if m.format == "1.0" {
		records += record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", f.Name) +
			record("GNU.sparse.realsize", fmt.Sprint(m.size))
		body = padded(strings.Join(append([]string{count}, numbers...), "\n") + "\n")
	} else {
		records += record("GNU.sparse.size", fmt.Sprint(m.size)) + record("GNU.sparse.numblocks", count)
	}
	switch m.format {
	case "0.0":
		for i := 0; i < len(numbers); i += 2 {
			records += record("GNU.sparse.offset", numbers[i]) + record("GNU.sparse.numbytes", numbers[i+1])
		}
	case "0.1":
		records += record("GNU.sparse.map", strings.Join(numbers, ","))
	}
	header := block("sparse", tar.TypeReg, int64(len(body)+len(f.body)), func(b []byte) {
		copy(b[100:], fmt.Sprintf("%07o\x00", f.Mode))
		copy(b[108:], fmt.Sprintf("%07o\x00", f.Uid%(1<<21)))
		copy(b[116:], fmt.Sprintf("%07o\x00", f.Gid))
	})
	return bytes.Join([][]byte{paxHeader('x', records), header, body, padded(f.body)}, nil)
}

// archive writes files, in the format PAX unless they name one.
func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if f.sparse != nil {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			out.Write(f.sparse.bytes(f))
			continue
		}
		h := f.Header
		if h.Format == tar.FormatUnknown {
			h.Format = tar.FormatPAX
		}
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

// acl is the value of an attribute system.posix_acl_*: pairs of a tag and what it permits, those of users 1000.
func acl(pairs ...uint16) string {
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for i := 0; i < len(pairs); i += 2 {
		id := uint32(0xffffffff)
		if pairs[i] == aclUser || pairs[i] == aclGroup {
			id = 1000
		}
		out = binary.LittleEndian.AppendUint16(out, pairs[i])
		out = binary.LittleEndian.AppendUint16(out, pairs[i+1])
		out = binary.LittleEndian.AppendUint32(out, id)
	}
	return string(out)
}

const (
	aclOwner, aclUser, aclOwningGroup, aclGroup, aclMask, aclOther = 1, 2, 4, 8, 16, 32

	aclAccess, aclDefault = "SCHILY.xattr.system.posix_acl_access", "SCHILY.xattr.system.posix_acl_default"
)

// sparseMapOf makes up where a file's bytes are, and the bytes.
func sparseMapOf(r *rand.Rand) (*sparseMap, string) {
	m := &sparseMap{format: []string{"0.0", "0.1", "1.0"}[r.IntN(3)]}
	var body strings.Builder
	for range r.IntN(4) {
		from := m.size + int64(r.IntN(30_000))
		m.size = from + int64(r.IntN(9000))
		m.runs = append(m.runs, extent{from, m.size})
		body.WriteString(strings.Repeat("s", int(m.size-from)))
	}
	m.size += int64(r.IntN(30_000))
	// An end without bytes is how GNU tar says how long the file is.
	m.runs = append(m.runs, extent{m.size, m.size})
	return m, body.String()
}

// hasSparse says whether one of the files is sparse.
func hasSparse(files []file) bool {
	return slices.ContainsFunc(files, func(f file) bool { return f.sparse != nil })
}

// random makes an archive of a few files whose names meet each other often.
func random(r *rand.Rand) []file {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	name := func() string {
		var parts []string
		for range 1 + r.IntN(3) {
			part := string(rune('a' + r.IntN(4)))
			if r.IntN(12) == 0 {
				part = one("häßlich", "名前", "not\xffutf-8", " ", "new\nline", strings.Repeat("long", 63), "back\\slash", "...", "~")
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "/")
	}
	var files []file
	for range 2 + r.IntN(2+r.IntN(12)) {
		path := name()
		for range 10 { // seldom below what is no directory
			if r.IntN(10) == 0 || !slices.ContainsFunc(files, func(f file) bool {
				return f.Typeflag != tar.TypeDir && f.Typeflag != tar.TypeSymlink && strings.HasPrefix(path, f.Name+"/")
			}) {
				break
			}
			path = name()
		}
		f := file{Header: tar.Header{Name: path, Mode: int64(r.IntN(0o10000)), Uid: r.IntN(3_000_000), Gid: r.IntN(70_000),
			ModTime: time.Unix(int64(r.IntN(1_700_000_000)), int64(r.IntN(1_000_000_000)))}}
		switch k := r.IntN(21); {
		case k < 5:
			f.Typeflag, f.body = tar.TypeReg, strings.Repeat("x", r.IntN(3000))
		case k == 5:
			f.Typeflag = tar.TypeReg
			f.sparse, f.body = sparseMapOf(r)
		case k < 11:
			f.Typeflag, f.Name = tar.TypeDir, f.Name+"/"
		case k < 13:
			f.Typeflag = tar.TypeSymlink
			f.Linkname = one("a", "b/c", "/a/b", "../b", "../../../../a", ".", "c", "/", "d/../c")
		case k < 15:
			// Most lead to a file that is there, or the archive can't be applied.
			f.Typeflag, f.Linkname = tar.TypeLink, name()
			if r.IntN(10) != 0 {
				f.Typeflag = tar.TypeReg
				for _, i := range r.Perm(len(files)) {
					if to := files[i]; to.Typeflag == tar.TypeReg && to.Name != f.Name {
						f.Typeflag, f.Linkname = tar.TypeLink, to.Name
						break
					}
				}
			}
		case k == 15:
			f.Typeflag = tar.TypeFifo
		case k == 16:
			f.Typeflag, f.Devmajor, f.Devminor = tar.TypeChar, int64(r.IntN(300)), int64(r.IntN(300))
			if r.IntN(2) == 0 {
				f.Typeflag = tar.TypeBlock
			}
		case k == 17:
			f.Name = strings.TrimSuffix(name()+"/", "/") + "/.wh..wh..opq"
		default:
			slash := strings.LastIndex(f.Name, "/") + 1
			f.Name = f.Name[:slash] + ".wh." + f.Name[slash:]
		}
		if r.IntN(3) == 0 {
			f.PAXRecords = map[string]string{}
			for range 1 + r.IntN(2) {
				switch r.IntN(7) {
				case 0:
					f.PAXRecords["SCHILY.xattr.user.note"] = one("one", "two", "a\x00b")
				case 1:
					f.PAXRecords["SCHILY.xattr.trusted.note"] = "left out"
				case 2:
					f.PAXRecords["SCHILY.xattr.security.capability"] = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				case 3:
					f.AccessTime = f.ModTime.Add(time.Duration(r.IntN(1000)-500) * time.Second)
				case 4:
					f.PAXRecords[aclAccess] = acl(aclOwner, 7, aclUser, 6, aclOwningGroup, 5, aclMask, 7, aclOther, 4)
				case 5:
					if f.Typeflag == tar.TypeDir {
						f.PAXRecords[aclDefault] = acl(aclOwner, 6, aclOwningGroup, 5, aclGroup, 7, aclMask, 3, aclOther, 1)
					}
				case 6:
					f.PAXRecords["SCHILY.xattr.user."+strings.Repeat("n", 200)] = strings.Repeat("v", r.IntN(1500))
				}
			}
		}
		if r.IntN(8) == 0 {
			f.Name = one("./", "/", "../", "x/../", "") + f.Name
		}
		if f.PAXRecords == nil && f.sparse == nil && r.IntN(4) == 0 {
			f.Format, f.ModTime = tar.FormatGNU, f.ModTime.Truncate(time.Second)
		}
		files = append(files, f)
	}
	return files
}
