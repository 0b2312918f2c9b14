package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

const (
	kuboBlobSize   = 300 * mib
	kuboPieces     = 96 * mib // of the blob, for reads of 32 KiB
	commitBlobSize = 1024 * mib
	commitPace     = 40 * mib // bytes a second that Kubo keeps up with beside us, on a slow machine too
)

// The sides: ipcsd on a Kubo, that Kubo's own RPC, and beside them ipcsd's local backend and another command of Kubo's.
var kuboMeasures = []measure{
	{name: "kubo_write", fresh: true, large: true, sides: []string{"ipfs-http", "kubo", "add", "local"}, take: kuboWrite},
	{name: "kubo_read", fresh: true, large: true, sides: []string{"ipfs-http", "kubo", "local"}, prepare: prepareKuboRead,
		take: kuboRead},
	{name: "kubo_read_32k", fresh: true, large: true, sides: []string{"ipfs-http", "local"}, prepare: prepareKuboRead,
		take: kuboRead32k},
	{name: "kubo_commit", fresh: true, large: true, sides: []string{"ipfs-http", "local"}, take: kuboCommit},
}

// kuboBlob is noise: no block of it is like another, which Kubo would store once.
var kuboBlob = sync.OnceValue(func() []byte {
	data := make([]byte, kuboBlobSize)
	mathrand.NewChaCha8([32]byte{3}).Read(data)
	return data
})

// Where the blob's CAR lies once makeCAR has run, and its root.
var kuboCAR, kuboRoot string

// makeCAR has Kubo add the blob and export what it made of it: the DAG that ipcsd makes, too.
func makeCAR(program, directory string) error {
	k, err := startKubo(program, filepath.Join(directory, "car"))
	if err != nil {
		return err
	}
	defer k.daemon.stop()
	if kuboRoot, err = k.add(bytes.NewReader(kuboBlob())); err != nil {
		return err
	}
	kuboCAR = filepath.Join(directory, "blob.car")
	return k.writeTo(kuboCAR, "dag/export?arg="+kuboRoot+"&progress=false")
}

// kuboCosts adds the processor time of Kubo and of ipcsd since `before`, in seconds.
func (s *server) kuboCosts(metric string, before [2]time.Duration, into values) error {
	after, err := s.kuboCPU()
	if err != nil {
		return err
	}
	into[metric+"_kubo_cpu"] = (after[0] - before[0]).Seconds()
	into[metric+"_cpu"] = (after[1] - before[1]).Seconds()
	return nil
}

func (s *server) kuboCPU() (used [2]time.Duration, err error) {
	if s.kubo != nil {
		if used[0], err = s.kubo.daemon.cpu(); err != nil {
			return used, err
		}
	}
	if s.daemon != nil {
		used[1], err = s.daemon.cpu()
	}
	return used, err
}

// timed runs `work` and gives the seconds it took, and the processor time of the daemons.
func (s *server) timed(metric string, work func() error) (values, error) {
	before, err := s.kuboCPU()
	if err != nil {
		return nil, err
	}
	client, begin := ownCPU(), time.Now()
	if err := work(); err != nil {
		return nil, err
	}
	found := values{metric: time.Since(begin).Seconds(), metric + "_client_cpu": (ownCPU() - client).Seconds()}
	return found, s.kuboCosts(metric, before, found)
}

// ownCPU is the processor time that this program has used.
func ownCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // the clock is there on every Linux
	}
	return time.Duration(t.Nano())
}

func kuboWrite(s *server) (values, error) {
	data := kuboBlob()
	blob := descriptor(data)
	return s.timed("kubo_write", func() error {
		switch s.side {
		case "kubo":
			return s.kubo.importCAR(kuboCAR)
		case "add":
			root, err := s.kubo.add(bytes.NewReader(data))
			if err == nil && root != kuboRoot {
				err = fmt.Errorf("add: %s is not %s", root, kuboRoot)
			}
			return err
		}
		return content.WriteBlob(context.Background(), s.store, "write", bytes.NewReader(data), blob)
	})
}

func prepareKuboRead(s *server) error {
	if s.store == nil {
		return s.kubo.importCAR(kuboCAR)
	}
	data := kuboBlob()
	return content.WriteBlob(context.Background(), s.store, "read", bytes.NewReader(data), descriptor(data))
}

