// Package audit holds `ipcsctl pin audit` against a Kubo on which two clients and the operator work while ipcsd is killed
// again and again: it must find nothing, neither meanwhile nor after a restart, and all that is there when it should not.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

const (
	rounds   = 40 // each ends with a kill
	perRound = 30 // operations
	workers  = 4
	clients  = 2
	largest  = 3 << 20
)

type report struct {
	Blobs                                           struct{ Count, Bytes int64 }
	Claims, Pending, Leaked, Missing, Damaged, Left int64
	Findings                                        []struct {
		Kind, Digest, Detail string
		Mended               bool
	}
}

// lab is where one ipcsd after the other serves two clients on the Kubo that KUBO_API names.
type lab struct {
	ipcsd, ipcsctl, base, config, root string
	sockets                            [clients]string
	daemon                             *process.Daemon
	clients                            [clients]*grpc.ClientConn
	control                            *grpc.ClientConn
}

func newLab(t *testing.T) *lab {
	t.Helper()
	address := os.Getenv("KUBO_API")
	if address == "" {
		t.Fatal("KUBO_API is not set: run.sh audit_on_kubo starts a Kubo")
	}
	base := process.Directory(t)
	l := &lab{ipcsd: process.Ipcsd(t), ipcsctl: process.Ipcsctl(t), base: base, config: filepath.Join(base, "config.toml"),
		root: filepath.Join(base, "root")}
	text := fmt.Sprintf("version = 1\nroot = %q\nbackend = \"ipfs-http\"\n", l.root)
	for i := range l.sockets {
		l.sockets[i] = filepath.Join(base, fmt.Sprintf("content-%d.sock", i))
		text += fmt.Sprintf("[[grpc]]\nname = \"client-%d\"\naddress = %q\n", i, l.sockets[i])
	}
	text += fmt.Sprintf("[control]\naddress = %q\n%s", filepath.Join(l.root, "control.sock"), process.KuboTable(base, address))
	if err := os.WriteFile(l.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) start(t *testing.T) {
	t.Helper()
	l.daemon = process.StartWith(t, l.ipcsd, l.root, l.sockets[0], "--config", l.config)
	l.clients[0], l.control = l.daemon.Conn, l.daemon.Control()
	for i := 1; i < clients; i++ {
		l.clients[i] = l.daemon.Connect(l.sockets[i])
	}
}

func (l *lab) kill() {
	l.daemon.Kill()
	for _, conn := range append(l.clients[:], l.control) {
		conn.Close()
	}
}

// run calls a verb that prints a report; the exit code comes with it.
func (l *lab) run(t *testing.T, verb ...string) (report, int, error) {
	t.Helper()
	command := exec.Command(l.ipcsctl, append([]string{"-a", l.daemon.ControlSocket(), "--format", "json"}, verb...)...)
	var diagnostics strings.Builder
	command.Stderr = &diagnostics
	output, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var found report
	if err := json.Unmarshal(output, &found); err != nil {
		return found, command.ProcessState.ExitCode(), fmt.Errorf("ipcsctl %v: %w\n%s%s", verb, err, output, &diagnostics)
	}
	return found, command.ProcessState.ExitCode(), nil
}

// clean holds that an audit finds nothing.
func (l *lab) clean(t *testing.T, when string) report {
	t.Helper()
	found, code, err := l.run(t, "pin", "audit")
	if err != nil {
		t.Fatalf("%s: %v\n%s", when, err, l.daemon.Output())
	}
	if code != 0 || found.Leaked != 0 || found.Missing != 0 || found.Damaged != 0 || len(found.Findings) != 0 {
		t.Fatalf("%s: exit code %d, %+v\n%s", when, code, found, l.daemon.Output())
	}
	return found
}

// settled waits until the backend has nothing left to tidy up.
func (l *lab) settled(t *testing.T) report {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(2 * time.Second) {
		found := l.clean(t, "while it is tidied up")
		if found.Pending == 0 {
			return found
		}
		if time.Now().After(end) {
			t.Fatalf("%d things are still to be tidied up", found.Pending)
		}
	}
}

// known is what the workers have to choose from.
type known struct {
	mu      sync.Mutex
	digests []string
	done    map[string]int
}

func (k *known) add(digest string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.digests = append(k.digests, digest)
}

func (k *known) any(random *rand.Rand) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.digests) == 0 {
		return "sha256:" + strings.Repeat("0", 64)
	}
	return k.digests[random.IntN(len(k.digests))]
}

