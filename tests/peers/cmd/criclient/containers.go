package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// addContainerVerbs adds the verbs of containers. A pod's name and log directory are given again to `create`, which has
// to repeat the pod's configuration.
func (c *client) addContainerVerbs() {
	c.handlers["create"] = verb{[]string{"POD", "POD-NAME", "LOG-DIRECTORY", "NAME", "IMAGE", "COMMAND..."}, c.create}
	c.handlers["start"] = verb{[]string{"CONTAINER"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: a[0]})
	}}
	c.handlers["containers"] = verb{nil, func(ctx context.Context, _ []string) (proto.Message, error) {
		return c.runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	}}
	c.handlers["container"] = verb{[]string{"CONTAINER"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: a[0]})
	}}
	c.handlers["wait"] = verb{[]string{"CONTAINER"}, c.wait}
	c.handlers["stop"] = verb{[]string{"CONTAINER"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: a[0]})
	}}
	c.handlers["remove"] = verb{[]string{"CONTAINER"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: a[0]})
	}}
}

// create makes a container that logs to NAME.log in the pod's log directory; without COMMAND it runs the image's own.
func (c *client) create(ctx context.Context, a []string) (proto.Message, error) {
	pod, podName, logs, name, of, command := a[0], a[1], a[2], a[3], a[4], a[5:]
	sandbox := c.pod(podName, logs)
	return c.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId:  pod,
		SandboxConfig: sandbox,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    image(of),
			Command:  command,
			LogPath:  name + ".log",
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: sandbox.Linux.SecurityContext.NamespaceOptions}},
		},
	})
}

// wait returns a container's status once it has ended; CRI has no call that waits.
func (c *client) wait(ctx context.Context, a []string) (proto.Message, error) {
	for {
		answer, err := c.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: a[0]})
		if err != nil || answer.Status.State == cri.ContainerState_CONTAINER_EXITED {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
