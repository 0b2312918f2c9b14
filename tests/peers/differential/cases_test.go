// The cases: calls whose answers containerd's own store sets the measure for.
package differential

import (
	"fmt"
	"strings"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
)

// leastCalls guards against cases that end early without anybody noticing.
const leastCalls = 1200

var (
	blobA = content(1, 1000)
	blobB = content(2, 3<<20)
	blobC = content(3, 100)
)

const unknown = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

var malformed = []string{
	"", "foo", "sha256", "sha256:", "sha256:abc", ":" + strings.Repeat("0", 64),
	"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64), "sha256:" + strings.Repeat("0", 63),
	"sha256:" + strings.Repeat("0", 65), "md5:" + strings.Repeat("0", 32), "sha512:" + strings.Repeat("0", 64),
	"sha256:../../../../etc/passwd", " " + unknown, unknown + "\n",
}

func cases() []testCase {
	all := lookUpCases()
	all = append(all, writeCases()...)
	all = append(all, ingestCases()...)
	return append(all, betterCases()...)
}

func lookUpCases() []testCase {
	return []testCase{
		{name: "unknown digest", run: func(s *session) {
			s.put(blobC, nil) // the reference cannot list before its first blob
			s.info(unknown)
			s.read(unknown, 0, 0)
			s.read(unknown, 5, 10)
			s.delete(unknown)
			s.update(&api.Info{Digest: unknown, Labels: map[string]string{"a": "b"}})
			s.update(&api.Info{Digest: unknown, Labels: map[string]string{"a": "b"}}, "labels.a")
		}},
		{name: "malformed digest", run: func(s *session) {
			for _, dgst := range malformed {
				s.info(dgst)
				s.read(dgst, 0, 0)
				s.delete(dgst)
				s.update(&api.Info{Digest: dgst}, "labels")
			}
		}},
		{name: "other algorithms", run: func(s *session) {
			for _, algorithm := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
				dgst := algorithm.FromBytes(blobA).String()
				s.info(dgst)
				w := s.open("first-" + string(algorithm))
				w.stat(1000, "")
				w.write(0, blobA)
				w.commit(1000, 1000, dgst)
				w.close()
				s.info(dgst)
				s.read(dgst, 10, 20)
				w = s.open("again-" + string(algorithm))
				w.stat(1000, "")
				w.write(0, blobA)
				w.commit(1000, 1000, dgst)
				w.close()
				s.delete(dgst)
				s.info(dgst)
			}
		}},
		{name: "read ranges", run: func(s *session) {
			a, b := s.put(blobA, nil), s.put(blobB, nil)
			for _, size := range []int64{0, -1, 1, 10, 999, 1000, 1001, 1 << 40} {
				for _, offset := range []int64{0, 1, 500, 999, 1000} {
					s.read(a, offset, size)
				}
			}
			for _, offset := range []int64{1001, 1 << 40} {
				s.read(a, offset, 0)
				s.read(a, offset, 1)
			}
			s.read(b, 0, 0)
			s.read(b, 1<<20, 1<<20)
			s.read(b, (1<<20)-1, (1<<20)+2)
			s.read(b, 3<<20-1, 100)
		}},
		{name: "info and delete", run: func(s *session) {
			a := s.put(blobA, map[string]string{"k": "v"})
			s.info(a)
			s.delete(a)
			s.info(a)
			s.read(a, 0, 0)
			s.delete(a)
		}},
		{name: "update", run: func(s *session) {
			a := s.put(blobA, map[string]string{"keep": "1", "drop": "2"})
			s.update(&api.Info{Digest: a, Labels: map[string]string{"new": "3", "other": "4"}}, "labels.new")
			s.update(&api.Info{Digest: a}, "labels.drop")
			s.update(&api.Info{Digest: a, Labels: map[string]string{"keep": ""}}, "labels.keep")
			s.update(&api.Info{Digest: a, Labels: map[string]string{"dotted.key/with-slash": "5"}}, "labels.dotted.key/with-slash")
			s.info(a)
			s.update(&api.Info{Digest: a, Labels: map[string]string{"only": "6"}}, "labels")
			s.update(&api.Info{Digest: a, Labels: map[string]string{"all": "7"}})
			s.update(&api.Info{Digest: a, Labels: map[string]string{"x": "8"}}, "size")
			s.update(&api.Info{Digest: a, Labels: map[string]string{"x": "8"}}, "labels.x", "created_at")
			s.info(a)
			s.update(&api.Info{Digest: a})
			s.info(a)
		}},
		{name: "list in pages", run: func(s *session) {
			for i := range 250 {
				s.put(content(uint64(1000+i), 10+i), nil)
			}
			s.list()
			for i := range 50 {
				s.delete(digestOf(content(uint64(1000+i), 10+i)))
			}
			s.list()
		}},
		{name: "list filters", run: func(s *session) {
			a := s.put(blobA, map[string]string{"kind": "layer", "size": "big", "dotted.key/x": "1"})
			b := s.put(blobB, map[string]string{"kind": "config"})
			s.put(blobC, nil)
			s.list("digest==" + a)
			s.list("digest==" + a + ",labels.kind==layer")
			s.list("digest==" + a + ",labels.kind==config")
			s.list("digest=="+a, "digest=="+b)
			s.list("labels.kind")
			s.list("labels.kind!=layer")
			s.list("labels.kind~=^(lay|con)")
			s.list(`labels."dotted.key/x"==1`)
			s.list(`labels."kind"=="layer"`)
			s.list("labels.kind==layer", "labels.kind==config")
			s.list("labels.absent")
			s.list("size==1000")
			s.list("digest~=^sha256:")
			s.list("nonsense==1")
			s.list("digest")
			s.list("")
			s.list("digest=")
			s.list("==x")
			s.list("labels.kind==layer,")
			s.list(`labels.kind=="layer`)
			s.list("labels.kind~=(")
			s.list("labels.kind==layer", "bad filter ==")
		}},
	}
}

