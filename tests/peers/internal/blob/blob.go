// Package blob has bytes to store, and containerd's Content calls that write, list and read them.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	api "github.com/containerd/containerd/api/services/content/v1"
)

// Blob is content that its seed and size alone make again.
type Blob struct {
	Seed   uint64
	Size   int
	Digest string
}

// New makes a blob; another seed gives other bytes unless there are only a few.
func New(seed uint64, size int) Blob {
	b := Blob{Seed: seed, Size: size}
	b.Digest = Digest(b.Bytes())
	return b
}

// Bytes is the content.
func (b Blob) Bytes() []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], b.Seed)
	data := make([]byte, b.Size)
	rand.NewChaCha8(key).Read(data)
	return data
}

// Digest is the sha256 of the bytes, as a digest.
func Digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// Upload is an open Write stream.
type Upload struct {
	Offset int64  // bytes that the store has acknowledged
	Digest string // of these bytes, as the store says

	ref    string
	total  int64
	stream api.Content_WriteClient
}

// Open begins or resumes the ingest of a ref; the store's answer has arrived. The context ends the stream.
func Open(ctx context.Context, client api.ContentClient, ref string, total int64) (*Upload, error) {
	stream, err := client.Write(ctx)
	if err != nil {
		return nil, err
	}
	u := &Upload{ref: ref, total: total, stream: stream}
	return u, u.call(&api.WriteContentRequest{Action: api.WriteAction_STAT, Ref: ref, Total: total})
}

// Write appends the bytes and waits for the answer.
func (u *Upload) Write(data []byte) error {
	return u.call(&api.WriteContentRequest{
		Action: api.WriteAction_WRITE, Ref: u.ref, Total: u.total, Offset: u.Offset, Data: data})
}

// Commit makes a blob of the ingest.
func (u *Upload) Commit(expected string, labels map[string]string) error {
	err := u.call(&api.WriteContentRequest{
		Action: api.WriteAction_COMMIT, Ref: u.ref, Total: u.total, Offset: u.Offset, Expected: expected, Labels: labels})
	if err != nil {
		return err
	}
	return u.Close()
}

// Close ends the stream and waits until the store has closed the ingest.
func (u *Upload) Close() error {
	if err := u.stream.CloseSend(); err != nil {
		return err
	}
	switch _, err := u.stream.Recv(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return fmt.Errorf("ref %q: an answer to no request", u.ref)
	default:
		return err
	}
}

func (u *Upload) call(request *api.WriteContentRequest) error {
	// A stream that the store has ended says so by EOF; the reason comes with Recv.
	if err := u.stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	response, err := u.stream.Recv()
	if err != nil {
		return err
	}
	u.Offset, u.Digest = response.Offset, response.Digest
	return nil
}

// Put writes a blob in messages of 1 MiB and commits it.
func Put(ctx context.Context, client api.ContentClient, ref string, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	upload, err := Open(ctx, client, ref, int64(len(data)))
	if err != nil {
		return err
	}
	for at := upload.Offset; at < int64(len(data)); at = upload.Offset {
		if err := upload.Write(data[at:min(at+1<<20, int64(len(data)))]); err != nil {
			return err
		}
	}
	return upload.Commit(Digest(data), nil)
}

// Read reads all of a blob.
func Read(ctx context.Context, client api.ContentClient, digest string) ([]byte, error) {
	stream, err := client.Read(ctx, &api.ReadContentRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	var data []byte
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		data = append(data, response.Data...)
	}
}

// List gives all blobs by digest; a digest that comes twice is an error.
func List(ctx context.Context, client api.ContentClient) (map[string]*api.Info, error) {
	stream, err := client.List(ctx, &api.ListContentRequest{})
	if err != nil {
		return nil, err
	}
	blobs := make(map[string]*api.Info)
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return blobs, nil
		}
		if err != nil {
			return nil, err
		}
		for _, info := range response.Info {
			if blobs[info.Digest] != nil {
				return nil, fmt.Errorf("%s is listed twice", info.Digest)
			}
			blobs[info.Digest] = info
		}
	}
}
