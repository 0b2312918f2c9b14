package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	containerdarchive "github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/errdefs"
)

// generated is how many random archives are compared.
const generated = 300

func TestGeneratedArchives(t *testing.T) {
	p := start(t)
	good := 0
	for seed := range uint64(generated) {
		r := rand.New(rand.NewPCG(seed, 5))
		below, files := random(r), random(r)
		lower, layer, sparse := archive(t, below...), archive(t, files...), hasSparse(below) || hasSparse(files)
		compress, mediaType := []func([]byte) []byte{gzipped, zstandard, func(b []byte) []byte { return b }}[seed%3],
			[]string{gzipLayer, zstdLayer, plainLayer}[seed%3]
		d := p.put(t, mediaType, compress(layer))
		failed := t.Failed()
		t.Run(fmt.Sprint("bind/", seed), func(t *testing.T) {
			ours, theirs := p.bind(t), p.bind(t)
			fill(ours.root, lower)
			fill(theirs.root, lower)
			if p.sameBut(t, d, ours, theirs, sparse) == nil {
				good++
			}
		})
		t.Run(fmt.Sprint("overlay/", seed), func(t *testing.T) {
			middle, bottom := p.bind(t), p.bind(t)
			fill(middle.root, lower)
			fill(bottom.root, layer)
			lowers := []string{middle.root, bottom.root}
			if p.sameBut(t, d, p.overlay(t, lowers...), p.overlay(t, lowers...), sparse) == nil {
				good++
			}
		})
		if !failed && t.Failed() {
			t.Logf("seed %d, the layer:", seed)
			for _, f := range files {
				t.Logf("  %c %q -> %q mode %o pax %q sparse %v", f.Typeflag, f.Name, f.Linkname, f.Mode, f.PAXRecords, f.sparse)
			}
		}
	}
	if good < generated {
		t.Errorf("only %d of %d archives could be applied: the comparison says little", good, 2*generated)
	}
	t.Logf("%d of %d applied", good, 2*generated)
}

// fill applies an archive as far as it goes.
func fill(root string, data []byte) {
	_, _ = containerdarchive.Apply(context.Background(), root, bytes.NewReader(data))
}

