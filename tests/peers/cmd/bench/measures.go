package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	readBlobSize = 24 * mib
	readPasses   = 4 // over the blob in a sample
	writeSize    = 1024 * mib
	smallSize    = 4 * kib

	settleTime = time.Second
	loadTime   = 4 * time.Second
	loadCalls  = 16 // readers, and as many writers
)

var measures = []measure{
	{name: "read_32k", prepare: prepareReads, take: reads("read_32k", 32*kib)},
	{name: "read_1m", prepare: prepareReads, take: reads("read_1m", mib)},
	{name: "write_1g", fresh: true, large: true, take: writeLarge},
	{name: "commit_1", fresh: true, take: commits("commit_1", 1, 200)},
	{name: "commit_16", fresh: true, take: commits("commit_16", 16, 800)},
	{name: "memory_idle", fresh: true, take: memoryIdle},
	{name: "memory_load", fresh: true, prepare: prepareReads, take: memoryLoad},
}

// readBlob is what the reads read: bytes that do not compress, the same for both sides.
var readBlob = func() []byte {
	data := make([]byte, readBlobSize)
	mathrand.NewChaCha8([32]byte{1}).Read(data)
	return data
}()

func descriptor(data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// prepareReads stores the blob and reads it once, to see that it is right and to have it in the disk cache.
func prepareReads(s *server) error {
	ctx := context.Background()
	if err := content.WriteBlob(ctx, s.store, "read", bytes.NewReader(readBlob), descriptor(readBlob)); err != nil {
		return err
	}
	got, err := content.ReadBlob(ctx, s.store, descriptor(readBlob))
	if err == nil && !bytes.Equal(got, readBlob) {
		err = fmt.Errorf("the blob was read back with other bytes")
	}
	return err
}

// reads reads the blob from front to end in pieces, each by a Read of its own, as containerd does when it unpacks.
func reads(name string, piece int) func(*server) (values, error) {
	return func(s *server) (values, error) {
		reader, err := s.store.ReaderAt(context.Background(), descriptor(readBlob))
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		buffer := make([]byte, piece)
		cpuBefore, err := s.cpu()
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		for range readPasses {
			for offset := 0; offset < readBlobSize; offset += piece {
				if n, err := reader.ReadAt(buffer, int64(offset)); n != piece || (err != nil && err != io.EOF) {
					return nil, fmt.Errorf("read of %d bytes at %d: %d, %w", piece, offset, n, err)
				}
			}
		}
		took := time.Since(begin)
		cpuAfter, err := s.cpu()
		if err != nil {
			return nil, err
		}
		const total = readPasses * readBlobSize
		return values{
			name:          total / mib / took.Seconds(),
			name + "_cpu": float64((cpuAfter - cpuBefore).Nanoseconds()) / (total / mib) / 1e6, // ms a MiB
		}, nil
	}
}

// numbered is a stream of `size` bytes in which each MiB differs.
type numbered struct {
	block    [mib]byte
	position int64
	size     int64
}

func newNumbered(size int64) *numbered {
	n := &numbered{size: size}
	mathrand.NewChaCha8([32]byte{2}).Read(n.block[:])
	return n
}

func (n *numbered) Read(p []byte) (int, error) {
	if n.position == n.size {
		return 0, io.EOF
	}
	at := n.position % mib
	if at == 0 {
		count := n.position / mib
		n.block[0], n.block[1] = byte(count), byte(count>>8)
	}
	got := copy(p[:min(int64(len(p)), n.size-n.position)], n.block[at:])
	n.position += int64(got)
	return got, nil
}

var largeDigest = sync.OnceValues(func() (digest.Digest, error) {
	return digest.Canonical.FromReader(newNumbered(writeSize))
})

// writeLarge writes one blob of 1 GiB. COMMIT returns when it is on the disk.
func writeLarge(s *server) (values, error) {
	expected, err := largeDigest()
	if err != nil {
		return nil, err
	}
	blob := ocispec.Descriptor{Digest: expected, Size: writeSize}
	begin := time.Now()
	if err := content.WriteBlob(context.Background(), s.store, "large", newNumbered(writeSize), blob); err != nil {
		return nil, err
	}
	return values{"write_1g": writeSize / mib / time.Since(begin).Seconds()}, nil
}

// commits writes `count` small blobs, of which every one is durable when its COMMIT returns.
func commits(name string, writers, count int) func(*server) (values, error) {
	return func(s *server) (values, error) {
		blobs := make([][]byte, count)
		for at := range blobs {
			blobs[at] = randomBlob()
		}
		var next atomic.Int64
		failed := make(chan error, writers)
		begin := time.Now()
		for range writers {
			go func() {
				for {
					at := int(next.Add(1)) - 1
					if at >= count {
						failed <- nil
						return
					}
					if err := writeSmall(s, fmt.Sprint("small-", at), blobs[at]); err != nil {
						failed <- err
						return
					}
				}
			}()
		}
		var problem error
		for range writers {
			if err := <-failed; err != nil {
				problem = err
			}
		}
		return values{name: float64(count) / time.Since(begin).Seconds()}, problem
	}
}

func randomBlob() []byte {
	data := make([]byte, smallSize)
	rand.Read(data)
	return data
}

func writeSmall(s *server, ref string, data []byte) error {
	return content.WriteBlob(context.Background(), s.store, ref, bytes.NewReader(data), descriptor(data))
}

// memoryIdle is what a daemon holds that has only been started.
func memoryIdle(s *server) (values, error) {
	time.Sleep(settleTime)
	rss, err := s.memory("VmRSS")
	return values{"memory_idle": rss}, err
}

// memoryLoad lets readers of 1 MiB and writers of 4 KiB work at once and watches the daemon's memory: its peak, and the
// median of the second half of the time.
func memoryLoad(s *server) (values, error) {
	stop := make(chan struct{})
	failed := make(chan error, 2*loadCalls)
	for worker := range loadCalls {
		go func() { failed <- readUntil(stop, s, worker) }()
		go func() { failed <- writeUntil(stop, s, worker) }()
	}
	var seen []float64
	var problem error
	for begin := time.Now(); time.Since(begin) < loadTime && problem == nil; {
		select {
		case problem = <-failed:
			failed <- problem // collected again below
		case <-time.After(50 * time.Millisecond):
			rss, err := s.memory("VmRSS")
			if problem = err; err == nil && time.Since(begin) > loadTime/2 {
				seen = append(seen, rss)
			}
		}
	}
	close(stop)
	for range 2 * loadCalls {
		if err := <-failed; err != nil {
			problem = err
		}
	}
	if problem != nil {
		return nil, problem
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("no sample of the memory within %v", loadTime/2)
	}
	slices.Sort(seen)
	peak, err := s.memory("VmHWM")
	return values{"memory_load_peak": peak, "memory_load_steady": seen[len(seen)/2]}, err
}

func readUntil(stop chan struct{}, s *server, worker int) error {
	reader, err := s.store.ReaderAt(context.Background(), descriptor(readBlob))
	if err != nil {
		return err
	}
	defer reader.Close()
	buffer := make([]byte, mib)
	for piece := worker; ; piece++ {
		select {
		case <-stop:
			return nil
		default:
		}
		offset := int64(piece%(readBlobSize/mib)) * mib
		if n, err := reader.ReadAt(buffer, offset); n != mib || (err != nil && err != io.EOF) {
			return fmt.Errorf("read of 1 MiB at %d: %d, %w", offset, n, err)
		}
	}
}

func writeUntil(stop chan struct{}, s *server, worker int) error {
	for count := 0; ; count++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := writeSmall(s, fmt.Sprintf("load-%d-%d", worker, count), randomBlob()); err != nil {
			return err
		}
	}
}
