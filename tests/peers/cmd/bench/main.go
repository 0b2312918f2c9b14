// Command bench measures ipcsd and containerd's own content store side by side, through containerd's own proxy client.
// It prints one JSON object a sample on stdout and nothing else; tests/bench/bench.py runs it and sums up.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// sample is one measured value of one side in one round.
type sample struct {
	Metric string  `json:"metric"`
	Side   string  `json:"side"`
	Round  int     `json:"round"`
	Value  float64 `json:"value"`
}

// values of one sample: metric → value.
type values map[string]float64

// measure is one kind of work that both sides do in turn.
type measure struct {
	name string
	// Each sample has a server and a root of its own; otherwise a side's server serves all rounds.
	fresh bool
	// A root is removed as soon as its server has stopped, because it is large.
	large   bool
	sides   []string            // empty: ipcsd and containerd
	prepare func(*server) error // once after the server's start, not measured; may be nil
	take    func(*server) (values, error)
}

type side struct {
	name      string
	program   string // a content daemon; empty: none
	arguments []string
	kubo      string // the program of a Kubo that runs, too; empty: none
}

func main() {
	log.SetFlags(0)
	ipcsd := flag.String("ipcsd", "", "the ipcsd under test")
	ipfs := flag.String("kubo", "", "Kubo's program; measures whose name begins with kubo_ need it")
	reference := flag.String("reference", "", "the built cmd/reference-store")
	directory := flag.String("directory", "", "an existing directory; roots and sockets are made below it, and stay")
	rounds := flag.Int("rounds", 9, "samples of each side")
	only := flag.String("only", "", "comma-separated measures; all without it")
	counts := flag.String("scale", "", "comma-separated numbers of blobs, growing: measures stores of these sizes and nothing else")
	ipcsctl := flag.String("ipcsctl", "", "for --scale: the tool")
	kubo := flag.String("kubo-configs", "", "for --scale: comma-separated configurations of the backend ipfs-http, a Kubo for each store; without it only local is measured")
	flag.Parse()
	if *counts != "" && *ipcsd != "" && *directory != "" {
		if err := scaleAll(*ipcsd, *ipcsctl, *kubo, *directory, *counts); err != nil {
			log.Fatalf("scale: %v", err)
		}
		return
	}
	if *ipcsd == "" || *reference == "" || *directory == "" || *rounds < 1 || flag.NArg() != 0 {
		log.Fatal("usage: bench --ipcsd FILE --reference FILE --directory DIR [--rounds N] [--only NAME,…]")
	}
	sides := []side{
		{"ipcsd", *ipcsd, []string{"--backend", "local"}, ""},
		// Labels are off, as in containerd itself, which keeps them in its metadata store.
		{"containerd", *reference, []string{"--labels=false"}, ""},
		{"ipfs-http", *ipcsd, []string{"--backend", "ipfs-http"}, *ipfs},
		{"kubo", "", nil, *ipfs},
		{"add", "", nil, *ipfs},
		{"local", *ipcsd, []string{"--backend", "local"}, ""},
	}
	chosen, err := choose(*only)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range chosen {
		if len(m.sides) == 0 {
			m.sides = []string{"ipcsd", "containerd"}
		} else if *ipfs == "" {
			log.Fatalf("%s: --kubo is not given", m.name)
		} else if !carExists() {
			if err := makeCAR(*ipfs, *directory); err != nil {
				log.Fatalf("the blob's CAR: %v", err)
			}
		}
		if err := run(m, chooseSides(m, sides), *directory, *rounds); err != nil {
			log.Fatalf("%s: %v", m.name, err)
		}
	}
}

// scaleAll measures each backend of ipcsd.
func scaleAll(ipcsd, ipcsctl, kubo, directory, counts string) error {
	var sizes []int
	for _, text := range strings.Split(counts, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < scaleCalls || (len(sizes) > 0 && size <= sizes[len(sizes)-1]) {
			return fmt.Errorf("%q is no growing number of blobs, at least %d", text, scaleCalls)
		}
		sizes = append(sizes, size)
	}
	configs := strings.Split(kubo, ",")
	if kubo != "" && len(configs) != len(sizes) {
		return fmt.Errorf("%d configurations for %d stores", len(configs), len(sizes))
	}
	var local, http []side
	for i := range sizes {
		local = append(local, side{"local", ipcsd, []string{"--backend", "local"}, ""})
		if kubo != "" {
			http = append(http, side{"ipfs-http", ipcsd, []string{"--backend", "ipfs-http", "--config", configs[i]}, ""})
		}
	}
	if err := scale(local, directory, ipcsctl, sizes); err != nil || kubo == "" {
		return err
	}
	return scale(http, directory, ipcsctl, sizes)
}

func choose(only string) ([]measure, error) {
	if only == "" {
		return measures, nil // without those on Kubo
	}
	var chosen []measure
	for _, name := range strings.Split(only, ",") {
		found := false
		for _, m := range slices.Concat(measures, kuboMeasures) {
			if m.name == name {
				chosen, found = append(chosen, m), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no measure %q", name)
		}
	}
	return chosen, nil
}

func chooseSides(m measure, all []side) []side {
	var chosen []side
	for _, name := range m.sides {
		chosen = append(chosen, all[slices.IndexFunc(all, func(s side) bool { return s.name == name })])
	}
	return chosen
}

// run takes the samples of one measure and prints them. The sides take turns, and who begins changes from round to
// round, so that neither always finds what the other left: a warm disk cache, a busy disk.
func run(m measure, sides []side, directory string, rounds int) error {
	servers := make([]*server, len(sides))
	defer func() {
		for _, s := range servers {
			if s != nil {
				s.stop()
			}
		}
	}()
	for round := range rounds {
		for turn := range sides {
			at := (turn + round) % len(sides)
			if servers[at] == nil {
				// Roots are not removed before the end: ext4 avoids the inodes of files that were deleted in the last
				// minutes, and looks for others ever longer.
				root := filepath.Join(directory, fmt.Sprintf("%s-%s-%d", m.name, sides[at].name, round))
				var err error
				if servers[at], err = startPrepared(m, sides[at], root); err != nil {
					return err
				}
			}
			s := servers[at]
			if err := takeSample(m, s, sides[at].name, round); err != nil {
				return fmt.Errorf("%s: %w\n%s", sides[at].name, err, s.output())
			}
			if !m.fresh {
				continue
			}
			servers[at] = nil
			if err := s.stop(); err != nil {
				return err
			}
			if m.large {
				if err := os.RemoveAll(s.directory); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// warm fills the disk cache once and empties it again. A virtual machine's host takes free memory back and gives it out
// page by page at the first write; without this the side whose turn comes first would pay for that.
func warm(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, newNumbered(writeSize))
	return errors.Join(err, file.Close(), os.Remove(path))
}

func startPrepared(m measure, from side, directory string) (*server, error) {
	s, err := start(from, directory)
	if err != nil {
		return nil, err
	}
	if m.prepare != nil {
		if err := m.prepare(s); err != nil {
			s.stop()
			return nil, fmt.Errorf("%s: %w", from.name, err)
		}
	}
	return s, nil
}

func takeSample(m measure, s *server, name string, round int) error {
	if m.large {
		if err := warm(filepath.Join(s.directory, "warm")); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil {
		return err
	}
	runtime.GC()
	got, err := m.take(s)
	if err != nil {
		return err
	}
	printed := json.NewEncoder(os.Stdout)
	for metric, value := range got {
		if err := printed.Encode(sample{metric, name, round, value}); err != nil {
			return err
		}
	}
	return nil
}