func TestFormats(t *testing.T) {
	p := start(t)
	data := strings.Repeat("0123456789abcdef", 40)
	one := block("file", '0', int64(len(data)), nil)
	long := strings.Repeat("long/", 40) + "name"
	cases := map[string][]byte{
		"empty blob":            {},
		"no entries":            joined(),
		"no end":                append(one, padded(data)...),
		"no padding at the end": append(one, data...),
		"one block of zeros":    append(append(one, padded(data)...), make([]byte, 512)...),
		"bytes behind the end":  append(joined(one, padded(data)), "anything"...),
		"zero block inside":     joined(make([]byte, 512), one, padded(data)),
		"cut header":            one[:300],
		"cut file":              append(one, data[:100]...),
		"wrong checksum":        joined(append([]byte("g"), one[1:]...), padded(data)),
		"old header":            joined(block("v7", 0, 3, func(b []byte) { clear(b[257:265]) }), padded("abc")),
		"old directory":         joined(block("v7/", 0, 0, func(b []byte) { clear(b[257:265]) })),
		"prefix":                joined(block("name", '0', 0, func(b []byte) { copy(b[345:], "pre/fix") })),
		"gnu long name":         joined(block("././@LongLink", 'L', int64(len(long))+1, nil), padded(long+"\x00"), one, padded(data)),
		"gnu long link":         joined(block("././@LongLink", 'K', int64(len(long))+1, nil), padded(long+"\x00"), block("link", '2', 0, nil)),
		"long name is too long": joined(block("././@LongLink", 'L', 2<<20, nil), make([]byte, 2<<20)),
		"base 256 ids": joined(block("big", '0', 0, func(b []byte) {
			copy(b[108:116], "\x80\x00\x00\x00\x00\x40\x00\x01")
			copy(b[116:124], "\x80\x00\x00\x00\x7f\xff\xff\xfe")
		})),
		"base 256 time before 1970": joined(block("early", '0', 0, func(b []byte) { copy(b[136:148], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") })),
		"base 256 overflow":         joined(block("over", '0', 0, func(b []byte) { copy(b[136:148], "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") })),
		"negative size":             joined(block("less", '0', 0, func(b []byte) { copy(b[124:136], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") })),
		"number that is none":       joined(block("bad", '0', 0, func(b []byte) { copy(b[100:108], "00x0644\x00") })),
		"numbers without zeros":     joined(block("spaces", '0', 0, func(b []byte) { copy(b[100:108], "   644 \x00") })),
		"gnu times":                 joined(block("gnu", '0', 0, func(b []byte) { copy(b[257:265], "ustar  \x00"); copy(b[345:], "14100000000\x00") })),
		"gnu with a prefix":         joined(block("gnu", '0', 0, func(b []byte) { copy(b[257:265], "ustar  \x00"); copy(b[345:], "dir") })),
		"star":                      joined(block("star", '0', 0, func(b []byte) { copy(b[345:], "dir"); copy(b[476:], "14100000000\x0014100000000\x00tar\x00") })),
		"contiguous file":           joined(block("seven", '7', 0, nil)),
		"unknown type":              joined(block("why", 'Z', 0, nil)),
		"global header":             joined(paxHeader('g', record("comment", "hello")), one, padded(data)),
		"global header in the way":  joined(one, padded(data), paxHeader('g', record("path", "file"))),
		"pax path and size":         joined(paxHeader('x', record("path", "x/y")+record("size", fmt.Sprint(len(data)))), block("z", '0', 0, nil), padded(data)),
		"pax wrong length":          joined(paxHeader('x', "99 path=x\n"), one, padded(data)),
		"pax without value":         joined(paxHeader('x', record("path", "")), one, padded(data)),
		"pax NUL in path":           joined(paxHeader('x', record("path", "a\x00b")), one, padded(data)),
		"pax time before 1970":      joined(paxHeader('x', record("mtime", "-1.5")), one, padded(data)),
		"pax time with digits":      joined(paxHeader('x', record("mtime", "1500000000.1234567891")+record("atime", "1500000001.5")), one, padded(data)),
		"pax far future":            joined(paxHeader('x', record("mtime", "99999999999")), one, padded(data)),
		"pax time that is none":     joined(paxHeader('x', record("mtime", "soon")), one, padded(data)),
		"pax very long path":        joined(paxHeader('x', record("path", strings.Repeat("nnnnnnnnn/", 500)+"n")), one, padded(data)),
		"pax empty attribute":       joined(paxHeader('x', record("SCHILY.xattr.user.empty", "")), one, padded(data)),
		"attribute of no namespace": joined(paxHeader('x', record("SCHILY.xattr.nothing", "1")), one, padded(data)),
		"user attribute on a link":  joined(paxHeader('x', record("SCHILY.xattr.user.a", "1")), block("link", '2', 0, func(b []byte) { copy(b[157:], "x") })),
		"sparse 0.0":                joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.offset", "1000")+record("GNU.sparse.numbytes", fmt.Sprint(len(data)))), one, padded(data)),
		"sparse 0.1":                joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "2")+record("GNU.sparse.map", "0,100,2000,540")+record("GNU.sparse.name", "renamed")), one, padded(data)),
		"sparse 1.0":                joined(paxHeader('x', record("GNU.sparse.major", "1")+record("GNU.sparse.minor", "0")+record("GNU.sparse.realsize", "9000")+record("GNU.sparse.name", "holes")), block("f", '0', 512+640, nil), padded("2\n0\n100\n3000\n540\n"), padded(data)),
		"sparse beyond its end":     joined(paxHeader('x', record("GNU.sparse.size", "500")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "1000,640")), one, padded(data)),
		"sparse out of order":       joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "2")+record("GNU.sparse.map", "2000,540,0,100")), one, padded(data)),
		"sparse with bytes left":    joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "0,100")), one, padded(data)),
		"sparse lacks bytes":        joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "0,1000")), one, padded(data)),
		"sparse map is odd":         joined(paxHeader('x', record("GNU.sparse.size", "5000")+record("GNU.sparse.numblocks", "1")+record("GNU.sparse.map", "0,100,7")), one, padded(data)),
		"noise":                     []byte(strings.Repeat("noise", 500)),
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			d, sparse := p.put(t, plainLayer, data), strings.HasPrefix(name, "sparse")
			p.sameBut(t, d, p.bind(t), p.bind(t), sparse)
			p.sameBut(t, d, p.overlay(t), p.overlay(t), sparse)
		})
	}
}

