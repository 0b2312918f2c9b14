// Command criclient makes one call of the Kubernetes container runtime interface and prints the answer as JSON: what a
// test needs of a kubelet.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// client is the runtime's two services on one connection.
type client struct {
	images   cri.ImageServiceClient
	runtime  cri.RuntimeServiceClient
	cgroup   string // parent of every pod's cgroup
	handlers map[string]verb
}

// verb is one call: what it takes, in words, and the call itself. `call` gets as many arguments as `takes` names, or
// more where the last name ends with "...".
type verb struct {
	takes []string
	call  func(context.Context, []string) (proto.Message, error)
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("criclient: ")
	socket := flag.String("socket", "", "unix socket of the runtime")
	cgroup := flag.String("cgroup-parent", "", "parent of the pods' cgroups; empty: the runtime's own choice")
	timeout := flag.Duration("timeout", time.Minute, "how long the call may take")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: criclient --socket PATH [--cgroup-parent PATH] [--timeout TIME] VERB [ARGUMENT...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *socket == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}

	connection, err := grpc.NewClient("unix://"+*socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	c := &client{images: cri.NewImageServiceClient(connection), runtime: cri.NewRuntimeServiceClient(connection),
		cgroup: *cgroup}
	c.handlers = map[string]verb{}
	c.addImageVerbs()
	c.addPodVerbs()
	c.addContainerVerbs()

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	answer, err := c.run(ctx, flag.Arg(0), flag.Args()[1:])
	if err != nil {
		log.Fatalf("%s: %v", flag.Arg(0), err)
	}
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}

// run finds the verb and calls it.
func (c *client) run(ctx context.Context, name string, arguments []string) (proto.Message, error) {
	found, ok := c.handlers[name]
	if !ok {
		return nil, fmt.Errorf("no such verb")
	}
	least, more := len(found.takes), false
	if least > 0 && found.takes[least-1] == "COMMAND..." {
		least, more = least-1, true
	}
	if len(arguments) < least || (len(arguments) > least && !more) {
		return nil, fmt.Errorf("takes %v, not %q", found.takes, arguments)
	}
	return found.call(ctx, arguments)
}