func (k *known) count(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done[what]++
}

type worker struct {
	number int
	random *rand.Rand
	refs   int
	left   []string // refs of unfinished ingests
}

// operation does one thing at random.
func (w *worker) operation(ctx context.Context, l *lab, k *known) (string, error) {
	conn := l.control
	if w.number < 2*clients-1 {
		conn = l.clients[w.number%clients]
	}
	client := api.NewContentClient(conn)
	switch choice := w.random.IntN(100); {
	case choice < 35:
		return "commit", w.write(ctx, client, k, true)
	case choice < 43:
		return "unfinished", w.write(ctx, client, k, false)
	case choice < 48 && len(w.left) > 0:
		ref := w.left[0]
		w.left = w.left[1:]
		_, err := client.Abort(ctx, &api.AbortRequest{Ref: ref})
		return "abort", err
	case choice < 65:
		_, err := client.Delete(ctx, &api.DeleteContentRequest{Digest: k.any(w.random)})
		return "delete", err
	case choice < 75:
		_, err := client.Info(ctx, &api.InfoRequest{Digest: k.any(w.random)})
		return "claim", err
	case choice < 90:
		return "adopt", blob.Adopt(ctx, l.control, k.any(w.random))
	default:
		pins, err := blob.Pins(ctx, l.control)
		for digest := range pins {
			return "unpin", blob.Unpin(ctx, l.control, digest)
		}
		return "nothing to unpin", err
	}
}

func (w *worker) write(ctx context.Context, client api.ContentClient, k *known, whole bool) error {
	size := w.random.IntN([]int{4 << 10, 300 << 10, largest}[w.random.IntN(3)])
	b := blob.New(w.random.Uint64(), size)
	data := b.Bytes()
	w.refs++
	ref := fmt.Sprintf("%d/%d", w.number, w.refs)
	if whole {
		k.add(b.Digest)
		return blob.Put(ctx, client, ref, data)
	}
	upload, err := blob.Open(ctx, client, ref, int64(len(data)))
	if err != nil {
		return err
	}
	w.left = append(w.left, ref)
	for half := data[:len(data)/2]; len(half) > 0; {
		part := half[:min(len(half), 1<<20)]
		if err := upload.Write(part); err != nil {
			return err
		}
		half = half[len(part):]
	}
	return upload.Close()
}

func expected(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.NotFound, codes.AlreadyExists:
		return true
	}
	return false
}

func TestAuditFindsNothing(t *testing.T) {
	start := uint64(time.Now().UnixNano())
	if given := os.Getenv("KILL_SEED"); given != "" {
		start, _ = strconv.ParseUint(given, 10, 64)
	}
	fmt.Printf("KILL_SEED=%d\n", start)
	l, k := newLab(t), &known{done: map[string]int{}}
	var all []*worker
	for i := range workers {
		all = append(all, &worker{number: i, random: rand.New(rand.NewPCG(start, uint64(i)))})
	}
	random := rand.New(rand.NewPCG(start, 1<<32))
	total := 0
	for round := range rounds {
		l.start(t)
		l.clean(t, fmt.Sprintf("after %d kills", round))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		var killed atomic.Bool
		var operations atomic.Int64
		var group sync.WaitGroup
		for _, w := range all {
			group.Go(func() {
				for !killed.Load() {
					what, err := w.operation(ctx, l, k)
					if err != nil && !expected(err) && !killed.Load() {
						t.Errorf("%s: %v", what, err)
						return
					}
					k.count(what)
					operations.Add(1)
				}
			})
		}
		for operations.Load() < perRound*3/4 && !t.Failed() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if round%4 == 0 {
			l.clean(t, fmt.Sprintf("while they work, round %d", round))
		}
		for operations.Load() < perRound && !t.Failed() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		killed.Store(true)
		l.kill()
		group.Wait()
		cancel()
		total += int(operations.Load())
		if t.Failed() {
			t.Fatalf("after %d kills\n%s", round, l.daemon.Output())
		}
	}
	l.start(t)
	found := l.clean(t, "at the end")
	t.Logf("%d operations, %d kills, %d blobs left: %v", total, rounds, found.Blobs.Count, k.done)
	if total < 1000 {
		t.Errorf("only %d operations", total)
	}
	for _, what := range []string{"commit", "unfinished", "abort", "delete", "claim", "adopt", "unpin"} {
		if k.done[what] < 10 {
			t.Errorf("only %d of %q", k.done[what], what)
		}
	}
	broken(t, l)
	repaired(t, l)
	empty(t, l, k)
}

