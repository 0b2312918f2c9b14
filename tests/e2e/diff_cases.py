"""Cases in which ipcsd unpacks: containerd 2.x with both of its proxy plugins. 1.6 unpacks by itself."""

import os
import signal

from checks import MIB, expect, expect_equal, expect_runs, wait_until_connected
from lab import image
from lab.process import wait_for


def _unpacking(lab):
    registry, ipcsd = lab.registry(), lab.ipcsd(diff=True)
    return registry, ipcsd, lab.containerd(ipcsd.socket, diff=ipcsd.diff)


def _layers(containerd, made):
    return [layer["digest"] for layer in containerd.manifest(made.digest)["layers"]]


def unpacked_by_ipcsd(lab):
    """Images pulled through the transfer service and by ctr itself are unpacked by ipcsd, and run."""
    registry, ipcsd, containerd = _unpacking(lab)
    wanted = []
    for name, client_side in (("transfer", False), ("local", True)):
        layers = (3 * MIB + client_side, 1000 + client_side)
        made = image.make(name, layers)
        reference = registry.push(f"{name}:1", made)
        containerd.pull(reference, client_side=client_side)
        expect_runs(containerd, reference, name, layers)
        wanted += _layers(containerd, made)
    expect_equal("layers that ipcsd applied", sorted(ipcsd.applied_layers()), sorted(set(wanted)))
    plugins = [line.split() for line in containerd.ctr("plugins", "ls").stdout.splitlines()]
    expect_equal("differs", [words[-1] for words in plugins if "ipcs-diff" in words], ["ok"])


def unpacked_in_parallel(lab):
    """Ten images are pulled at once."""
    registry, ipcsd, containerd = _unpacking(lab)
    made = {f"p{i}": image.make(f"p{i}", (MIB + i, 2000 + i)) for i in range(10)}
    references = {name: registry.push(f"{name}:1", one) for name, one in made.items()}
    pulls = {name: containerd.ctr_in_background(*containerd.pull_arguments(r)) for name, r in references.items()}
    for name, pull in pulls.items():
        out, error = pull.communicate(timeout=120)
        expect_equal(f"exit code of the pull of {name} ({error or out})", pull.returncode, 0)
    for name in made:
        expect_runs(containerd, references[name], name, (MIB + int(name[1:]), 2000 + int(name[1:])))
    expect_equal("workers left", ipcsd.workers(), [])


def _killed(lab, kill):
    registry, ipcsd, containerd = _unpacking(lab)
    layers = (48 * MIB, 5000)
    made = image.make("killed", layers)
    reference = registry.push("killed:1", made)
    pull = containerd.ctr_in_background(*containerd.pull_arguments(reference))

    def large_layer_is_written():
        written = containerd.directory.glob("root/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/data/0")
        return ipcsd.workers() and any(path.stat().st_size > 0 for path in written) or pull.poll() is not None

    wait_for("a layer to be written", large_layer_is_written)
    expect(pull.poll() is None, "the pull ended before anything was killed")
    kill(ipcsd)
    pull.communicate(timeout=60)
    expect(pull.returncode != 0, "the pull went well although its layer was cut off")
    expect_equal("workers left", ipcsd.workers(), [])
    mounts = open("/proc/self/mountinfo").read()
    expect(str(ipcsd.root) not in mounts, "something is left mounted")
    wait_until_connected(containerd)
    wait_for("the pull", lambda: containerd.ctr(*containerd.pull_arguments(reference), check=False).returncode == 0)
    expect_runs(containerd, reference, "killed", layers)


def worker_killed(lab):
    """A worker is killed in the middle of a layer: that pull fails, the next one goes well."""
    def kill(ipcsd):
        for pid in ipcsd.workers():
            os.kill(pid, signal.SIGKILL)
    _killed(lab, kill)


def killed_while_unpacking(lab):
    """ipcsd is killed in the middle of a layer: its worker ends too, and after a restart the next pull goes well."""
    def kill(ipcsd):
        workers = ipcsd.workers()
        ipcsd.process.stop(signal.SIGKILL)
        wait_for("the workers to end", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
        ipcsd.start()
    _killed(lab, kill)


CASES = [unpacked_by_ipcsd, unpacked_in_parallel, worker_killed, killed_while_unpacking]
