"""containerd's CRI plugin, and what a kubelet asks of it through the client in tests/peers/cmd/criclient."""

import json
import os
from pathlib import Path

from .process import Failure, command, wait_for

REGISTRY = "registry.test"  # known to the plugin's hosts directory alone
_TESTS = Path(__file__).resolve().parents[2]

# Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj; network plugins are not called, but their directory is
# created and watched.
_RUNTIME = """\
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
"""

_CONFIG = {"1.6.20": """
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
""" + _RUNTIME + """
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{directory}/cni/bin"
  conf_dir = "{directory}/cni/conf"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{hosts}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  discard_unpacked_layers = {discard}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{directory}/runc"
""", "2.4.2": """
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  discard_unpacked_layers = {discard}

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{hosts}"

[plugins."io.containerd.cri.v1.runtime"]
""" + _RUNTIME + """
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{directory}/cni/bin"]
  conf_dir = "{directory}/cni/conf"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  Root = "{directory}/runc"
"""}


def configuration(pause, hosts, discard_unpacked_layers):
    """What Containerd(cri=…) takes. `pause`: the sandbox image's reference."""
    return lambda version, directory: _CONFIG[version].format(
        pause=pause, hosts=hosts, discard=str(discard_unpacked_layers).lower(), directory=directory)


def write_hosts(directory, registry):
    """A hosts directory in which REGISTRY is `registry`, reached over HTTP."""
    entry = directory / REGISTRY
    entry.mkdir(parents=True)
    url = f"http://{registry.host}"
    (entry / "hosts.toml").write_text(
        f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')
    return directory


def build_client(directory):
    """Builds the client; Go's own cache makes that a matter of a second."""
    go = command([_TESTS / "go.sh"]).stdout.strip()
    environment = {**os.environ, "PATH": f"{go}:{os.environ['PATH']}", "GOTOOLCHAIN": "local",
                   "GOFLAGS": "-mod=readonly -buildvcs=false"}
    program = directory / "criclient"
    command([Path(go) / "go", "build", "-C", _TESTS / "peers", "-o", program, "./cmd/criclient"], environment, 280)
    return program


class Kubelet:
    """Pods and images of one containerd, through CRI. Pods are in the host's network and below one cgroup."""

    def __init__(self, client: Path, containerd, cgroup, logs: Path):
        logs.mkdir()
        self.containerd, self._client, self._cgroup, self._logs = containerd, client, cgroup, logs
        self._pods = {}  # id → name
        self.wait()

    def wait(self):
        """Waits until the plugin answers."""
        wait_for("the CRI plugin", lambda: self._run("version", check=False).returncode == 0,
                 alive=self.containerd.process)

    def _run(self, *arguments, check=True):
        return command([self._client, "--socket", self.containerd.socket, "--cgroup-parent", f"/{self._cgroup}",
                        *arguments], check=check)

    def call(self, *arguments):
        """One call of criclient; returns the answer."""
        return json.loads(self._run(*arguments).stdout)

    def pull(self, reference):
        """Returns the image's id, which is its config's digest."""
        return self.call("pull", reference)["imageRef"]

    def images(self):
        """id → image."""
        return {image["id"]: image for image in self.call("images")["images"]}

    def snapshots(self):
        """Names of the plugin's snapshots: of layers, and of containers that are not removed."""
        listed = self.containerd.ctr("snapshots", "ls", namespace="k8s.io").stdout.splitlines()[1:]
        return {line.split()[0] for line in listed}

    def run_pod(self, name):
        pod = self.call("run-pod", name, self._logs)["podSandboxId"]
        self._pods[pod] = name
        return pod

    def remove_pod(self, pod):
        self.call("stop-pod", pod)
        self.call("remove-pod", pod)

    def start(self, pod, name, image, *command_line):
        """Creates and starts a container; returns its id."""
        made = self.call("create", pod, self._pods[pod], self._logs, name, image, *command_line)["containerId"]
        self.call("start", made)
        return made

    def container_state(self, container):
        return self.call("container", container)["status"]["state"]

    def run(self, pod, name, image, *command_line):
        """Runs a container to its end, removes it, and returns what the log file says that it printed."""
        container = self.start(pod, name, image, *command_line)
        status = self.call("wait", container)["status"]
        output = self.output(name)
        if status["exitCode"] != 0:
            raise Failure(f"container {name} ended with {status['exitCode']}: {output}")
        self.call("remove", container)
        return output

    def output(self, name):
        """A container's standard output. A line of the log is "TIME STREAM F|P TEXT", where P is a line's beginning."""
        text = ""
        for line in (self._logs / f"{name}.log").read_text().splitlines():
            _, stream, tag, part = line.split(" ", 3)
            if stream != "stdout":
                raise Failure(f"container {name} wrote to {stream}: {part}")
            text += part + ("\n" if tag == "F" else "")
        return text
