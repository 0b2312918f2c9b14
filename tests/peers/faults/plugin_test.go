package faults

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"ipcs/tests/peers/internal/blob"
	"ipcs/tests/peers/internal/process"
)

// builtBad are plugins of tests/host/plugin that do one thing wrong each. The files look sound, apart from those in
// unlike, so the fault shows only when their code runs.
var builtBad = []string{
	"ctor-throw", "ctor-abort", "ctor-exit", "ctor-segv", "ctor-hang",
	"validate-throw", "validate-abort", "validate-silent", "validate-odd-code", "validate-hang",
	"open-throw", "open-abort", "open-null", "small-table", "null-table", "null-function", "null-text", "null-open",
}

// unlike are those that no plugin of this ABI is like.
var unlike = []string{"no-symbol", "function-symbol", "small-symbol", "next-major", "wrong-magic", "wrong-major", "small-struct"}

const hangsInOpen = "open-hang" // for a minute: it has a test of its own

// badPlugins is where the plugins of tests/host/plugin are built: the value of BAD_PLUGINS.
func badPlugins(t *testing.T) string {
	t.Helper()
	directory := os.Getenv("BAD_PLUGINS")
	if directory == "" {
		t.Fatal("BAD_PLUGINS is not set; it names the built plugins of tests/host/plugin")
	}
	return directory
}

