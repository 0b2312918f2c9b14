"""A private BuildKit with a containerd as its worker, built from its Go module where the cache does not have it."""

import os
import tempfile
from pathlib import Path

from .process import Process, command, wait_for

VERSION = "0.34.2"
_TESTS = Path(__file__).resolve().parents[2]

_CONFIG = """\
root = "{directory}/root"

[grpc]
  address = ["unix://{socket}"]

[worker.oci]
  enabled = false

[worker.containerd]
  enabled = true
  address = "{containerd}"
  namespace = "buildkit"
  snapshotter = "{snapshotter}"
  networkMode = "host"
  defaultCgroupParent = "{cgroup}"

[registry."{registry}"]
  http = true
"""


def install():
    """Returns the directory with buildkitd and buildctl. The first time they are built, which takes some minutes of CPU."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipcs" / "peers"
    directory = cache / f"buildkit-{VERSION}"
    if directory.exists():
        return directory
    print(f"building BuildKit {VERSION} from its Go module", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    go = Path(command([_TESTS / "go.sh"]).stdout.strip())
    environment = {**os.environ, "PATH": f"{go}:{os.environ['PATH']}", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    commands = [f"github.com/moby/buildkit/cmd/{name}" for name in ("buildctl", "buildkitd")]
    with tempfile.TemporaryDirectory(dir=cache, prefix="module.") as module:
        built = Path(module) / "built"
        for what, arguments in (("mod init", ["buildkit"]), ("get", ["-tool", *(f"{path}@v{VERSION}" for path in commands)]),
                                ("build", ["-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", f"{built}/", *commands])):
            command([go / "go", *what.split(), "-C", module, *arguments], environment, 3600)
        built.rename(directory)
    return directory


class Buildkit:
    """A daemon, started at once, whose content, snapshots and containers are `containerd`'s. `cgroup`: where its containers lie."""

    def __init__(self, directory: Path, containerd, registry, cgroup):
        directory.mkdir()
        self.directory, self._binaries = directory, install()
        self._socket = directory / "b.sock"
        config = directory / "buildkitd.toml"
        config.write_text(_CONFIG.format(directory=directory, socket=self._socket, containerd=containerd.socket, cgroup=cgroup,
                                         snapshotter=containerd.snapshotter, registry=registry.host))
        self.process = Process("buildkitd", [self._binaries / "buildkitd", "--config", config], directory / "log",
                               {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory)})
        wait_for("buildkitd", lambda: self._ctl("debug", "workers", check=False).returncode == 0, alive=self.process)

    def _ctl(self, *arguments, **options):
        return command([self._binaries / "buildctl", "--addr", f"unix://{self._socket}", *arguments],
                       {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)}, **options)

    def build(self, context: Path, *arguments, seconds=300):
        """Builds the Dockerfile in `context`; returns what buildctl says of the steps."""
        return self._ctl("build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", f"context={context}",
                         "--local", f"dockerfile={context}", *arguments, seconds=seconds).stderr