func writeCases() []testCase {
	a := digestOf(blobA)
	return []testCase{
		{name: "write and commit", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA[:300])
			w.stat(0, "")
			w.write(300, blobA[300:])
			w.stat(0, "")
			s.status("ref")
			w.commit(1000, 1000, a)
			w.close()
			s.status("ref")
			s.info(a)
			s.read(a, 0, 0)
		}},
		{name: "one message", run: func(s *session) {
			w := s.open("ref")
			w.send(&api.WriteContentRequest{Action: api.WriteAction_COMMIT, Data: blobA, Total: 1000, Expected: a,
				Labels: map[string]string{"x": "y"}})
			w.close()
			s.info(a)
			s.statuses()
		}},
		{name: "commit without size and digest", run: func(s *session) {
			w := s.open("ref")
			w.stat(0, "")
			w.write(0, blobA)
			w.commit(1000, 0, "")
			w.close()
			s.info(a)
		}},
		{name: "empty blob", run: func(s *session) {
			w := s.open("ref")
			w.stat(0, "")
			w.commit(0, 0, digestOf(nil))
			w.close()
			s.info(digestOf(nil))
			s.read(digestOf(nil), 0, 0)
			s.read(digestOf(nil), 0, 10)
			s.read(digestOf(nil), 1, 0)
			w = s.open("ref2")
			w.stat(0, "")
			w.commit(0, 0, "")
			w.close()
		}},
		{name: "no ref", run: func(s *session) {
			w := s.open("")
			w.stat(0, "")
			w.close()
			w = s.open("")
			w.commit(0, 0, "")
			w.close()
			s.statuses()
		}},
		{name: "wrong offset", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA[:100])
			w.write(99, blobA[99:])
			w.close()
			s.status("ref")
			w = s.open("ref")
			w.stat(1000, "")
			w.write(101, blobA[101:])
			w.close()
			s.status("ref")
			w = s.open("ref")
			w.stat(1000, "")
			w.commit(50, 1000, a)
			w.close()
			s.status("ref")
		}},
		{name: "offset 0 truncates", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobC)
			w.write(0, blobA[:10])
			w.stat(0, "")
			w.write(10, blobA[10:])
			w.commit(1000, 1000, a)
			w.close()
			s.info(a)
		}},
		{name: "total checked at commit", run: func(s *session) {
			w := s.open("ref")
			w.stat(999, "")
			w.write(0, blobA)
			w.commit(1000, 999, a)
			w.close()
			s.info(a)
			s.status("ref")
			w = s.open("ref")
			w.stat(999, "")
			w.commit(1000, 1000, a)
			w.close()
			s.info(a)
			s.status("ref")
		}},
		{name: "total of the first message checked at commit", run: func(s *session) {
			w := s.open("ref")
			w.stat(500, "")
			w.write(0, blobA)
			w.commit(1000, 0, a)
			w.close()
			s.info(a)
			s.status("ref")
		}},
		{name: "wrong digest at commit", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA)
			w.commit(1000, 1000, unknown)
			w.close()
			s.info(unknown)
			s.info(a)
			s.status("ref")
			w = s.open("ref")
			w.stat(1000, "")
			w.commit(1000, 1000, a)
			w.close()
			s.info(a)
		}},
		{name: "commit of an existing blob", run: func(s *session) {
			s.put(blobA, map[string]string{"first": "1"})
			for i, expected := range []string{a, ""} {
				ref := fmt.Sprint("ref", i)
				w := s.open(ref)
				w.stat(1000, "")
				w.write(0, blobA)
				w.send(&api.WriteContentRequest{Action: api.WriteAction_COMMIT, Offset: 1000, Total: 1000, Expected: expected,
					Labels: map[string]string{"second": "2"}})
				w.close()
				s.status(ref)
				s.info(a)
			}
			s.statuses()
		}},
		{name: "expected of an existing blob", run: func(s *session) {
			s.put(blobA, nil)
			w := s.open("at-stat")
			w.stat(1000, a)
			w.close()
			s.status("at-stat")
			w = s.open("later")
			w.stat(1000, "")
			w.send(&api.WriteContentRequest{Action: api.WriteAction_WRITE, Data: blobA[:5], Expected: a})
			w.close()
			s.status("later")
			w = s.open("half")
			w.stat(1000, "")
			w.write(0, blobA[:500])
			w.commit(500, 1000, a)
			w.close()
			s.status("half")
		}},
		{name: "second writer", run: func(s *session) {
			first := s.open("ref")
			first.stat(1000, "")
			first.write(0, blobA[:10])
			second := s.open("ref")
			second.stat(1000, "")
			second.close()
			first.write(10, blobA[10:])
			first.close()
			second = s.open("ref")
			second.stat(1000, "")
			second.commit(1000, 1000, a)
			second.close()
			third := s.open("ref")
			third.stat(1000, "")
			third.close()
			s.abort("ref")
		}},
		{name: "labels at commit", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA)
			w.send(&api.WriteContentRequest{Action: api.WriteAction_COMMIT, Offset: 1000, Total: 1000, Expected: a,
				Labels: map[string]string{"containerd.io/gc.root": "2026-01-01T00:00:00Z", "empty.value/x": "y z"}})
			w.close()
			s.info(a)
			s.list("labels.\"containerd.io/gc.root\"")
		}},
		{name: "large messages", run: func(s *session) {
			data := content(9, 20<<20)
			w := s.open("ref")
			w.stat(int64(len(data)), "")
			w.write(0, data[:8<<20])
			w.write(8<<20, data[8<<20:16<<20])
			w.write(16<<20, data[16<<20:])
			w.commit(int64(len(data)), int64(len(data)), digestOf(data))
			w.close()
			s.info(digestOf(data))
			s.read(digestOf(data), 0, 0)
		}},
	}
}

