package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// TestDamage damages a blob's file below a running ipcsd, which had it open or not: cut short it is noticed at once,
// with wrong bytes by verify, and in both cases the right bytes heal it without containerd's help.
func TestDamage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		damage func(t *testing.T, path string)
		code   codes.Code // of Info, before verify
	}{
		{"cut short", func(t *testing.T, path string) {
			if err := os.Truncate(path, 1000); err != nil {
				t.Fatal(err)
			}
		}, codes.DataLoss},
		{"cut to nothing", func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, codes.DataLoss},
		{"longer", func(t *testing.T, path string) { overwrite(t, path, 2*mib, []byte{1}) }, codes.DataLoss},
		{"flipped", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, mib, []byte{data[mib] ^ 0x10})
		}, codes.OK},
	}
	for _, c := range cases {
		for _, restarted := range []bool{false, true} {
			name := c.name
			if restarted {
				name += " and restarted"
			}
			t.Run(name, func(t *testing.T) {
				base := process.Directory(t)
				daemon := process.StartIn(t, process.Ipcsd(t), base)
				ctx, client := process.Context(t), daemon.Client()
				b, sound := blob.New(1, 2*mib), blob.New(2, mib)
				wants(t, blob.Put(ctx, client, "a", b.Bytes()), codes.OK)
				wants(t, blob.Put(ctx, client, "b", sound.Bytes()), codes.OK)
				holds(t, ctx, client, []blob.Blob{b, sound})
				if restarted {
					daemon.Stop()
				}
				c.damage(t, filepath.Join(daemon.Root, "local/blobs/sha256", strings.TrimPrefix(b.Digest, "sha256:")))
				if restarted {
					daemon = process.StartIn(t, process.Ipcsd(t), base)
					client = daemon.Client()
				}

				info := func(code codes.Code) {
					t.Helper()
					_, err := client.Info(ctx, &api.InfoRequest{Digest: b.Digest})
					wants(t, err, code, b.Digest)
				}
				info(c.code)
				if c.code == codes.DataLoss && c.name != "longer" { // an open file is read up to the size that it had
					_, err := blob.Read(ctx, client, b.Digest)
					wants(t, err, codes.DataLoss, b.Digest)
				}
				text, code := ipcsctl(t, daemon, nil, "verify")
				if code != 1 || !strings.Contains(text, "damaged") || !strings.Contains(text, b.Digest) || strings.Contains(text, sound.Digest) {
					t.Errorf("verify: status %d\n%s", code, text)
				}
				info(codes.NotFound)
				_, err := blob.Read(ctx, client, b.Digest)
				wants(t, err, codes.NotFound, b.Digest)
				kept, err := filepath.Glob(filepath.Join(daemon.Root, "local/quarantine/sha256", strings.TrimPrefix(b.Digest, "sha256:")+".*"))
				if err != nil || len(kept) != 1 {
					t.Errorf("in quarantine: %v, %v", kept, err)
				}
				if text, code := ipcsctl(t, daemon, nil, "verify"); code != 1 || !strings.Contains(text, "missing") {
					t.Errorf("verify of what is missing: status %d\n%s", code, text)
				}

				text, code = ipcsctl(t, daemon, b.Bytes(), "content", "ingest", "mend", "--expected-digest", b.Digest)
				if code != 0 {
					t.Errorf("ingest: %s", text)
				}
				holds(t, ctx, client, []blob.Blob{b, sound})
				if text, code := ipcsctl(t, daemon, nil, "verify"); code != 0 {
					t.Errorf("verify after healing: %s", text)
				}
				daemon.Stop()
			})
		}
	}
}

func overwrite(t *testing.T, path string, offset int64, data []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
}
