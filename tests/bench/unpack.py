"""Images pulled and unpacked by ipcsd for containerd 2.4.2, and by containerd with its built-in store and applier; one layer
unpacked alone."""

import os
import resource
import threading
import time
from pathlib import Path

import debian_image
from lab.lab import Lab
from lab.process import Failure
from new_disk import new_disk

VERSION = "2.4.2"
# containerd would hand gunzip to pigz or igzip where they are installed: without them it is at its fastest with two processors.
VARIABLES = {"CONTAINERD_DISABLE_PIGZ": "1", "CONTAINERD_DISABLE_IGZIP": "1"}
LIMIT = 1800.0
_FOUR = '\n[plugins."io.containerd.transfer.v1.local"]\nmax_concurrent_unpacks = 4\n'
_SIDES = ("ipcsd", "containerd")
_TICK = os.sysconf("SC_CLK_TCK")


def samples(ipcsd: Path, cache: Path, rounds):
    """Yields (name of the metric, side, round, value). Daemons and roots are new in each sample, the registry serves all of
    them; who begins changes from round to round."""
    large = debian_image.load(cache)
    small = debian_image.joined(large, (5,))
    one = debian_image.joined(large, (3, 4))
    with Lab(ipcsd, VERSION) as shared:
        registry = shared.registry()
        references = {name: registry.push(f"unpack:{name}", image) for name, image in (("large", large), ("small", small), ("one", one))}
        for round_ in range(rounds):
            for side in _SIDES if round_ % 2 == 0 else reversed(_SIDES):
                for metric, value in (*_pull(ipcsd, side, "unpack_large", references["large"], large),
                                      *_pull(ipcsd, side, "unpack_small", references["small"], small),
                                      *_pull(ipcsd, side, "unpack_four", references["large"], large, _FOUR),
                                      *_layer(ipcsd, side, references["one"], one)):
                    yield metric, side, round_, value


def _daemons(lab, side, keys=""):
    """The ipcsd that unpacks, if it is its turn, and the containerd."""
    store = lab.ipcsd(diff=True) if side == "ipcsd" else None
    return store, lab.containerd(store.socket if store else None, variables=VARIABLES, diff=store.diff if store else None, keys=keys)


def _check(store, image):
    if store and len(store.applied_layers()) != len(image.blobs) - 1:
        raise Failure(f"ipcsd did not unpack every layer, but {store.applied_layers()}")


def _pull(ipcsd, side, metric, reference, image, keys=""):
    os.sync()
    with new_disk(), Lab(ipcsd, VERSION) as lab:
        store, containerd = _daemons(lab, side, keys)
        processes = [containerd.process.pid] + ([store.process.pid] if store else [])
        with Memory(store) as memory:
            before, begin = _processor_time(processes), time.monotonic()
            containerd.pull(reference, seconds=LIMIT)
            seconds, used = time.monotonic() - begin, _processor_time(processes) - before
        _check(store, image)
        yield metric, seconds
        yield f"{metric}_cpu", used
        if store:
            yield f"{metric}_memory", memory.more


def _layer(ipcsd, side, reference, image):
    """The layer's bytes are there before: what is left is to unpack them."""
    with new_disk(), Lab(ipcsd, VERSION) as lab:
        store, containerd = _daemons(lab, side)
        containerd.ctr("content", "fetch", "--plain-http", reference, seconds=LIMIT)
        os.sync()
        begin = time.monotonic()
        containerd.ctr("snapshots", "--snapshotter", containerd.snapshotter, "unpack", image.digest, seconds=LIMIT)
        yield "unpack_layer", time.monotonic() - begin
        _check(store, image)


def _processor_time(processes):
    """Seconds of processor time of daemons, of those of their children that have ended, and of this program's: ctr."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / _TICK + ours.ru_utime + ours.ru_stime


class Memory:
    """Looks every 20 ms how much more memory (RSS) an ipcsd and its workers have than it had at first; `more` is the most, in MiB."""

    def __init__(self, store):
        self.more, self._store, self._over = 0.0, store, threading.Event()

    def __enter__(self):
        if self._store:
            self._first = self._now()
            self._thread = threading.Thread(target=self._watch)
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        if self._store:
            self._thread.join()

    def _watch(self):
        while not self._over.wait(0.02):
            self.more = max(self.more, self._now() - self._first)

    def _now(self):
        pages = 0
        for process in (self._store.process.pid, *self._store.workers()):
            try:
                pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
            except OSError:
                continue  # that worker has ended
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
