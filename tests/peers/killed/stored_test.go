package killed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipcs/tests/peers/internal/process"
)

// What is stored is looked up behind ipcsd's back: in files, or in the Kubo that KUBO_API names. That Kubo serves this
// suite alone: every pin in it is the backend's.

func backend() string {
	if os.Getenv("KUBO_API") != "" {
		return "ipfs-http"
	}
	return "local"
}

func storedBlobs(t *testing.T, daemon *process.Daemon) []string {
	t.Helper()
	if backend() == "local" {
		return files(t, daemon.Root, "local/blobs/sha256")
	}
	var names []string
	path := "/" + filepath.Base(filepath.Dir(daemon.Root)) + "/blobs/sha256"
	for _, bucket := range mfs(t, path) {
		names = append(names, mfs(t, path+"/"+bucket)...)
	}
	return names
}

func storedIngests(t *testing.T, daemon *process.Daemon) []string {
	t.Helper()
	if backend() == "local" {
		return files(t, daemon.Root, "local/ipcs-ingest")
	}
	return files(t, daemon.Root, "ipfs-http/ingests")
}

func quarantined(t *testing.T, daemon *process.Daemon) []string {
	t.Helper()
	if backend() == "local" {
		if _, err := os.Stat(filepath.Join(daemon.Root, "local/quarantine")); err != nil {
			return nil
		}
		return files(t, daemon.Root, "local/quarantine/sha256")
	}
	return mfs(t, "/"+filepath.Base(filepath.Dir(daemon.Root))+"/quarantine/sha256")
}

func kuboPins(t *testing.T, _ *process.Daemon) []string {
	t.Helper()
	if backend() == "local" {
		return nil
	}
	var answer struct{ Keys map[string]any }
	kubo(t, "pin/ls?type=recursive", &answer)
	var pins []string
	for cid := range answer.Keys {
		if cid != emptyDirectory {
			pins = append(pins, cid)
		}
	}
	return pins
}

const emptyDirectory = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn" // pinned by `ipfs init`

// mfs lists names; none where there is no such directory.
func mfs(t *testing.T, path string) []string {
	t.Helper()
	var answer struct {
		Entries []struct{ Name string }
		Message string
	}
	kubo(t, "files/ls?arg="+url.QueryEscape(path), &answer)
	if answer.Message != "" && !strings.Contains(answer.Message, "does not exist") {
		t.Fatalf("files/ls %s: %s", path, answer.Message)
	}
	var names []string
	for _, e := range answer.Entries {
		names = append(names, e.Name)
	}
	return names
}

func kubo(t *testing.T, call string, answer any) {
	t.Helper()
	parts := strings.Split(os.Getenv("KUBO_API"), "/") // /ip4/HOST/tcp/PORT
	if len(parts) != 5 {
		t.Fatalf("KUBO_API is %q, not /ip4/HOST/tcp/PORT", os.Getenv("KUBO_API"))
	}
	response, err := http.Post(fmt.Sprintf("http://%s:%s/api/v0/%s", parts[2], parts[4], call), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatalf("%s: %v", call, err)
	}
}

// eventually fails with what `wrong` says for longer than the backend may take to tidy up: local does that at once.
func eventually(t *testing.T, wrong func() []string) {
	t.Helper()
	limit := time.Now()
	if backend() != "local" {
		limit = limit.Add(30 * time.Second)
	}
	for {
		found := wrong()
		if len(found) == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Error(strings.Join(found, "\n"))
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}
