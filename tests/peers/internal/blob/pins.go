package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The messages of ipcs.v1 (host/proto/ipcs/v1) that are needed here are few and small, so well-known types of the same
// form on the wire stand in for generated ones: a StringValue for a request whose field 1 is a digest.

// Pin holds a blob for the operator. The connection leads to the control socket.
func Pin(ctx context.Context, control grpc.ClientConnInterface, digest string) error {
	return control.Invoke(ctx, "/ipcs.v1.Admin/Pin", wrapperspb.String(digest), &emptypb.Empty{})
}

// Unpin drops the operator's hold.
func Unpin(ctx context.Context, control grpc.ClientConnInterface, digest string) error {
	return control.Invoke(ctx, "/ipcs.v1.Admin/Unpin", wrapperspb.String(digest), &emptypb.Empty{})
}

// Adopt has the backend store a blob under the digest of its DAG's root, too, which the operator holds from then on.
func Adopt(ctx context.Context, control grpc.ClientConnInterface, digest string) error {
	return stream(ctx, control, "/ipcs.v1.Dag/AdoptBlob", wrapperspb.String(digest), func([]byte) error { return nil })
}

// Pins gives the digests that the operator holds.
func Pins(ctx context.Context, control grpc.ClientConnInterface) (map[string]bool, error) {
	pins := make(map[string]bool)
	err := stream(ctx, control, "/ipcs.v1.Admin/ListPins", &emptypb.Empty{}, func(page []byte) error {
		// ListPinsResponse{repeated PinnedBlob pins = 1}, PinnedBlob{string digest = 1, …}
		for _, pin := range fields(page, 1) {
			digests := fields(pin, 1)
			if len(digests) != 1 {
				return fmt.Errorf("a listed pin has %d digests", len(digests))
			}
			pins[string(digests[0])] = true
		}
		return nil
	})
	return pins, err
}

// stream makes a call that is answered by a stream, and hands on each message.
func stream(ctx context.Context, control grpc.ClientConnInterface, method string, request proto.Message, each func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, err := control.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := answers.SendMsg(request); err != nil {
		return err
	}
	if err := answers.CloseSend(); err != nil {
		return err
	}
	for {
		var answer emptypb.Empty
		err := answers.RecvMsg(&answer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(answer.ProtoReflect().GetUnknown()); err != nil {
			return err
		}
	}
}

// fields gives the values of one length-delimited field of a message.
func fields(message []byte, number protowire.Number) [][]byte {
	var values [][]byte
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return values
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			if value, length := protowire.ConsumeBytes(message); length >= 0 {
				values = append(values, value)
			}
		}
		if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
			return values
		}
		message = message[size:]
	}
	return values
}
