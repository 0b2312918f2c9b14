package main

import (
	"context"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// addPodVerbs adds the verbs of pod sandboxes, and what tells whether the runtime is there.
func (c *client) addPodVerbs() {
	c.handlers["version"] = verb{nil, func(ctx context.Context, _ []string) (proto.Message, error) {
		return c.runtime.Version(ctx, &cri.VersionRequest{})
	}}
	runPod := func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: c.pod(a[0], a[1])})
	}
	c.handlers["run-pod"] = verb{[]string{"NAME", "LOG-DIRECTORY"}, runPod}
	c.handlers["pods"] = verb{nil, func(ctx context.Context, _ []string) (proto.Message, error) {
		return c.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	}}
	c.handlers["pod"] = verb{[]string{"POD"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: a[0]})
	}}
	c.handlers["stop-pod"] = verb{[]string{"POD"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: a[0]})
	}}
	c.handlers["remove-pod"] = verb{[]string{"POD"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: a[0]})
	}}
}

// pod is a pod in the host's network, so that no network plugin is called.
func (c *client) pod(name, logs string) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name},
		LogDirectory: logs,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: c.cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{
				Network: cri.NamespaceMode_NODE}},
		},
	}
}
