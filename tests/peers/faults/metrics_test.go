package faults

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// fetched is the status and the body of a GET.
func fetched(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// TestMetrics has the address of `[metrics]` in the configuration: health, and the numbers of one blob that is written and
// read.
func TestMetrics(t *testing.T) {
	t.Parallel()
	base, address := process.Directory(t), freeAddress(t)
	root, socket := filepath.Join(base, "root"), filepath.Join(base, "s.sock")
	file := config(t, base, fmt.Sprintf("[metrics]\naddress = %q\n", address))
	daemon := process.StartWith(t, process.Ipcsd(t), root, socket, append(file, "--root", root, "--address", socket)...)
	daemon.Connect(daemon.ControlSocket()) // it listens there last, and is ready soon after
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if status, _ := fetched(t, "http://"+address+"/readyz"); status == 200 {
			break
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/nothing": 404} {
		if status, body := fetched(t, "http://"+address+path); status != want {
			t.Errorf("%s: %d, %d is due: %s", path, status, want, body)
		}
	}
	const service = `grpc_service="containerd.services.content.v1.Content"`
	handled := func(method string) string {
		return "grpc_server_handled_total{" + `grpc_code="OK",grpc_method="` + method + `",` + service + "} 1\n"
	}
	if _, body := fetched(t, "http://"+address+"/metrics"); strings.Contains(body, handled("Write")) || !strings.Contains(body, "\nipcs_blobs 0\n") {
		t.Errorf("before there is a blob:\n%s", body)
	}
	const size = 1_234_567
	b := blob.New(1, size)
	wants(t, blob.Put(process.Context(t), daemon.Client(), b.Digest, b.Bytes()), codes.OK)
	wants(t, readAll(t, daemon.Client(), b), codes.OK)
	status, body := fetched(t, "http://"+address+"/metrics")
	// A call is counted when it is over, which its client may know before.
	for limit := time.Now().Add(5 * time.Second); !strings.Contains(body, handled("Read")) && time.Now().Before(limit); {
		time.Sleep(10 * time.Millisecond)
		status, body = fetched(t, "http://"+address+"/metrics")
	}
	if status != 200 {
		t.Errorf("/metrics: %d", status)
	}
	for _, line := range []string{handled("Write"), handled("Read"),
		fmt.Sprintf("\nipcs_written_bytes_total %d\n", size), fmt.Sprintf("\nipcs_read_bytes_total %d\n", size),
		"\nipcs_blobs 1\n", fmt.Sprintf("\nipcs_blob_bytes %d\n", size), "\nipcs_open_writes 0\n"} {
		if !strings.Contains(body, line) {
			t.Errorf("no line %q in\n%s", strings.TrimSpace(line), body)
		}
	}
	daemon.Stop()
	if _, err := http.Get("http://" + address + "/livez"); err == nil {
		t.Errorf("%s answers after the end", address)
	}
}

// TestMetricsPortInUse has somebody else listen on the address of `[metrics]`.
func TestMetricsPortInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	base := process.Directory(t)
	file := config(t, base, fmt.Sprintf("[metrics]\naddress = %q\n", listener.Addr()))
	refused(t, process.Ipcsd(t), nil, at(base, file...)...).says(t, 1, listener.Addr().String(), "in use")
}