func ingestCases() []testCase {
	a := digestOf(blobA)
	odd := []string{
		"../../../../tmp/evil", "/etc/passwd", ".", "..", "a/b/c", "with space", "tab\tnewline\n", "nul\x00inside",
		"layer-sha256:" + strings.Repeat("0", 64), "ünïcödé ✓", strings.Repeat("k", 4096), strings.Repeat("é/", 2000),
		`quote"'\`, "-rf", "*", "%s%n",
	}
	return []testCase{
		{name: "unknown ref", run: func(s *session) {
			s.put(blobC, nil)
			s.status("nobody")
			s.status("")
			s.abort("nobody")
			s.abort("")
			s.statuses()
			s.statuses("ref==nobody")
		}},
		{name: "resume", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA[:400])
			w.close()
			s.status("ref")
			s.statuses()
			w = s.open("ref")
			w.stat(1000, "")
			w.write(400, blobA[400:700])
			w.close()
			w = s.open("ref")
			w.stat(0, "")
			w.write(700, blobA[700:])
			w.stat(0, "")
			w.commit(1000, 1000, a)
			w.close()
			s.info(a)
			s.read(a, 0, 0)
			s.statuses()
		}},
		{name: "abort", run: func(s *session) {
			w := s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA[:400])
			w.close()
			s.abort("ref")
			s.status("ref")
			s.abort("ref")
			w = s.open("ref")
			w.stat(1000, "")
			w.write(0, blobA)
			w.commit(1000, 1000, a)
			w.close()
			s.info(a)
		}},
		{name: "odd refs", run: func(s *session) {
			for i, ref := range odd {
				w := s.open(ref)
				w.stat(0, "")
				w.write(0, content(uint64(i), 10+i))
				w.close()
				s.status(ref)
			}
			s.statuses()
			for i, ref := range odd {
				w := s.open(ref)
				w.stat(0, "")
				w.commit(int64(10+i), int64(10+i), digestOf(content(uint64(i), 10+i)))
				w.close()
				s.status(ref)
			}
			s.statuses()
			s.list()
		}},
		{name: "status filters", run: func(s *session) {
			for _, ref := range []string{"one", "two", "three"} {
				w := s.open(ref)
				w.stat(77, "")
				w.write(0, blobC[:20])
				w.close()
			}
			s.statuses()
			s.statuses("ref==one")
			s.statuses("ref==one", "ref==two")
			s.statuses("ref~=^t")
			s.statuses("ref!=one")
			s.statuses("ref==one,ref==two")
			s.statuses("other==1")
			s.statuses("ref==")
			s.statuses("ref~=(")
		}},
	}
}
