// A transcript records what a store answered to raw gRPC calls, in a form that can be compared with another store's.
package differential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"
	"strings"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// answer is one call's outcome.
type answer struct {
	call    string // what was asked, the same text for every store
	result  string // the code, and the payload when that is OK; without times and other values that must differ
	message string // of an error
	subject string // what the call was about: a digest, a ref or a filter; may be empty
}

// session makes calls to one store and records the answers.
type session struct {
	ctx     context.Context
	client  api.ContentClient
	answers []answer
}

func newSession(ctx context.Context, client api.ContentClient) *session {
	return &session{ctx: metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "testing"), client: client}
}

func (s *session) record(call, subject string, err error, payload string) error {
	a := answer{call: call, subject: subject, result: status.Code(err).String()}
	if err == nil {
		a.result = strings.TrimSpace("OK " + payload)
	} else {
		a.message = status.Convert(err).Message()
	}
	s.answers = append(s.answers, a)
	return err
}

// shown is a digest or ref as a call's description has it.
func shown(text string) string {
	if len(text) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", text[:20], len(text))
	}
	return fmt.Sprintf("%q", text)
}

func labelsText(labels map[string]string) string {
	var pairs []string
	for key, value := range labels {
		pairs = append(pairs, key+"="+value)
	}
	sort.Strings(pairs)
	return "{" + strings.Join(pairs, " ") + "}"
}

// infoText leaves the times out but says whether they make sense.
func infoText(info *api.Info) string {
	times := "times set"
	if info.GetCreatedAt().AsTime().Year() < 2000 || info.GetUpdatedAt().AsTime().Year() < 2000 {
		times = fmt.Sprintf("times not set: %v %v", info.GetCreatedAt(), info.GetUpdatedAt())
	}
	return fmt.Sprintf("%s size=%d labels=%s %s", info.GetDigest(), info.GetSize(), labelsText(info.GetLabels()), times)
}

func (s *session) info(dgst string) {
	response, err := s.client.Info(s.ctx, &api.InfoRequest{Digest: dgst})
	s.record("Info "+shown(dgst), dgst, err, infoText(response.GetInfo()))
}

func (s *session) update(info *api.Info, mask ...string) {
	request := &api.UpdateRequest{Info: info}
	if len(mask) > 0 {
		request.UpdateMask = &fieldmaskpb.FieldMask{Paths: mask}
	}
	response, err := s.client.Update(s.ctx, request)
	s.record(fmt.Sprintf("Update %s %s mask=%v", shown(info.GetDigest()), labelsText(info.GetLabels()), mask),
		info.GetDigest(), err, infoText(response.GetInfo()))
}

func (s *session) delete(dgst string) {
	_, err := s.client.Delete(s.ctx, &api.DeleteContentRequest{Digest: dgst})
	s.record("Delete "+shown(dgst), dgst, err, "")
}

