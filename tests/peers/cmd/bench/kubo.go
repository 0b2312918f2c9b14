package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// kubo is a running Kubo with a repository of its own that knows no other node.
type kubo struct {
	daemon *daemon
	api    string // its RPC API, as a multiaddr
	base   string // the same as a URL
}

// startKubo makes `directory` with a repository of Kubo's defaults, but for the network, and returns once Kubo answers.
func startKubo(program, directory string) (*kubo, error) {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return nil, err
	}
	repository := filepath.Join(directory, "repo")
	environment := append(os.Environ(), "IPFS_PATH="+repository, "IPFS_TELEMETRY=off", "HOME="+directory)
	initialize := exec.Command(program, "init", "--profile=test")
	initialize.Env = environment
	if said, err := initialize.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ipfs init: %w\n%s", err, said)
	}
	k := &kubo{}
	var err error
	if k.daemon, err = startDaemon(program, []string{"daemon"}, environment); err != nil {
		return nil, err
	}
	for limit := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if k.answers(filepath.Join(repository, "api")) {
			return k, nil
		}
		select {
		case <-k.daemon.done:
			return nil, fmt.Errorf("Kubo ended at its start: %v\n%s", k.daemon.command.ProcessState, k.daemon.output.String())
		default:
		}
		if time.Now().After(limit) {
			k.daemon.stop()
			return nil, fmt.Errorf("Kubo does not answer after %v", startLimit)
		}
	}
}

func (k *kubo) answers(file string) bool {
	text, err := os.ReadFile(file)
	parts := strings.Split(strings.TrimSpace(string(text)), "/") // /ip4/HOST/tcp/PORT
	if err != nil || len(parts) != 5 {
		return false
	}
	k.api, k.base = strings.TrimSpace(string(text)), "http://"+parts[2]+":"+parts[4]+"/api/v0/"
	answer, err := k.call("id", nil)
	if err != nil {
		return false
	}
	answer.Close()
	return true
}

// call gives a command's answer; `file`, where there is one, is its argument.
func (k *kubo) call(command string, file io.Reader) (io.ReadCloser, error) {
	var body io.Reader
	kind := ""
	if file != nil {
		read, write := io.Pipe()
		form := multipart.NewWriter(write)
		body, kind = read, form.FormDataContentType()
		go func() {
			part, err := form.CreateFormFile("file", "data")
			if err == nil {
				_, err = io.CopyBuffer(onlyWriter{part}, onlyReader{file}, make([]byte, mib))
			}
			if err == nil {
				err = form.Close()
			}
			write.CloseWithError(err)
		}()
	}
	answer, err := http.Post(k.base+command, kind, body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		said, _ := io.ReadAll(answer.Body)
		return nil, fmt.Errorf("%s: %s: %s", command, answer.Status, said)
	}
	return answer.Body, nil
}

// So that copies go through the buffer that was given.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// add stores a file as `ipfs add` does and gives its CID.
func (k *kubo) add(file io.Reader) (string, error) {
	answer, err := k.call("add?quieter=true&pin=true&progress=false", file)
	if err != nil {
		return "", err
	}
	defer answer.Close()
	var added struct{ Hash string }
	if err := json.NewDecoder(answer).Decode(&added); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, answer)
	return added.Hash, err
}

// importCAR stores a CAR and pins its root, as `ipfs dag import` does.
func (k *kubo) importCAR(file string) error {
	car, err := os.Open(file)
	if err != nil {
		return err
	}
	defer car.Close()
	answer, err := k.call("dag/import?pin-roots=true", car)
	if err != nil {
		return err
	}
	defer answer.Close()
	said, err := io.ReadAll(answer)
	if err == nil && (!strings.Contains(string(said), `"PinErrorMsg":""`) || strings.Contains(string(said), `"Type":"error"`)) {
		err = fmt.Errorf("dag/import: %s", said)
	}
	return err
}

// writeTo stores what a command answers in a file.
func (k *kubo) writeTo(file, command string) error {
	answer, err := k.call(command, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, answer)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}
