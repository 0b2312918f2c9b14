package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	api "github.com/containerd/containerd/api/services/content/v1"
	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// configCheck runs `ipcsd config check`.
func configCheck(t *testing.T, arguments ...string) (code int, text string) {
	t.Helper()
	command := exec.Command(process.Ipcsd(t), append([]string{"config", "check"}, arguments...)...)
	output, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(output)
}

// TestPluginTable has keys and values in a plugin's table that only the plugin knows to be wrong: `config check` and a
// start tell file, line and key, with status 2, and leave nothing behind.
func TestPluginTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, table string
		line        int // of the file, whose first is the version
		words       []string
	}{
		{"unknown key", "path = %q\nfsnc = false", 7, []string{"unknown key", "fsnc", "did you mean", "fsync"}},
		{"wrong value", "full_at = 7.5\npath = %q", 6, []string{"full_at", "7.5"}},
		{"wrong type", "path = %q\nquota = [1]", 7, []string{"quota"}},
		{"fits", "path = %q\nquota = \"1GiB\"", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := process.Directory(t)
			root, store := filepath.Join(base, "root"), filepath.Join(base, "store")
			arguments := config(t, base, fmt.Sprintf("root = %q\nbackend = \"local\"\n\n[plugins.local]\n"+c.table+"\n", root, store))
			file := arguments[1]
			code, text := configCheck(t, file)
			if c.line == 0 {
				if code != 0 || text != file+": ok\n" {
					t.Errorf("config check: %d, %s", code, text)
				}
			} else {
				words := append([]string{fmt.Sprintf("%s:%d: plugin local: ", file, c.line)}, c.words...)
				refusal{code, text}.says(t, 2, words...)
				refused(t, process.Ipcsd(t), nil, append(arguments, "--address", filepath.Join(base, "s.sock"))...).
					says(t, 2, words...)
			}
			if _, err := os.Stat(store); err == nil {
				t.Errorf("%s was made", store)
			}
		})
	}
	t.Run("no such plugin", func(t *testing.T) {
		arguments := config(t, process.Directory(t), "[plugins.locl]\nquota = 1\n")
		words := []string{arguments[1] + ":", "[plugins.locl]", "did you mean", "local"}
		code, text := configCheck(t, arguments[1])
		refusal{code, text}.says(t, 2, words...)
		refused(t, process.Ipcsd(t), nil, append(arguments, "--root", t.TempDir(), "--address", t.TempDir()+"/s")...).says(t, 2, words...)
		arguments = config(t, process.Directory(t), "[plugins.tape]\nquota = 1\n")
		code, text = configCheck(t, arguments[1])
		if code != 0 || !strings.Contains(text, ": [plugins.tape]: there is no such plugin\n") {
			t.Errorf("config check: %d, %s", code, text)
		}
	})
	t.Run("several problems", func(t *testing.T) {
		arguments := config(t, process.Directory(t), "roto = \"/r\"\nbackend = 4\n[grcp]\n")
		code, text := configCheck(t, arguments[1])
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if code != 2 || len(lines) != 3 {
			t.Fatalf("config check: %d, %s", code, text)
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, fmt.Sprintf("ipcsd: %s:%d: ", arguments[1], i+2)) {
				t.Errorf("line %d: %s", i+1, line)
			}
		}
	})
	t.Run("no such backend", func(t *testing.T) {
		arguments := config(t, process.Directory(t), "")
		code, text := configCheck(t, arguments[1], "--backend", "lokal")
		refusal{code, text}.says(t, 2, "lokal", "did you mean")
	})
	for _, key := range []string{"backend", "previous"} {
		t.Run(key+" is no plugin", func(t *testing.T) {
			base := process.Directory(t)
			arguments := config(t, base, fmt.Sprintf("adopt = \"operator\"\n%s = \"locall\"\n", key))
			words := []string{arguments[1] + ":3: " + key + " ", "locall", "no such plugin", "did you mean"}
			code, text := configCheck(t, arguments[1])
			refusal{code, text}.says(t, 2, words...)
			refused(t, process.Ipcsd(t), nil, append(arguments, at(base)...)...).says(t, 2, words...)
			// A flag's value has no line.
			code, text = configCheck(t, arguments[1], "--"+key, "lokal")
			refusal{code, text}.says(t, 2, "ipcsd: "+key+" \"lokal\": no such plugin")
		})
	}
	t.Run("table of a plugin that is not selected", func(t *testing.T) {
		base := process.Directory(t)
		arguments := config(t, base, "backend = \"local\"\n[plugins.ipfs-http]\napii = \"x\"\n")
		code, text := configCheck(t, arguments[1])
		refusal{code, text}.says(t, 2, arguments[1]+":4: plugin ipfs-http: ", "unknown key", "apii", "did you mean", "api")
		// A start has no use for it.
		process.StartWith(t, process.Ipcsd(t), filepath.Join(base, "root"), filepath.Join(base, "content.sock"),
			append(arguments, at(base)...)...).Stop()
		arguments = config(t, base, "backend = \"local\"\n[plugins.ipfs-http]\napi = \"http://127.0.0.1:1\"\n")
		if code, text = configCheck(t, arguments[1]); code != 0 || text != arguments[1]+": ok\n" {
			t.Errorf("config check: %d, %s", code, text)
		}
	})
	t.Run("no file", func(t *testing.T) {
		if code, text := configCheck(t, "--root", "q"); code != 0 || text != "no file; flags and environment: ok\n" {
			t.Errorf("config check: %d, %s", code, text)
		}
		code, text := configCheck(t, "--backend", "lokal")
		refusal{code, text}.says(t, 2, "backend \"lokal\": no such plugin", "did you mean")
	})
	t.Run("bad plugin", func(t *testing.T) {
		arguments := config(t, process.Directory(t), "")
		code, text := configCheck(t, arguments[1], "--plugin-dir", badPlugins(t), "--backend", "validate-abort")
		refusal{code, text}.says(t, 2, "validate-abort.so", "SIGABRT")
	})
}