// list records which blobs matched, sorted, and how many came in each message.
func (s *session) list(filters ...string) {
	call := fmt.Sprintf("List %q", filters)
	var perMessage []int
	var infos []string
	stream, err := s.client.List(s.ctx, &api.ListContentRequest{Filters: filters})
	for err == nil {
		var response *api.ListContentResponse
		if response, err = stream.Recv(); err == nil {
			perMessage = append(perMessage, len(response.Info))
			for _, info := range response.Info {
				infos = append(infos, infoText(info))
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	sort.Strings(infos)
	s.record(call, "", err, fmt.Sprintf("messages=%v blobs=%v", perMessage, infos))
}

// read records the bytes and whether the responses' offsets start at 0 and follow each other. How the bytes are cut
// into messages is the store's business as long as none is larger than containerd's limit.
func (s *session) read(dgst string, offset, size int64) {
	call := fmt.Sprintf("Read %s offset=%d size=%d", shown(dgst), offset, size)
	stream, err := s.client.Read(s.ctx, &api.ReadContentRequest{Digest: dgst, Offset: offset, Size: size})
	hash := sha256.New()
	var total int64
	order := "contiguous"
	for err == nil {
		var response *api.ReadContentResponse
		if response, err = stream.Recv(); err == nil {
			if response.Offset != total {
				order = fmt.Sprintf("offset %d after %d bytes", response.Offset, total)
			}
			total += int64(len(response.Data))
			hash.Write(response.Data)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.record(call, dgst, err, fmt.Sprintf("bytes=%d sha256=%.12x offsets %s", total, hash.Sum(nil), order))
}

func statusText(status *api.Status) string {
	times := "times set"
	if status.GetStartedAt().AsTime().Year() < 2000 || status.GetUpdatedAt().AsTime().Before(status.GetStartedAt().AsTime()) {
		times = fmt.Sprintf("times wrong: %v %v", status.GetStartedAt(), status.GetUpdatedAt())
	}
	return fmt.Sprintf("ref=%s offset=%d total=%d %s", shown(status.GetRef()), status.GetOffset(), status.GetTotal(), times)
}

func (s *session) status(ref string) {
	response, err := s.client.Status(s.ctx, &api.StatusRequest{Ref: ref})
	s.record("Status "+shown(ref), ref, err, statusText(response.GetStatus()))
}

func (s *session) statuses(filters ...string) {
	response, err := s.client.ListStatuses(s.ctx, &api.ListStatusesRequest{Filters: filters})
	var found []string
	for _, status := range response.GetStatuses() {
		found = append(found, statusText(status))
	}
	sort.Strings(found)
	s.record(fmt.Sprintf("ListStatuses %q", filters), "", err, fmt.Sprint(found))
}

func (s *session) abort(ref string) {
	_, err := s.client.Abort(s.ctx, &api.AbortRequest{Ref: ref})
	s.record("Abort "+shown(ref), ref, err, "")
}

// writing is one Write stream. After an error it is over.
type writing struct {
	s       *session
	stream  api.Content_WriteClient
	ref     string
	subject string
	over    bool
}

// open starts a Write stream without a message.
func (s *session) open(ref string) *writing {
	stream, err := s.client.Write(s.ctx)
	if err != nil {
		s.record("Write", ref, err, "")
		return &writing{s: s, over: true}
	}
	return &writing{s: s, stream: stream, ref: ref}
}

// send makes one request and records its response. STAT's total and times are compared too; of the other actions
// only what their documentation promises.
func (w *writing) send(request *api.WriteContentRequest) {
	if request.Ref == "" {
		request.Ref = w.ref
	}
	call := fmt.Sprintf("Write %v ref=%s total=%d expected=%s offset=%d data=%d labels=%s", request.Action,
		shown(request.Ref), request.Total, shown(request.Expected), request.Offset, len(request.Data), labelsText(request.Labels))
	if w.over {
		w.s.record(call, "", status.Error(codes.Canceled, "the stream is over"), "")
		return
	}
	err := w.stream.Send(request)
	var response *api.WriteContentResponse
	if err == nil || errors.Is(err, io.EOF) {
		response, err = w.stream.Recv()
	}
	payload := fmt.Sprintf("action=%v offset=%d digest=%s", response.GetAction(), response.GetOffset(), response.GetDigest())
	if request.Action == api.WriteAction_STAT {
		payload += fmt.Sprintf(" total=%d started=%t", response.GetTotal(), response.GetStartedAt().AsTime().Year() > 2000)
	}
	if errors.Is(err, io.EOF) {
		err, payload = nil, "end of stream"
	}
	subject := request.Ref
	if w.s.record(call, subject, err, payload) != nil || request.Action == api.WriteAction_COMMIT {
		w.over = true
	}
}

func (w *writing) stat(total int64, expected string) {
	w.send(&api.WriteContentRequest{Action: api.WriteAction_STAT, Total: total, Expected: expected})
}

func (w *writing) write(offset int64, data []byte) {
	w.send(&api.WriteContentRequest{Action: api.WriteAction_WRITE, Offset: offset, Data: data})
}

func (w *writing) commit(offset, total int64, expected string) {
	w.send(&api.WriteContentRequest{Action: api.WriteAction_COMMIT, Offset: offset, Total: total, Expected: expected})
}

// close ends the stream as containerd's writer does and waits until the store has let the ref go.
func (w *writing) close() {
	if w.stream == nil {
		return
	}
	w.stream.CloseSend()
	for {
		if _, err := w.stream.Recv(); err != nil {
			return
		}
	}
}

// put stores a blob and returns its digest.
func (s *session) put(data []byte, labels map[string]string) string {
	dgst := digest.FromBytes(data).String()
	w := s.open("put-" + dgst)
	defer w.close()
	w.stat(int64(len(data)), "")
	w.write(0, data)
	w.send(&api.WriteContentRequest{Action: api.WriteAction_COMMIT, Offset: int64(len(data)), Total: int64(len(data)),
		Expected: dgst, Labels: labels})
	return dgst
}

// content is `size` bytes that are the same in every run and differ by `seed`.
func content(seed uint64, size int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	data := make([]byte, size)
	source.Read(data)
	return data
}

func digestOf(data []byte) string { return digest.FromBytes(data).String() }