func TestCompressedStreams(t *testing.T) {
	p := start(t)
	layer := archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: strings.Repeat("some text ", 300_000)})
	zip, std := gzipped(layer), zstandard(layer)
	half := len(layer) / 2
	damaged := append([]byte{}, zip...)
	damaged[len(damaged)-6] ^= 1 // the checksum
	broken := append([]byte{}, zip...)
	broken[len(broken)/2] ^= 0x55
	cases := map[string]struct {
		mediaType string
		data      []byte
	}{
		"gzip":                   {gzipLayer, zip},
		"gzip as docker":         {"application/vnd.docker.image.rootfs.diff.tar.gzip", zip},
		"gzip as docker foreign": {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", zip},
		"gzip nondistributable":  {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", zip},
		"gzip said to be zstd":   {zstdLayer, zip},
		"gzip said to be plain":  {plainLayer, zip},
		"docker plain is gzip":   {"application/vnd.docker.image.rootfs.diff.tar", zip},
		"plain said to be gzip":  {gzipLayer, layer},
		"two members":            {gzipLayer, append(gzipped(layer[:half]), gzipped(layer[half:])...)},
		"an empty member":        {gzipLayer, append(gzipped(nil), zip...)},
		"only an empty member":   {gzipLayer, gzipped(nil)},
		"noise behind gzip":      {gzipLayer, append(append([]byte{}, zip...), "noise and more noise"...)},
		"cut gzip":               {gzipLayer, zip[:len(zip)-9]},
		"cut gzip trailer":       {gzipLayer, zip[:len(zip)-3]},
		"cut second member":      {gzipLayer, append(append([]byte{}, zip...), zip[:20]...)},
		"gzip checksum":          {gzipLayer, damaged},
		"gzip damaged":           {gzipLayer, broken},
		"only gzip's beginning":  {gzipLayer, zip[:4]},
		"zstd":                   {zstdLayer, std},
		"zstd as docker":         {"application/vnd.docker.image.rootfs.diff.tar.zstd", std},
		"zstd frames":            {zstdLayer, append(zstandard(layer[:half]), zstandard(layer[half:])...)},
		"zstd skippable frame":   {zstdLayer, append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), std...)},
		"cut zstd":               {zstdLayer, std[:len(std)-5]},
		"noise behind zstd":      {zstdLayer, append(append([]byte{}, std...), "noise and more noise"...)},
		"no bytes":               {gzipLayer, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := p.put(t, c.mediaType, c.data)
			p.same(t, d, p.bind(t), p.bind(t))
		})
	}
	t.Run("zeros behind gzip", func(t *testing.T) {
		// gzip itself takes them for the padding that tapes need; containerd's reader does not.
		d := p.put(t, gzipLayer, append(append([]byte{}, zip...), make([]byte, 700)...))
		if got := applied(p.ours, d, p.bind(t)); got.err != nil || got.digest.Encoded() == "" {
			t.Fatalf("%+v", got)
		}
	})
}