const nobody = 65534

// TestSockets has two clients with sockets of different owners and modes: who may not connect is refused by the kernel, and
// each sees its own blobs.
func TestSockets(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	// A copy that any user can run, wherever the build lies.
	tool := filepath.Join(base, "ipcsctl")
	copyFile(t, process.Ipcsctl(t), tool)
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	root, ours, theirs := filepath.Join(base, "root"), filepath.Join(base, "ours.sock"), filepath.Join(base, "theirs.sock")
	shared, operators := filepath.Join(base, "shared.sock"), filepath.Join(base, "control.sock")
	daemon := process.StartWith(t, process.Ipcsd(t), root, ours, config(t, base, fmt.Sprintf(`root = %q
[[grpc]]
name = "ours"
address = %q
[[grpc]]
name = "theirs"
address = %q
uid = %d
gid = %d
mode = "0600"
[[grpc]]
name = "shared"
address = %q
mode = 0o666
[control]
address = %q
gid = %d
mode = "0660"
`, root, ours, theirs, nobody, nobody, shared, operators, nobody))...)
	clients := make(map[string]api.ContentClient)
	for _, c := range []struct {
		socket   string
		mode     os.FileMode
		uid, gid uint32
		nobody   bool // may connect
	}{
		{ours, 0o600, 0, 0, false}, {theirs, 0o600, nobody, nobody, true}, {shared, 0o666, 0, 0, true},
		{operators, 0o660, 0, nobody, true},
	} {
		info, err := os.Stat(c.socket)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != c.mode || owner.Uid != c.uid || owner.Gid != c.gid {
			t.Errorf("%s: mode %o, owner %d:%d", c.socket, info.Mode().Perm(), owner.Uid, owner.Gid)
		}
		command := exec.Command(tool, "-a", c.socket, "content", "ls", "-q")
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		output, err := command.CombinedOutput()
		if (err == nil) != c.nobody || (err != nil && !strings.Contains(string(output), c.socket)) {
			t.Errorf("%s as nobody: %v\n%s", c.socket, err, output)
		}
		clients[c.socket] = api.NewContentClient(daemon.Connect(c.socket))
	}
	ctx := process.Context(t)
	b := blob.New(1, 1000)
	wants(t, blob.Put(ctx, clients[theirs], "a", b.Bytes()), codes.OK)
	for socket, count := range map[string]int{ours: 0, theirs: 1, shared: 0, operators: 1} {
		if listed, err := blob.List(ctx, clients[socket]); err != nil || len(listed) != count {
			t.Errorf("%s: %d blobs, %d are due: %v", socket, len(listed), count, err)
		}
	}
	// Its deletion by one who has no claim leaves it to the one who has.
	_, err := clients[ours].Delete(ctx, &api.DeleteContentRequest{Digest: b.Digest})
	wants(t, err, codes.OK)
	holds(t, ctx, clients[theirs], []blob.Blob{b})
	daemon.Stop()
}

