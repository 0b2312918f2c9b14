"""A private containerd whose content lies in ipcsd, or in its own store."""

import json
import os
import subprocess
from pathlib import Path

from .process import Failure, Process, command, command_in_background, wait_for

DEBIAN = "1.6.20"

_CONFIG = """\
version = {config_version}
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [{disabled}]

[grpc]
  address = "{socket}"

[ttrpc]
  address = "{socket}.ttrpc"

[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "{policy}"

[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "0s"
  schedule_delay = "0ms"
"""

_PROXY = """
[proxy_plugins.ipcs]
  type = "content"
  address = "{content}"
"""

_DIFF = """
[proxy_plugins.ipcs-diff]
  type = "diff"
  address = "{diff}"
  platforms = ["{platform}"]

[plugins."io.containerd.service.v1.diff-service"]
  default = ["ipcs-diff", "walking"]
"""

_DIFFER = """
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "{platform}"
  snapshotter = "{snapshotter}"
  differ = "ipcs-diff"
"""

_BUILT_IN = "io.containerd.content.v1.content"

# What a private containerd must not touch, or does not need.
_DISABLED = [
    "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
    "io.containerd.nri.v1.nri",
]
_CRI = {"1.6.20": ["io.containerd.grpc.v1.cri"],
        "1.7.35": [],  # built without it
        "2.4.2": ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]}


def binaries(version):
    """The directory of a version's programs; tests/install.sh puts those that Debian lacks into the cache."""
    if version == DEBIAN:
        return Path("/usr/bin")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "ipcs" / "peers" / version


def platform():
    return "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def _example(version, content, disabled, diff):
    if diff:
        name = "config-1.7-diff.toml" if version.startswith("1.") else "config-2.x-diff.toml"
    else:
        name = "config-1.6.toml" if version.startswith("1.") else "config-2.x.toml"
    text = (Path(__file__).resolve().parents[3] / "examples" / "containerd" / name).read_text()
    for theirs, ours in ((f'disabled_plugins = ["{_BUILT_IN}"]', "disabled_plugins = " + json.dumps(disabled)),
                         ('"/run/ipcs/ipcs.sock"', f'"{content}"'),
                         *([('"/run/ipcs/diff.sock"', f'"{diff}"')] if diff else [])):
        if text.count(theirs) != 1:
            raise Failure(f"{name} does not say {theirs} once")
        text = text.replace(theirs, ours)
    return text


