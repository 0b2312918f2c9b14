package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	scaleWriters = 8
	scaleCalls   = 300 // of each kind at each size
	scaleBlob    = 2 * kib
)

// grown is a running daemon with blobs in its store.
type grown struct {
	*server
	held []ocispec.Descriptor
}

// scale measures the calls that containerd makes under its own locks, on stores of the given numbers of blobs: the median
// of single calls, in ms, and the time of a whole list and of a whole audit, in seconds. The stores take turns call by
// call, so that whatever else the machine does slows all of them down. `sides` are one backend's, one for each size.
func scale(sides []side, directory, ipcsctl string, sizes []int) error {
	name := sides[0].name
	var stores []*grown
	for i, size := range sizes {
		root := filepath.Join(directory, fmt.Sprintf("scale-%s-%d", name, size))
		s, err := start(sides[i], root)
		if err != nil {
			return err
		}
		defer s.stop()
		g := &grown{server: s}
		if g.held, err = fill(s, size); err != nil {
			return fmt.Errorf("%s, %d blobs: %w\n%s", name, size, err, s.output())
		}
		stores = append(stores, g)
	}
	for _, g := range stores {
		if name != "local" {
			if err := settle(ipcsctl, g.control()); err != nil {
				return err
			}
		}
		if err := g.sync(); err != nil {
			return err
		}
	}
	got, err := calls(stores)
	if err == nil && name != "local" {
		for i, g := range stores {
			if got[i]["audit"], err = audit(ipcsctl, g.control()); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	printed := json.NewEncoder(os.Stdout)
	for i, size := range sizes {
		for metric, value := range got[i] {
			if err := printed.Encode(sample{fmt.Sprintf("%s_%d", metric, size), name, 0, value}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *grown) control() string { return filepath.Join(g.directory, "root", "control.sock") }

// numberedBlob is the blob of that number.
func numberedBlob(number int) []byte {
	data := make([]byte, scaleBlob)
	binary.LittleEndian.PutUint64(data, uint64(number))
	return data
}

func write(s *server, number int) (ocispec.Descriptor, error) {
	data := numberedBlob(number)
	about := descriptor(data)
	return about, content.WriteBlob(context.Background(), s.store, fmt.Sprint(number), bytes.NewReader(data), about)
}

func fill(s *server, count int) ([]ocispec.Descriptor, error) {
	made := make([]ocispec.Descriptor, count)
	failures := make(chan error, scaleWriters)
	var group sync.WaitGroup
	for w := range scaleWriters {
		group.Go(func() {
			for i := w; i < count; i += scaleWriters {
				about, err := write(s, i)
				if err != nil {
					failures <- err
					return
				}
				made[i] = about
			}
		})
	}
	group.Wait()
	close(failures)
	return made, <-failures
}

// calls takes, for each store, medians in ms, and the seconds of a list. The stores have the same blobs afterwards.
func calls(stores []*grown) ([]values, error) {
	ctx := context.Background()
	got := make([]values, len(stores))
	orders := make([][]int, len(stores))
	extra := make([][]ocispec.Descriptor, len(stores))
	for i, g := range stores {
		got[i] = values{}
		orders[i] = rand.New(rand.NewPCG(1, uint64(i))).Perm(len(g.held))
	}
	buffer := make([]byte, 512)
	const apart = 1 << 40 // numbers of blobs that come and go
	for _, kind := range []struct {
		metric string
		call   func(store, i int) error
	}{
		{"info", func(store, i int) error {
			_, err := stores[store].store.Info(ctx, stores[store].held[orders[store][i]].Digest)
			return err
		}},
		// Each a blob that was not opened before.
		{"open", func(store, i int) error {
			held := stores[store].held
			reader, err := stores[store].store.ReaderAt(ctx, held[orders[store][len(held)-1-i]])
			if err != nil {
				return err
			}
			defer reader.Close()
			if n, err := reader.ReadAt(buffer, 0); n != len(buffer) || (err != nil && err != io.EOF) {
				return fmt.Errorf("%d bytes, %w", n, err)
			}
			return nil
		}},
		{"commit", func(store, i int) error {
			about, err := write(stores[store].server, apart+i)
			extra[store] = append(extra[store], about)
			return err
		}},
		{"delete", func(store, i int) error { return stores[store].store.Delete(ctx, extra[store][i].Digest) }},
	} {
		times := make([][]time.Duration, len(stores))
		for i := range scaleCalls {
			for turn := range stores {
				store := (turn + i) % len(stores)
				begin := time.Now()
				if err := kind.call(store, i); err != nil {
					return nil, fmt.Errorf("%s: %w", kind.metric, err)
				}
				times[store] = append(times[store], time.Since(begin))
			}
		}
		for store := range stores {
			slices.Sort(times[store])
			got[store][kind.metric] = float64(times[store][scaleCalls/2].Microseconds()) / 1e3
		}
	}
	for i, g := range stores {
		begin, listed := time.Now(), 0
		if err := g.store.Walk(ctx, func(content.Info) error { listed++; return nil }); err != nil {
			return nil, err
		}
		got[i]["list"] = time.Since(begin).Seconds()
		if listed != len(g.held) {
			return nil, fmt.Errorf("%d blobs are listed, %d were written", listed, len(g.held))
		}
	}
	return got, nil
}

// settle waits until the backend has tidied up what the fill left to do.
func settle(ipcsctl, control string) error {
	for limit := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Second) {
		output, err := exec.Command(ipcsctl, "-a", control, "--format", "json", "--no-progress", "pin", "audit").Output()
		if err != nil {
			return fmt.Errorf("ipcsctl pin audit: %w", err)
		}
		var found struct{ Pending int }
		if err := json.Unmarshal(output, &found); err != nil {
			return err
		}
		if found.Pending == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d things are still to be tidied up", found.Pending)
		}
	}
}

func audit(ipcsctl, control string) (float64, error) {
	begin := time.Now()
	output, err := exec.Command(ipcsctl, "-a", control, "--no-progress", "pin", "audit").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("ipcsctl pin audit: %w\n%s", err, output)
	}
	return time.Since(begin).Seconds(), nil
}
