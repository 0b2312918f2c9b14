// Command reference-store serves containerd's own local content store as a content proxy: the measure of the
// differential test and of the benchmarks. It takes ipcsd's flags.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	api "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/services/content/contentserver"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"
)

func main() {
	root := flag.String("root", "", "directory of the store")
	address := flag.String("address", "", "unix socket to listen on")
	backend := flag.String("backend", "local", "only \"local\"")
	labels := flag.Bool("labels", true, "keep labels; containerd itself runs its store without")
	flag.Parse()
	if *root == "" || *address == "" || *backend != "local" {
		log.Fatal("usage: reference-store --root DIR --address SOCKET [--backend local] [--labels=false]")
	}

	var kept local.LabelStore
	if *labels {
		kept = &memoryLabels{labels: map[digest.Digest]map[string]string{}}
	}
	store, err := local.NewLabeledStore(*root, kept)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
		grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize))
	api.RegisterContentServer(server, contentserver.New(store))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// memoryLabels keeps labels while the process lives. It never forgets those of deleted blobs, as the label store
// that containerd ships does not either: nothing tells it of a deletion.
type memoryLabels struct {
	mu     sync.Mutex
	labels map[digest.Digest]map[string]string
}

func (m *memoryLabels) Get(d digest.Digest) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copyOf(m.labels[d]), nil
}

func (m *memoryLabels) Set(d digest.Digest, labels map[string]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.labels[d] = map[string]string{}
	for key, value := range labels {
		if value != "" {
			m.labels[d][key] = value
		}
	}
	return nil
}

func (m *memoryLabels) Update(d digest.Digest, changed map[string]string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.labels[d] == nil {
		m.labels[d] = map[string]string{}
	}
	for key, value := range changed {
		if value == "" {
			delete(m.labels[d], key)
		} else {
			m.labels[d][key] = value
		}
	}
	return copyOf(m.labels[d]), nil
}

func copyOf(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for key, value := range labels {
		out[key] = value
	}
	return out
}