class Containerd:
    """Started at once. `content` is the socket of an ipcsd; None: containerd's own store."""

    def __init__(self, directory: Path, version, content, policy="shared", snapshotter="overlayfs", cri=None,
                 variables=None, example=False, diff=None, differ=True, keys=""):
        """`example`: with the configuration of examples/containerd, but for addresses and what a private one must not touch.
        `cri`: makes the CRI plugin's configuration from version and directory; None turns the plugin off.
        `variables`: more of them for the environment. `diff`: the socket of an ipcsd that unpacks; `differ`: for the transfer service too. `keys`: more of the configuration."""
        directory.mkdir()
        self.directory, self.version, self.snapshotter = directory, version, snapshotter
        self.socket = directory / "c.sock"
        self._binaries = binaries(version)
        for name in ("containerd", "ctr", "containerd-shim-runc-v2"):
            if not (self._binaries / name).exists():
                raise Failure(f"{self._binaries / name} is missing; tests/install.sh installs it")
        self.environment = {"PATH": f"{self._binaries}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                            "TMPDIR": os.environ.get("TMPDIR", "/tmp"), **(variables or {})}
        self._policy, self._cri, self._diff, self._differ, self._keys = policy, cri, diff, differ, keys
        self.content_directory = directory / "root" / _BUILT_IN  # of its own store
        self._config = directory / "config.toml"
        self._flags = []
        if example:
            self._config.write_text(_example(version, content, self._disabled(content), diff))
            self._flags = ["--root", directory / "root", "--state", directory / "state", "--address", self.socket]
            return self.start()
        self.use(content)

    def _disabled(self, content):
        return _DISABLED + ([_BUILT_IN] if content else []) + ([] if self._cri else _CRI[self.version])

    def use(self, content):
        """Starts it, after a stop again, with that content: an ipcsd's socket, or None for its own store."""
        self._config.write_text(_CONFIG.format(
            config_version=2 if self.version.startswith("1.") else 3, directory=self.directory, socket=self.socket,
            policy=self._policy, disabled=", ".join(f'"{p}"' for p in self._disabled(content)))
            + (_PROXY.format(content=content) if content else "")
            + self._diff_keys() + self._keys
            + (self._cri(self.version, self.directory) if self._cri else ""))
        self.start()

    def _diff_keys(self):
        if not self._diff:
            return ""
        return (_DIFF + (_DIFFER if self._differ else "")).format(
            diff=self._diff, snapshotter=self.snapshotter, platform=platform())

    def start(self):
        self.process = Process(f"containerd {self.version}", [self._binaries / "containerd", "-c", self._config, *self._flags],
                               self.directory / "log", self.environment)
        wait_for(f"containerd {self.version}", lambda: self.ctr("version", check=False).returncode == 0, alive=self.process)

    def _arguments(self, arguments, namespace):
        return [self._binaries / "ctr", "-a", self.socket, "-n", namespace, *arguments]

    def ctr(self, *arguments, check=True, seconds=120.0, stdin=None, namespace="default"):
        return command(self._arguments(arguments, namespace), self.environment, seconds, check, stdin)

    def ctr_in_background(self, *arguments, namespace="default"):
        return command_in_background(self._arguments(arguments, namespace), self.environment)

    @property
    def _client_side(self):
        """What makes `ctr` do the work itself instead of leaving it to containerd's transfer service."""
        return [] if self.version.startswith("1.") else ["--local"]

    def export(self, archive, reference):
        # By ctr itself: 2.4.2's transfer service now and then ends an archive before its last bytes, on any content store.
        self.ctr("images", "export", *self._client_side, archive, reference)

    def pull_arguments(self, reference, client_side=False):
        """`client_side`: ctr itself fetches, as it always does in 1.x; in 2.x containerd does unless told otherwise."""
        local = self._client_side if client_side else []
        return ["images", "pull", "--plain-http", "--snapshotter", self.snapshotter, *local, reference]

    def pull(self, reference, namespace="default", client_side=False, **options):
        """Fetches and unpacks."""
        return self.ctr(*self.pull_arguments(reference, client_side), namespace=namespace, **options)

    def start_container(self, reference, name, *command):
        """Starts a container that goes on in the background; exec() runs something in it, end_container() ends it."""
        self.ctr("run", "-d", "--cgroup", "", "--runc-root", self.directory / "runc", "--snapshotter", self.snapshotter,
                 reference, name, *command)

    def exec(self, name, *command):
        return self.ctr("tasks", "exec", "--exec-id", f"e{os.urandom(6).hex()}", name, *command).stdout

    def end_container(self, name):
        self.ctr("tasks", "rm", "-f", name)
        self.ctr("containers", "rm", name)

    def run(self, reference, name, namespace="default"):
        """Runs a container to its end and returns what it printed. Without cgroup: the machine's may not be ours."""
        return self.ctr("run", "--rm", "--cgroup", "", "--runc-root", self.directory / "runc",
                        "--snapshotter", self.snapshotter, reference, name, namespace=namespace).stdout

    def remove(self, reference, namespace="default"):
        """Removes an image and waits for the garbage collection."""
        self.ctr("images", "rm", "--sync", reference, namespace=namespace)

    def images(self, namespace="default"):
        return set(self.ctr("images", "ls", "-q", namespace=namespace).stdout.split())

    def contents(self, namespace="default"):
        """Digests that containerd's metadata knows."""
        return set(self.ctr("content", "ls", "-q", namespace=namespace).stdout.split())

    def output(self, *arguments, namespace="default"):
        """The bytes that `ctr` prints."""
        done = subprocess.run([str(a) for a in self._arguments(arguments, namespace)],
                              env=self.environment, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"ctr {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def get(self, digest, namespace="default"):
        """A blob's bytes, read through containerd."""
        return self.output("content", "get", digest, namespace=namespace)

    def manifest(self, digest):
        return json.loads(self.get(digest))