// kuboRead reads the blob once, in one call; ipcsd and Kubo have only just stored it. MiB a second.
func kuboRead(s *server) (values, error) {
	found, err := s.timed("kubo_read", func() error {
		if s.store == nil {
			answer, err := s.kubo.call("cat?progress=false&arg="+kuboRoot, nil)
			if err != nil {
				return err
			}
			defer answer.Close()
			return expectBlob(func(take func([]byte) error) error {
				buffer := make([]byte, mib)
				for {
					n, err := answer.Read(buffer)
					if problem := take(buffer[:n]); problem != nil || err == io.EOF {
						return problem
					}
					if err != nil {
						return err
					}
				}
			})
		}
		stream, err := api.NewContentClient(s.conn).Read(context.Background(),
			&api.ReadContentRequest{Digest: descriptor(kuboBlob()).Digest.String()})
		if err != nil {
			return err
		}
		return expectBlob(func(take func([]byte) error) error {
			for {
				message, err := stream.Recv()
				if err == io.EOF {
					return nil
				}
				if err == nil {
					err = take(message.Data)
				}
				if err != nil {
					return err
				}
			}
		})
	})
	if err == nil {
		found["kubo_read"] = kuboBlobSize / mib / found["kubo_read"]
	}
	return found, err
}

// expectBlob compares what comes with the blob: cheaper than a hash, so that the client is not what is measured.
func expectBlob(read func(take func([]byte) error) error) error {
	rest := kuboBlob()
	err := read(func(piece []byte) error {
		if len(piece) > len(rest) || !bytes.Equal(piece, rest[:len(piece)]) {
			return fmt.Errorf("other bytes at %d", kuboBlobSize-len(rest))
		}
		rest = rest[len(piece):]
		return nil
	})
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are missing", len(rest))
	}
	return err
}

// kuboRead32k reads the front of the blob as containerd does. MB (not MiB) a second.
func kuboRead32k(s *server) (values, error) {
	const piece = 32 * kib
	data := kuboBlob()
	reader, err := s.store.ReaderAt(context.Background(), descriptor(data))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	buffer := make([]byte, piece)
	found, err := s.timed("kubo_read_32k", func() error {
		for offset := 0; offset < kuboPieces; offset += piece {
			if n, err := reader.ReadAt(buffer, int64(offset)); n != piece || (err != nil && err != io.EOF) ||
				!bytes.Equal(buffer, data[offset:offset+piece]) {
				return fmt.Errorf("read of %d bytes at %d: %d, %v, or other bytes", piece, offset, n, err)
			}
		}
		return nil
	})
	if err == nil {
		found["kubo_read_32k"] = kuboPieces / 1e6 / found["kubo_read_32k"]
	}
	return found, err
}

// commitBlob is what kuboCommit writes.
func commitBlob() io.Reader {
	return io.LimitReader(mathrand.NewChaCha8([32]byte{4}), commitBlobSize)
}

var commitDigest = sync.OnceValues(func() (digest.Digest, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, commitBlob())
	return digest.NewDigest(digest.SHA256, hash), err
})

// kuboCommit writes at a pace with which Kubo keeps up, and gives the milliseconds from the last byte's acknowledgement to
// COMMIT's answer.
func kuboCommit(s *server) (values, error) {
	expected, err := commitDigest()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	writer, err := content.OpenWriter(ctx, s.store, content.WithRef("commit"),
		content.WithDescriptor(ocispec.Descriptor{Digest: expected, Size: commitBlobSize}))
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	bytes, buffer := commitBlob(), make([]byte, mib)
	begin := time.Now()
	for sent := 0; sent < commitBlobSize; sent += len(buffer) {
		if _, err := io.ReadFull(bytes, buffer); err != nil {
			return nil, err
		}
		if _, err := writer.Write(buffer); err != nil {
			return nil, err
		}
		time.Sleep(time.Until(begin.Add(time.Duration(sent+len(buffer)) * time.Second / commitPace)))
	}
	begin = time.Now()
	if err := writer.Commit(ctx, commitBlobSize, expected); err != nil {
		return nil, err
	}
	return values{"kubo_commit": float64(time.Since(begin).Microseconds()) / 1e3}, nil
}

// carExists tells whether makeCAR has run.
func carExists() bool {
	_, err := os.Stat(kuboCAR)
	return kuboCAR != "" && err == nil
}
