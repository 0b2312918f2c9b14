package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The messages of ipcs.v1.Admin (host/proto/ipcs/v1/admin.proto) are few and small, so well-known types of the same
// form on the wire stand in for generated ones: a StringValue for a request whose field 1 is a digest.

// Pin holds a blob for the operator. The connection leads to the control socket.
func Pin(ctx context.Context, control grpc.ClientConnInterface, digest string) error {
	return control.Invoke(ctx, "/ipcs.v1.Admin/Pin", wrapperspb.String(digest), &emptypb.Empty{})
}

// Unpin drops the operator's hold.
func Unpin(ctx context.Context, control grpc.ClientConnInterface, digest string) error {
	return control.Invoke(ctx, "/ipcs.v1.Admin/Unpin", wrapperspb.String(digest), &emptypb.Empty{})
}

// Pins gives the digests that the operator holds.
func Pins(ctx context.Context, control grpc.ClientConnInterface) (map[string]bool, error) {
	stream, err := control.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/ipcs.v1.Admin/ListPins")
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	pins := make(map[string]bool)
	for {
		var page emptypb.Empty
		err := stream.RecvMsg(&page)
		if errors.Is(err, io.EOF) {
			return pins, nil
		}
		if err != nil {
			return nil, err
		}
		// ListPinsResponse{repeated PinnedBlob pins = 1}, PinnedBlob{string digest = 1, …}
		for _, pin := range fields(page.ProtoReflect().GetUnknown(), 1) {
			digests := fields(pin, 1)
			if len(digests) != 1 {
				return nil, fmt.Errorf("a listed pin has %d digests", len(digests))
			}
			pins[string(digests[0])] = true
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
