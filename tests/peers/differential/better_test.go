// The cases in which ipcsd answers better than containerd's own store, with both answers and the reason.
package differential

import api "github.com/containerd/containerd/api/services/content/v1"

func betterCases() []testCase {
	a := digestOf(blobA)
	short := digestOf(blobA[:600])
	return []testCase{
		{
			name: "list of a fresh store",
			run:  func(s *session) { s.list(); s.statuses() },
			better: []difference{{call: "List ", reference: "Unknown", ipcsd: "OK messages=[] blobs=[]",
				why: "a store without a blob has an empty list; containerd's has no blobs directory yet and fails"}},
		},
		{
			name: "commit with an expected digest that is none",
			run: func(s *session) {
				w := s.open("ref")
				w.stat(1000, "")
				w.write(0, blobA)
				w.commit(1000, 1000, "foo")
				w.close()
			},
			better: []difference{
				// The reference commits, then crashes: its answer may be on its way already.
				{call: "Write COMMIT", reference: "Unavailable", referenceOr: "OK action=COMMIT offset=1000", ipcsd: "InvalidArgument", why: "a malformed digest is the caller's mistake"},
				{call: crashed, why: "go-digest panics on a digest without a colon"},
			},
		},
		{
			name: "update without info",
			run: func(s *session) {
				_, err := s.client.Update(s.ctx, &api.UpdateRequest{})
				s.record("Update without info", "", err, "")
			},
			better: []difference{
				{call: "Update without info", reference: "Unavailable", ipcsd: "InvalidArgument", why: "a missing info is the caller's mistake"},
				{call: crashed, why: "containerd's service dereferences the missing info"},
			},
		},
		{
			name: "reopened with another total",
			run: func(s *session) {
				w := s.open("ref")
				w.stat(5000, "")
				w.write(0, content(7, 1000))
				w.close()
				w = s.open("ref")
				w.stat(1000, "")
				w.write(0, blobA[:600])
				w.commit(600, 1000, short)
				w.close()
				s.info(short)
				s.read(short, 0, 0)
			},
			better: []difference{
				{call: "Write COMMIT", reference: "OK ", ipcsd: "FailedPrecondition",
					why: "600 bytes are no blob of 1,000; containerd's store keeps the first attempt's bytes behind them"},
				{call: "Info ", reference: "OK " + short + " size=1000", ipcsd: "NotFound", why: "nothing was committed"},
				{call: "Read ", reference: "OK bytes=1000", ipcsd: "NotFound", why: "bytes of another digest"},
			},
		},
		{
			name: "labels of a deleted blob",
			run: func(s *session) {
				s.put(blobA, map[string]string{"old": "1"})
				s.delete(a)
				w := s.open("again")
				w.stat(1000, "")
				w.write(0, blobA)
				w.commit(1000, 1000, a)
				w.close()
				s.info(a)
			},
			better: []difference{{call: "Info ", reference: "OK " + a + " size=1000 labels={old=1}",
				ipcsd: "OK " + a + " size=1000 labels={}", why: "labels go with the blob"}},
		},
		{
			name: "negative read offset",
			run: func(s *session) {
				s.put(blobA, nil)
				s.read(a, -1, 0)
				s.read(a, -1, 10)
			},
			better: []difference{{call: "Read ", reference: "OK bytes=", ipcsd: "OutOfRange",
				why: "containerd's store reads from 0 and hands out bytes of another range than asked for"}},
		},
		{
			name: "negative write offset",
			run: func(s *session) {
				w := s.open("negative")
				w.stat(1000, "")
				w.write(0, blobA[:10])
				w.write(-1, blobA[10:])
				w.close()
			},
			better: []difference{{call: `Write WRITE ref="negative" total=0 expected="" offset=-1 `, reference: "OK", ipcsd: "OutOfRange",
				why: "containerd's server appends the bytes although the client wants them elsewhere"}},
		},
		{
			name: "unknown write action",
			run: func(s *session) {
				w := s.open("action")
				w.stat(1000, "")
				w.send(&api.WriteContentRequest{Action: 7})
				w.close()
			},
			better: []difference{{call: "Write 7 ", reference: "OK", ipcsd: "InvalidArgument",
				why: "containerd's server answers as if it had done what it does not know"}},
		},
	}
}