// pluginDirectory has a sound local.so, files made from it that are no plugins, and the built ones; it gives the names
// of the files that ipcsd can see to be bad without running them.
func pluginDirectory(t *testing.T, directory string) (visible []string) {
	t.Helper()
	local, err := os.ReadFile(filepath.Join(filepath.Dir(process.Ipcsd(t)), "../lib/ipcs/plugins/local.so"))
	if err != nil {
		t.Fatal(err)
	}
	patched := func(offset int, bytes ...byte) []byte {
		data := append([]byte(nil), local...)
		copy(data[offset:], bytes)
		return data
	}
	// Offsets in an ELF header: class 4, byte order 5, type 16, machine 18, program headers 32.
	made := map[string][]byte{
		"text":           []byte("this is no shared object\n"),
		"empty":          {},
		"header-only":    local[:64],
		"truncated":      local[:len(local)/2],
		"short-of-a-bit": local[:len(local)-1],
		"aarch64":        patched(18, 183, 0),
		"other-class":    patched(4, 1),
		"big-endian":     patched(5, 2),
		"executable":     patched(16, 2, 0),
		"no-headers":     patched(32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"symbol-renamed": bytes.ReplaceAll(local, []byte("ipcs_content_store_v1"), []byte("ipcs_content_stare_v1")),
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(directory, name+".so"), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range made {
		write(name, data)
		visible = append(visible, name)
	}
	write("local", local)
	for _, name := range append(append([]string{hangsInOpen}, builtBad...), unlike...) {
		copyFile(t, filepath.Join(badPlugins(t), name+".so"), filepath.Join(directory, name+".so"))
	}
	visible = append(visible, unlike...)
	// Sound, but others can write to it: whoever does so would run as root.
	copyFile(t, filepath.Join(badPlugins(t), "good.so"), filepath.Join(directory, "good.so"))
	if err := os.Chmod(filepath.Join(directory, "good.so"), 0o777); err != nil {
		t.Fatal(err)
	}
	return append(visible, "good")
}

// TestBadPluginsBeside has ipcsd serve with the local backend from a directory full of bad files: one warning each for
// those that can be seen to be bad, and no code of any of them runs.
func TestBadPluginsBeside(t *testing.T) {
	t.Parallel()
	base, directory := process.Directory(t), process.Directory(t)
	visible := pluginDirectory(t, directory)
	daemon := process.StartIn(t, process.Ipcsd(t), base, "--plugin-dir", directory)
	b := blob.New(1, mib)
	wants(t, blob.Put(process.Context(t), daemon.Client(), "a", b.Bytes()), codes.OK)
	holds(t, process.Context(t), daemon.Client(), []blob.Blob{b})
	warned := make(map[string]int)
	for line := range strings.Lines(daemon.Output()) {
		if !strings.Contains(line, "level=info") && !strings.Contains(line, "level=warn") {
			t.Errorf("unexpected: %s", line)
		}
		if !strings.Contains(line, "level=warn") {
			continue
		}
		for _, name := range append([]string{"local", hangsInOpen}, append(builtBad, visible...)...) {
			if strings.Contains(line, "/"+name+".so") {
				warned[name]++
			}
		}
	}
	for _, name := range visible {
		if warned[name] != 1 {
			t.Errorf("%d warnings about %s.so, one is due\n%s", warned[name], name, daemon.Output())
		}
		delete(warned, name)
	}
	// Those whose tables are wrong may be seen to be so, those whose code is wrong can't.
	for name, count := range warned {
		if count > 1 || name == "local" || strings.HasPrefix(name, "ctor-") {
			t.Errorf("%d warnings about %s.so", count, name)
		}
	}
	text, code := ipcsctl(t, daemon, nil, "plugin", "ls")
	if code != 0 || strings.Count(text, "refused") < len(visible) {
		t.Errorf("plugin ls: %d\n%s", code, text)
	}
	daemon.Stop()
}

// TestBadPluginSelected has the bad file be the backend: one line that names it, and a status that is no crash's.
func TestBadPluginSelected(t *testing.T) {
	t.Parallel()
	directory := process.Directory(t)
	visible := pluginDirectory(t, directory)
	for _, name := range append(builtBad, visible...) {
		t.Run(name, func(t *testing.T) { selected(t, directory, name) })
	}
	t.Run("directory of others", func(t *testing.T) {
		base, open := process.Directory(t), process.Directory(t)
		copyFile(t, filepath.Join(directory, "local.so"), filepath.Join(open, "local.so"))
		if err := os.Chmod(open, 0o777); err != nil {
			t.Fatal(err)
		}
		refused(t, process.Ipcsd(t), nil, at(base, "--plugin-dir", open)...).says(t, 1, open, "writable by others")
	})
	t.Run("absent", func(t *testing.T) {
		base := process.Directory(t)
		refused(t, process.Ipcsd(t), nil, at(base, "--plugin-dir", directory, "--backend", "lokal")...).
			says(t, 2, "lokal", "did you mean")
	})
}

// TestOpenHangs has a backend whose open() never returns.
func TestOpenHangs(t *testing.T) {
	t.Parallel()
	directory := process.Directory(t)
	copyFile(t, filepath.Join(badPlugins(t), hangsInOpen+".so"), filepath.Join(directory, hangsInOpen+".so"))
	selected(t, directory, hangsInOpen)
}

// TestEndWhileStarting has SIGTERM and Ctrl-C end an ipcsd that is still starting, which may take for ever.
func TestEndWhileStarting(t *testing.T) {
	t.Parallel()
	directory := process.Directory(t)
	copyFile(t, filepath.Join(badPlugins(t), hangsInOpen+".so"), filepath.Join(directory, hangsInOpen+".so"))
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		base := process.Directory(t)
		command := exec.Command(process.Ipcsd(t), at(base, "--plugin-dir", directory, "--backend", hangsInOpen)...)
		output, err := command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(30*time.Second, func() { command.Process.Kill() })
		line, err := bufio.NewReader(output).ReadString('\n') // the plugin is loaded, and about to be opened
		if err != nil || !strings.Contains(line, "backend loaded") {
			t.Errorf("at its start it said %q, %v", line, err)
		}
		command.Process.Signal(signal)
		command.Wait()
		kill.Stop()
		if status := command.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal {
			t.Errorf("after %v it ended as %v", signal, command.ProcessState)
		}
	}
}

func selected(t *testing.T, directory, name string) {
	t.Helper()
	base := process.Directory(t)
	code := 1
	if name == "validate-silent" {
		code = 2 // it says that its configuration is wrong, though not what
	}
	refused(t, process.Ipcsd(t), nil, at(base, "--plugin-dir", directory, "--backend", name)...).says(t, code, name)
	// Nothing is left that would keep a sound backend from starting here.
	daemon := process.StartIn(t, process.Ipcsd(t), base)
	daemon.Stop()
}
