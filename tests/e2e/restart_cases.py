"""ipcsd and containerd stopped and killed, between pulls and during them."""

import signal

from checks import MIB, expect, expect_equal, expect_runs, wait_until_connected, wait_until_freed
from lab import image
from lab.process import wait_for


def restart_between_pulls(lab):
    """ipcsd and containerd, stopped or killed between pulls, keep everything."""
    registry, ipcsd = lab.registry(), lab.ipcsd()
    containerd = lab.containerd(ipcsd.socket)
    wanted = {}
    for number, how in enumerate((signal.SIGTERM, signal.SIGKILL)):
        layers = (MIB, (number + 2) * MIB)
        made = image.make(f"restart {number}", layers)
        reference = registry.push(f"restart{number}:1", made)
        containerd.pull(reference)
        wanted[reference] = (f"restart {number}", layers, made)
        code = ipcsd.process.stop(how)
        if how == signal.SIGTERM:
            expect_equal("exit code of ipcsd after SIGTERM", code, 0)
        ipcsd.start()
    containerd.process.stop(signal.SIGKILL)
    containerd.start()
    for reference, (text, layers, made) in wanted.items():
        ipcsd.check_blobs(made.digests)
        containerd.pull(reference)
        expect_runs(containerd, reference, text, layers)
        containerd.remove(reference)
    wait_until_freed(ipcsd, set().union(*(made.digests for _, _, made in wanted.values())))


def _wait_for_bytes(ipcsd, pull, count):
    wait_for(f"{count} bytes of the image", lambda: ipcsd.ingest_bytes() > count or pull.poll() is not None)
    expect(pull.poll() is None, f"the pull ended before ipcsd was stopped: exit code {pull.returncode}")


def _restart_during_pull(lab, how):
    registry, ipcsd = lab.registry(), lab.ipcsd()
    road = lab.slow_road(registry, rate=4 * MIB)
    containerd = lab.containerd(ipcsd.socket)
    layers = {"left": (6 * MIB, 5 * MIB, 3 * MIB), "killed": (6 * MIB + 1, 5 * MIB + 1, 3 * MIB + 1)}
    made = {name: image.make(name, sizes) for name, sizes in layers.items()}
    reference, arguments = {}, {}
    for name in made:
        registry.push(f"{name}:1", made[name])
        reference[name] = f"{road.host}/{name}:1"
        arguments[name] = containerd.pull_arguments(reference[name], client_side=True)

    # ipcsd goes away under a pull that nobody disturbs otherwise: containerd decides whether that pull goes on.
    pull = containerd.ctr_in_background(*arguments["left"])
    _wait_for_bytes(ipcsd, pull, 2 * MIB)
    ipcsd.process.stop(how)
    ipcsd.start()
    pull.communicate(timeout=60)

    # The client dies as well. A failed pull gives up its lease, and containerd's GC drops what had arrived; a dead
    # client's lease lasts for a day, so that the next pull goes on where this one ended.
    wait_until_connected(containerd)
    pull = containerd.ctr_in_background(*arguments["killed"])
    _wait_for_bytes(ipcsd, pull, 4 * MIB)
    pull.kill()
    pull.communicate()
    ipcsd.process.stop(how)
    held = ipcsd.ingest_bytes()
    expect(held >= 4 * MIB, f"of more than {4 * MIB} bytes that had arrived only {held} are left")
    ipcsd.start()
    before = len(registry.blob_gets())
    road.rate = None
    for name in ("killed", "left"):
        wait_for(f"a pull of {name}", lambda: containerd.ctr(*arguments[name], check=False).returncode == 0)
    resumed = {digest for digest, code in registry.blob_gets()[before:] if code == 206} & made["killed"].digests
    expect(resumed, f"no download was resumed with a ranged request: {registry.blob_gets()[before:]}")
    for name in made:
        ipcsd.check_blobs(made[name].digests)
        expect_runs(containerd, reference[name], name, layers[name])
    for lease in containerd.ctr("leases", "ls", "-q").stdout.split():
        containerd.ctr("leases", "rm", lease)
    for name in made:
        containerd.remove(reference[name])
    wait_until_freed(ipcsd, made["left"].digests | made["killed"].digests)


def stopped_during_pull(lab):
    """ipcsd is stopped with SIGTERM during pulls: what had arrived is kept, and the image becomes whole."""
    _restart_during_pull(lab, signal.SIGTERM)


def killed_during_pull(lab):
    """As stopped_during_pull, with SIGKILL."""
    _restart_during_pull(lab, signal.SIGKILL)


CASES = [restart_between_pulls, stopped_during_pull, killed_during_pull]