func TestMounts(t *testing.T) {
	p := start(t)
	d := p.put(t, gzipLayer, gzipped(archive(t, file{Header: tar.Header{Name: "sub/f", Mode: 0o644}, body: "x"},
		file{Header: tar.Header{Name: "g", Mode: 0o4755}, body: "y"})))
	t.Run("two mounts", func(t *testing.T) {
		two := func() snapshot {
			root, sub := p.directory(t), p.directory(t)
			if err := os.Mkdir(filepath.Join(root, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			return snapshot{[]mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind", "rw"}},
				{Type: "bind", Source: sub, Target: "sub", Options: []string{"rbind", "rw"}}}, sub}
		}
		if err := p.same(t, d, two(), two()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		where := func() snapshot {
			s := p.bind(t)
			s.mounts[0].Options = []string{"rbind", "ro"}
			return s
		}
		if p.same(t, d, where(), where()) == nil {
			t.Error("written to a read-only mount")
		}
	})
	t.Run("overlay with other ids", func(t *testing.T) {
		// It is the upper directory that is written to, as containerd does, and ids change when the overlay is mounted.
		where := func() snapshot {
			s := p.overlay(t, p.directory(t))
			s.mounts[0].Options = append(s.mounts[0].Options, "uidmap=0:1000:10", "gidmap=0:1000:10")
			return s
		}
		if err := p.same(t, d, where(), where()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("overlay without an upper directory", func(t *testing.T) {
		where := func() snapshot {
			return snapshot{mounts: []mount.Mount{{Type: "overlay", Source: "overlay",
				Options: []string{"lowerdir=" + p.directory(t) + ":" + p.directory(t)}}}}
		}
		if p.same(t, d, where(), where()) == nil {
			t.Error("written to a read-only overlay")
		}
	})
	t.Run("mounted for the layer alone", func(t *testing.T) {
		where := snapshot{mounts: []mount.Mount{{Type: "tmpfs", Source: "tmpfs", Options: []string{"size=1m", "nodev"}}}}
		got, wanted := applied(p.ours, d, where), applied(p.theirs, d, where)
		if got.err != nil || got != wanted {
			t.Errorf("ipcsd: %+v\ncontainerd: %+v", got, wanted)
		}
	})
	refused := map[string]mount.Mount{
		"manager's own":  {Type: "format/overlay", Source: "overlay"},
		"fuse":           {Type: "fuse3.something", Source: "x"},
		"manager option": {Type: "ext4", Source: "/dev/null", Options: []string{"X-containerd.size=1"}},
		"loop":           {Type: "ext4", Source: "/dev/null", Options: []string{"loop"}},
		"other ids":      {Type: "bind", Source: p.directory(t), Options: []string{"rbind", "rw", "uidmap=0:1000:10", "gidmap=0:1000:10"}},
	}
	for name, m := range refused {
		t.Run(name, func(t *testing.T) {
			if err := applied(p.ours, d, snapshot{mounts: []mount.Mount{m}}).err; !errdefs.IsNotImplemented(err) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := applied(p.ours, d, snapshot{}).err; !errdefs.IsInvalidArgument(err) {
		t.Errorf("no mounts: %v", err)
	}
	missing := snapshot{mounts: []mount.Mount{{Type: "bind", Source: p.base + "/missing", Options: []string{"rw"}}}}
	if err := applied(p.ours, d, missing).err; !errdefs.IsFailedPrecondition(err) {
		t.Errorf("no directory: %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(p.daemon.Root, "unpack"))
	table, _ := os.ReadFile("/proc/self/mountinfo")
	if err != nil || len(entries) != 0 || strings.Contains(string(table), p.base) {
		t.Errorf("%v %v, or something is left mounted", entries, err)
	}
}

func TestWhatIsLeftToOthers(t *testing.T) {
	p := start(t)
	data := gzipped(archive(t))
	for _, mediaType := range []string{"", "text/plain", gzipLayer + "+encrypted", plainLayer + "+encrypted", plainLayer + "+xz",
		"application/vnd.oci.image.config.v1+json"} {
		if err := applied(p.ours, p.put(t, mediaType, data), p.bind(t)).err; !errdefs.IsNotImplemented(err) {
			t.Errorf("%q: %v", mediaType, err)
		}
	}
	unknown := p.put(t, gzipLayer, data)
	unknown.Digest = "sha256:" + unknown.Digest[7:8] + unknown.Digest[7:70]
	if err := applied(p.ours, unknown, p.bind(t)).err; !errdefs.IsNotFound(err) {
		t.Errorf("unknown digest: %v", err)
	}
	unknown.Digest = "sha256:foobar"
	if err := applied(p.ours, unknown, p.bind(t)).err; !errdefs.IsInvalidArgument(err) {
		t.Errorf("malformed digest: %v", err)
	}
}

// links builds a way out of the root that each part of a name would have to be stopped at.
func TestNothingLeavesTheRoot(t *testing.T) {
	p := start(t)
	outside := filepath.Join(p.base, "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree(t, outside, time.Now().Add(time.Hour)) // looking at files changes their time of access, once
	before := tree(t, outside, time.Now().Add(time.Hour))
	link := func(name, to string) file {
		return file{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}}
	}
	hard := func(name, to string) file {
		return file{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o666}}
	}
	f := func(name string) file { return file{Header: tar.Header{Name: name, Mode: 0o644}, body: "planted"} }
	dir := func(name string) file {
		return file{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o777}}
	}
	up := strings.Repeat("../", 20)
	chain := []file{}
	for i := range 300 {
		chain = append(chain, link(fmt.Sprint("l", i), fmt.Sprint("l", i+1)))
	}
	cases := map[string][]file{
		"dots":                     {f(up + outside[1:] + "/planted")},
		"absolute name":            {f(outside + "/planted")},
		"absolute link":            {link("l", outside), f("l/planted")},
		"relative link":            {link("l", up+outside[1:]), f("l/planted")},
		"link to a file":           {link("l", outside+"/secret"), f("l")},
		"link through a link":      {link("a", up), link("b", "a"+outside), f("b/planted")},
		"directory over a link":    {link("l", outside), dir("l"), f("l/planted")},
		"directory times":          {dir("d"), link("d", outside)},
		"hard link out":            {hard("h", up+outside[1:]+"/secret")},
		"hard link through a link": {link("l", outside), hard("h", "l/secret")},
		"hard link to a link":      {link("l", outside+"/secret"), hard("h", "l"), f("h")},
		"whiteout out":             {f(up + outside[1:] + "/.wh.secret")},
		"whiteout through a link":  {link("l", outside), f("l/.wh.secret")},
		"whiteout of dots":         {f("d/.wh...")},
		"whiteout of a dot":        {f("d/.wh..")},
		"whiteout of nothing":      {f("d/.wh.")},
		"opaque through a link":    {link("l", outside), f("l/.wh..wh..opq")},
		"chain of links":           append(chain, f("l0/planted")),
		"circle of links":          {link("a", "b"), link("b", "a"), f("a/planted")},
		"link to itself":           {link("a", "a"), f("a/planted")},
		"link to proc":             {link("p", "/proc/self/root"), f("p" + outside + "/planted")},
		"long name":                {f(strings.Repeat("n", 300))},
		"file as a directory":      {f("f"), f("f/planted")},
		"the root itself":          {dir("/"), dir("."), link("..", outside)},
	}
	two := func() snapshot { // which the worker mounts
		s := p.bind(t)
		s.mounts = append(s.mounts, s.mounts[0])
		return s
	}
	p.same(t, p.put(t, gzipLayer, gzipped(archive(t))), p.bind(t), p.bind(t)) // ipcsd has all that it keeps open
	traces := p.traces(t)
	for name, files := range cases {
		t.Run(name, func(t *testing.T) {
			d := p.put(t, gzipLayer, gzipped(archive(t, files...)))
			for _, kind := range []func() snapshot{func() snapshot { return p.bind(t) },
				func() snapshot { return p.overlay(t) }, two} {
				p.same(t, d, kind(), kind())
				p.nothingLeft(t, traces)
			}
			compare(t, tree(t, outside, time.Now().Add(time.Hour)), before)
		})
	}
}