// broken holds that an audit finds what was taken away, and what was put there.
func broken(t *testing.T, l *lab) {
	t.Helper()
	ctx := process.Context(t)
	data := blob.New(1, 700_000)
	if err := blob.Put(ctx, api.NewContentClient(l.control), "broken", data.Bytes()); err != nil {
		t.Fatal(err)
	}
	hex := strings.TrimPrefix(data.Digest, "sha256:")
	path := fmt.Sprintf("/%s/blobs/sha256/%s/", filepath.Base(l.base), hex[:2])
	stranger := strings.Repeat(hex[:2], 32)
	kubo(t, "files/cp?arg="+url.QueryEscape(path+hex)+"&arg="+url.QueryEscape(path+stranger))
	kubo(t, "files/rm?arg="+url.QueryEscape(path+hex))
	found, code, err := l.run(t, "pin", "audit")
	if err != nil || code != 1 || found.Leaked != 1 || found.Missing != 1 || found.Left != 2 {
		t.Fatalf("an entry less and one more: exit code %d, %+v, %v", code, found, err)
	}
	// What was put there has other bytes than its name says.
	found, code, err = l.run(t, "backend", "repair")
	if err != nil || code != 1 || found.Leaked != 1 || found.Missing != 1 || found.Damaged != 1 || found.Left != 1 {
		t.Fatalf("backend repair: exit code %d, %+v, %v", code, found, err)
	}
	l.clean(t, "after the repair")
}

// repaired takes the index away: all blobs are found again and hashed.
func repaired(t *testing.T, l *lab) {
	t.Helper()
	before := l.settled(t) // what is noted to be removed would be found again
	l.kill()
	if err := os.RemoveAll(filepath.Join(l.root, "ipfs-http")); err != nil {
		t.Fatal(err)
	}
	l.start(t)
	found, code, err := l.run(t, "backend", "repair")
	if err != nil || code != 0 || found.Claims != 0 || found.Blobs != before.Blobs {
		t.Fatalf("backend repair: exit code %d, %+v, %v; %+v before", code, found, err, before)
	}
	// Guards that uploads had pinned are not noted any more.
	l.clean(t, "after the index was rebuilt")
	output, err := exec.Command(l.ipcsctl, "-a", l.daemon.ControlSocket(), "--no-progress", "verify").CombinedOutput()
	if err != nil {
		t.Fatalf("verify: %v\n%s", err, output)
	}
}

// empty drops all holds, and nothing is left in Kubo.
func empty(t *testing.T, l *lab, k *known) {
	t.Helper()
	ctx := process.Context(t)
	for _, conn := range append(l.clients[:], l.control) {
		client := api.NewContentClient(conn)
		held, err := blob.List(ctx, client)
		if err != nil {
			t.Fatal(err)
		}
		for digest := range held {
			if _, err := client.Delete(ctx, &api.DeleteContentRequest{Digest: digest}); err != nil && !expected(err) {
				t.Fatal(err)
			}
		}
	}
	found := l.clean(t, "after all deletes")
	if found.Blobs.Count != 0 {
		t.Errorf("%d blobs are left", found.Blobs.Count)
	}
	l.settled(t)
	var pins struct{ Keys map[string]any }
	if err := json.Unmarshal(kubo(t, "pin/ls?type=recursive"), &pins); err != nil {
		t.Fatal(err)
	}
	if len(pins.Keys) > 1 { // `ipfs init` pins an empty directory
		t.Errorf("%d pins are left", len(pins.Keys)-1)
	}
	l.daemon.Stop()
}

func kubo(t *testing.T, call string) json.RawMessage {
	t.Helper()
	parts := strings.Split(os.Getenv("KUBO_API"), "/") // /ip4/HOST/tcp/PORT
	response, err := http.Post(fmt.Sprintf("http://%s:%s/api/v0/%s", parts[2], parts[4], call), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil && response.ContentLength != 0 {
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", call, err)
		}
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", call, answer)
	}
	return answer
}
