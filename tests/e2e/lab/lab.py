"""The laboratory: what a test starts, where it lies, and how it is all taken away."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

from .buildkit import Buildkit
from .cgroup import remove_cgroup
from .containerd import Containerd
from .cri import REGISTRY, Kubelet, build_client, configuration, write_hosts
from .ipcsd import Ipcsd
from .kubo import Kubo
from .process import Failure, processes_naming, unmount_below
from .registry import Registry, SlowRoad


class Lab:
    """A context manager. On leaving, everything that was started is stopped by pid, everything mounted below the
    directory is unmounted and the directory removed. After a failure the ends of all logs are printed."""

    def __init__(self, ipcsd: Path, version):
        self._program, self.version = Path(ipcsd), version
        self.directory = Path(tempfile.mkdtemp(prefix="ipcs-e2e-"))
        self._daemons = []  # in the order of their start; what has a .process
        self._roads = []

    def registry(self):
        return self._add(Registry(self.directory / self._name("registry")))

    def slow_road(self, registry, rate):
        self._roads.append(SlowRoad(registry, rate))
        return self._roads[-1]

    def kubo(self):
        return self._add(Kubo(self.directory / self._name("kubo")))

    def ipcsd(self, **options):
        return self._add(Ipcsd(self.directory / self._name("ipcsd"), self._program, **options))

    def containerd(self, content, **options):
        return self._add(Containerd(self.directory / self._name("containerd"), self.version, content, **options))

    def buildkit(self, containerd, registry):
        return self._add(Buildkit(self.directory / self._name("buildkit"), containerd, registry, f"/{self.directory.name}"))

    def kubelet(self, content, registry, pause, discard_unpacked_layers=False, **options):
        """A containerd with the CRI plugin, for which cri.REGISTRY is `registry`. `pause`: the name of the sandbox image
        there."""
        hosts = write_hosts(self.directory / "hosts", registry)
        cri = configuration(f"{REGISTRY}/{pause}", hosts, discard_unpacked_layers)
        return Kubelet(build_client(self.directory), self.containerd(content, cri=cri, **options), self.directory.name,
                       self.directory / "pods")

    def _name(self, kind):
        return f"{kind}{sum(d.__class__.__name__.lower() == kind for d in self._daemons)}"

    def _add(self, daemon):
        self._daemons.append(daemon)
        return daemon

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is not None:
                self._print_logs()
        finally:
            left = self._take_down()
        if left and error is None:
            raise Failure("left behind: " + "; ".join(left))

    def _print_logs(self):
        for log in sorted(self.directory.glob("*/log")):
            print(f"--- {log.parent.name} ---")
            print("\n".join(log.read_text(errors="replace").splitlines()[-30:]))

    def _take_down(self):
        """Returns what went wrong."""
        left = []
        for daemon in reversed(self._daemons):
            try:
                if isinstance(daemon, Containerd):
                    self._end_shims(daemon)
                daemon.process.stop()
            except (Failure, OSError, ValueError) as problem:
                left.append(str(problem))
        for road in self._roads:
            road.close()
        try:
            if pids := remove_cgroup(self.directory.name):
                left.append(f"processes in the cgroup {self.directory.name}: {pids}")
        except Failure as problem:
            left.append(str(problem))
        unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.directory.exists():
            left.append(f"{self.directory} could not be removed")
        return left

    @staticmethod
    def _end_shims(daemon):
        for pid in processes_naming(str(daemon.socket)):
            if pid != daemon.process.pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