// TestRenamedSocket gives a socket another name between two starts: what the old name holds is shown, goes only when the
// operator says so, and belongs to the old name again where that comes back.
func TestRenamedSocket(t *testing.T) {
	t.Parallel()
	base := process.Directory(t)
	root, socket := filepath.Join(base, "root"), filepath.Join(base, "c.sock")
	start := func(name string) *process.Daemon {
		return process.StartWith(t, process.Ipcsd(t), root, socket, config(t, base, fmt.Sprintf(
			"root = %q\nbackend = \"local\"\n[[grpc]]\nname = %q\naddress = %q\n[control]\naddress = %q\n",
			root, name, socket, filepath.Join(root, "control.sock")))...)
	}
	const warning = "is not configured any more but still holds blobs or ingests"
	ctx := process.Context(t)
	b := blob.New(1, 100_000)
	first := start("one")
	wants(t, blob.Put(ctx, first.Client(), "a", b.Bytes()), codes.OK)
	if output, code := ipcsctl(t, first, nil, "client", "rm", "one"); code != 1 || !strings.Contains(output, "is configured") {
		t.Errorf("a configured client: %d, %s", code, output)
	}
	first.Stop()

	second := start("two")
	output, _ := ipcsctl(t, second, nil, "status", "--format=json")
	var status struct {
		Clients []struct {
			Name       string
			Claims     int
			Configured bool
		}
	}
	if err := json.Unmarshal([]byte(output), &status); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := fmt.Sprint(status.Clients); got != "[{two 0 true} {one 1 false}]" {
		t.Errorf("clients: %s", got)
	}
	second.Stop()
	if log := second.Output(); strings.Count(log, warning) != 1 || !strings.Contains(log, "ipcsctl client rm one") ||
		!strings.Contains(log, "100000") {
		t.Errorf("no warning: %s", log)
	}

	third := start("one")
	if listed, err := blob.List(ctx, third.Client()); err != nil || len(listed) != 1 {
		t.Errorf("%d blobs, 1 is due: %v", len(listed), err)
	}
	holds(t, ctx, third.Client(), []blob.Blob{b})
	third.Stop()
	if log := third.Output(); strings.Contains(log, warning) {
		t.Errorf("a warning: %s", log)
	}

	fourth := start("two")
	if output, code := ipcsctl(t, fourth, nil, "client", "rm", "one"); code != 0 || !strings.Contains(output, "1 blob (100kB) removed") {
		t.Errorf("client rm: %d, %s", code, output)
	}
	if output, code := ipcsctl(t, fourth, nil, "client", "rm", "one"); code != 1 || !strings.Contains(output, "no claims") {
		t.Errorf("client rm again: %d, %s", code, output)
	}
	if output, _ := ipcsctl(t, fourth, nil, "content", "ls", "-q"); output != "" {
		t.Errorf("left: %s", output)
	}
	fourth.Stop()
	fifth := start("two")
	fifth.Stop()
	if log := fifth.Output(); strings.Contains(log, warning) {
		t.Errorf("a warning: %s", log)
	}
}
