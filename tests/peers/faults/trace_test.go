package faults

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/process"
)

// spanCollector is an OpenTelemetry collector, with OpenTelemetry's own code of the protocol.
type spanCollector struct {
	collector.UnimplementedTraceServiceServer
	requests chan *collector.ExportTraceServiceRequest
}

func (c *spanCollector) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.requests <- request
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestSpans has a client whose trace is sampled and one whose trace is not: the collector gets a span of each request of
// the first, below the client's span, at the latest when ipcsd ends; log lines have the span's id.
func TestSpans(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spans := &spanCollector{requests: make(chan *collector.ExportTraceServiceRequest, 100)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, spans)
	go server.Serve(listener)
	defer server.Stop()

	base := process.Directory(t)
	root := filepath.Join(base, "root")
	file := config(t, base, fmt.Sprintf("[trace]\naddress = %q\n\n[log]\nlevel = \"debug\"\n", listener.Addr()))
	daemon := process.StartWith(t, process.Ipcsd(t), root, filepath.Join(base, "content.sock"), append(file, at(base)...)...)
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	ask := func(flags string) {
		ctx := metadata.AppendToOutgoingContext(process.Context(t), "traceparent", "00-"+traceID+"-"+parent+"-"+flags)
		_, err := daemon.Client().Info(ctx, &api.InfoRequest{Digest: "sha256:" + strings.Repeat("0", 64)})
		if status.Code(err) != codes.NotFound {
			t.Fatalf("Info: %v", err)
		}
		if _, err := daemon.Client().ListStatuses(ctx, &api.ListStatusesRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now()
	ask("00")
	ask("01")
	after := time.Now()
	daemon.Stop()

	var got []*trace.Span
	for len(spans.requests) > 0 {
		for _, resource := range (<-spans.requests).ResourceSpans {
			if name := resource.Resource.Attributes[0]; name.Key != "service.name" || name.Value.GetStringValue() != "ipcsd" {
				t.Errorf("the resource is %v", resource.Resource)
			}
			for _, scope := range resource.ScopeSpans {
				got = append(got, scope.Spans...)
			}
		}
	}
	const service = "containerd.services.content.v1.Content"
	methods := []string{"Info", "ListStatuses"}
	if len(got) != len(methods) {
		t.Fatalf("%d spans: %v", len(got), got)
	}
	for i, span := range got {
		if hex.EncodeToString(span.TraceId) != traceID || hex.EncodeToString(span.ParentSpanId) != parent || len(span.SpanId) != 8 {
			t.Errorf("ids of %v", span)
		}
		if span.Name != service+"/"+methods[i] || span.Kind != trace.Span_SPAN_KIND_SERVER || span.Status.GetCode() != trace.Status_STATUS_CODE_UNSET {
			t.Errorf("span %v", span)
		}
		if begin, end := int64(span.StartTimeUnixNano), int64(span.EndTimeUnixNano); begin < before.UnixNano() || end < begin || end > after.UnixNano() {
			t.Errorf("from %d to %d, asked from %d to %d", begin, end, before.UnixNano(), after.UnixNano())
		}
		want := map[string]string{"rpc.system": "grpc", "rpc.service": service, "rpc.method": methods[i]}
		for _, attribute := range span.Attributes {
			if attribute.Key == "rpc.grpc.status_code" {
				if code := attribute.Value.GetIntValue(); code != []int64{int64(codes.NotFound), 0}[i] {
					t.Errorf("%s: code %d", span.Name, code)
				}
			} else if attribute.Value.GetStringValue() != want[attribute.Key] {
				t.Errorf("%s: attribute %v", span.Name, attribute)
			}
		}
		if line := "span_id=" + hex.EncodeToString(span.SpanId); !strings.Contains(daemon.Output(), line) {
			t.Errorf("no log line with %s:\n%s", line, daemon.Output())
		}
	}
}
