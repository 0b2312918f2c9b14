package unpack

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"ipcs/tests/peers/internal/process"
)

// numbers are what one ipcsd says about the layers that it has applied.
type numbers struct {
	Address           string
	Applied, Failed   int64
	UnderWay          int64 `json:"under_way"`
	StoredBytes       int64 `json:"stored_bytes"`
	UncompressedBytes int64 `json:"uncompressed_bytes"`
	Seconds           struct{ Read, Decompress, Hash, Write float64 }
}

// status is what `ipcsctl status` says.
func (p *peers) status(t *testing.T) numbers {
	t.Helper()
	out, err := exec.Command(process.Ipcsctl(t), "-a", p.daemon.ControlSocket(), "--format=json", "status").Output()
	var status struct{ Unpacking *numbers }
	if err == nil {
		err = json.Unmarshal(out, &status)
	}
	if err != nil || status.Unpacking == nil {
		t.Fatalf("%v: %s", err, out)
	}
	return *status.Unpacking
}

// scraped is what the metrics say.
func scraped(t *testing.T, address string) (n numbers) {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) float64 {
		found := regexp.MustCompile(`(?m)^ipcs_diff_` + name + ` (\S+)$`).FindSubmatch(body)
		if found == nil {
			t.Fatalf("no ipcs_diff_%s in\n%s", name, body)
		}
		number, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	n.Applied, n.Failed = int64(value("layers_applied")), int64(value("layers_failed"))
	n.UnderWay = int64(value("layers_under_way"))
	n.StoredBytes, n.UncompressedBytes = int64(value("stored_bytes")), int64(value("uncompressed_bytes"))
	n.Seconds.Read, n.Seconds.Decompress = value("read_seconds"), value("decompress_seconds")
	n.Seconds.Hash, n.Seconds.Write = value("hash_seconds"), value("write_seconds")
	return n
}

func near(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 }

// TestNumbers applies layers well and badly and holds `ipcsctl status`, the metrics and the log against what was applied.
func TestNumbers(t *testing.T) {
	base := process.Directory(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, config := listener.Addr().String(), filepath.Join(base, "metrics.toml")
	listener.Close()
	if err := os.WriteFile(config, fmt.Appendf(nil, "version = 1\n[metrics]\naddress = %q\n", address), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", config)
	if n := p.status(t); n != (numbers{Address: filepath.Join(p.base, "diff.sock")}) {
		t.Errorf("before the first layer: %+v", n)
	}

	text := strings.Repeat("some text ", 2_000_000)
	layer := archive(t, file{Header: tar.Header{Name: "f", Mode: 0o644}, body: text})
	good, plain := p.put(t, gzipLayer, gzipped(layer)), p.put(t, plainLayer, layer)
	for _, d := range []struct {
		digest digest.Digest
		err    error
	}{{good.Digest, applied(p.ours, good, p.bind(t)).err}, {plain.Digest, applied(p.ours, plain, p.bind(t)).err}} {
		if d.err != nil {
			t.Fatalf("%s: %v", d.digest, d.err)
		}
	}
	noise := p.put(t, gzipLayer, []byte(strings.Repeat("noise", 500)))
	if err := applied(p.ours, noise, p.bind(t)).err; err == nil {
		t.Fatal("noise was applied")
	}
	unknown := good
	unknown.Digest = digest.FromString("no layer")
	if err := applied(p.ours, unknown, p.bind(t)).err; !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	// What others may know has not failed.
	if err := applied(p.ours, p.put(t, plainLayer+"+encrypted", layer), p.bind(t)).err; !errdefs.IsNotImplemented(err) {
		t.Fatal(err)
	}
	line := `msg="layer left to the next differ" digest=` + plain.Digest.String()
	eventually(t, "the line for what is left to others", func() bool { return strings.Contains(p.daemon.Output(), line) })

	status, metrics := p.status(t), scraped(t, address)
	if status.Applied != 2 || status.Failed != 2 || status.UnderWay != 0 || status.StoredBytes != good.Size+plain.Size ||
		status.UncompressedBytes != int64(2*len(layer)) {
		t.Errorf("status: %+v", status)
	}
	if s := status.Seconds; s.Read <= 0 || s.Decompress <= 0 || s.Hash <= 0 || s.Write <= 0 {
		t.Errorf("time by stage: %+v", s)
	}
	s, m := status.Seconds, metrics.Seconds
	if !near(s.Read, m.Read) || !near(s.Decompress, m.Decompress) || !near(s.Hash, m.Hash) || !near(s.Write, m.Write) {
		t.Errorf("status: %+v\nmetrics: %+v", s, m)
	}
	metrics.Seconds, metrics.Address = status.Seconds, status.Address
	if metrics != status {
		t.Errorf("status: %+v\nmetrics: %+v", status, metrics)
	}

	// One line a layer.
	lines := map[digest.Digest]string{}
	for line := range strings.Lines(p.daemon.Output()) {
		if found := regexp.MustCompile(`msg="layer (?:not )?applied".* digest=(\S+)`).FindStringSubmatch(line); found != nil {
			d := digest.Digest(found[1])
			if lines[d] != "" {
				t.Errorf("two lines for a layer:\n%s%s", lines[d], line)
			}
			lines[d] = line
		}
	}
	wanted := fmt.Sprintf(` bytes=%d uncompressed=%d entries=1 `, good.Size, len(layer))
	if line := lines[good.Digest]; !strings.Contains(line, wanted) ||
		!regexp.MustCompile(` seconds=\d+\.\d{3} read=\d+\.\d{3} decompress=\d+\.\d{3} hash=\d+\.\d{3} write=\d+\.\d{3}\s`).MatchString(line) {
		t.Errorf("the line of a layer: %q, %q is due", line, wanted)
	}
	if line := lines[noise.Digest]; !strings.Contains(line, "layer not applied") || !strings.Contains(line, "code=") {
		t.Errorf("the line of what is no layer: %q", line)
	}
	if len(lines) != 4 {
		t.Errorf("lines: %v", lines)
	}

	// What is being applied is counted while it is.
	var files []file
	for i := range 20_000 {
		files = append(files, file{Header: tar.Header{Name: fmt.Sprintf("d%d/f%d", i%100, i), Mode: 0o644}, body: "text"})
	}
	many, where, done := p.put(t, gzipLayer, gzipped(archive(t, files...))), p.bind(t), make(chan error)
	go func() { done <- applied(p.ours, many, where).err }()
	eventually(t, "a layer under way", func() bool { return scraped(t, address).UnderWay == 1 })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := p.status(t); n.Applied != 3 || n.UnderWay != 0 {
		t.Errorf("at the end: %+v", n)
	}
}
