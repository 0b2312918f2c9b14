"""Pull and unpack of a real image by containerd 2.4.2, with its content in ipcsd and by itself alone; a comparison of two images."""

import json
import os
import sys
import time
from pathlib import Path

import debian_image
from lab.lab import Lab
from lab.process import Failure
from new_disk import new_disk
from unpack import LIMIT, VARIABLES, VERSION


def samples(ipcsd: Path, cache: Path, rounds):
    """Yields (name of the metric, side, round, seconds). Daemons and roots are new in each sample, the registry serves all of
    them; who begins changes from round to round."""
    image = debian_image.load(cache)
    size = sum(len(data) for data in image.blobs.values()) / 1e6
    with Lab(ipcsd, VERSION) as shared:
        registry = shared.registry()
        reference = registry.push("debian:1", image)
        for round_ in range(rounds):
            sides = ("ipcsd", "containerd")
            for side in sides if round_ % 2 == 0 else reversed(sides):
                os.sync()
                yield "pull", side, round_, _pull(ipcsd, side, reference, image)
    print(f"the image has {size:.0f} MB in {len(image.blobs) - 1} layers", file=sys.stderr)


def _pull(ipcsd, side, reference, image):
    with new_disk(), Lab(ipcsd, VERSION) as lab:
        store = lab.ipcsd() if side == "ipcsd" else None
        containerd = lab.containerd(store.socket if store else None, variables=VARIABLES)
        begin = time.monotonic()
        containerd.pull(reference, seconds=LIMIT)
        took = time.monotonic() - begin
        held = set(store.blob_files()) if store else {
            "sha256:" + path.name for path in containerd.directory.glob("root/*.content.v1.content/blobs/sha256/*")}
        if held != image.digests:
            raise Failure(f"{side} does not hold the image's blobs, but {sorted(held)}")
        return took


def compares(ipcsd: Path, cache: Path, rounds):
    """Yields (round, seconds) of `ipcsctl image compare` of two images in a registry that differ in one layer, on a new store
    and a new Kubo: their bytes are brought in first."""
    one = debian_image.load(cache)
    other = debian_image.with_other_layer(one)
    with Lab(ipcsd, VERSION) as shared:
        registry = shared.registry()
        references = [registry.push(f"compare:{name}", image) for name, image in (("one", one), ("other", other))]
        for round_ in range(rounds):
            os.sync()
            with Lab(ipcsd, VERSION) as lab:
                store = lab.ipcsd(kubo=lab.kubo())
                begin = time.monotonic()
                done = store.ctl("--format", "json", "image", "--plain-http", "compare", *references, seconds=LIMIT)
                took = time.monotonic() - begin
                buckets = {tuple(bucket["images"]) for bucket in json.loads(done.stdout)["blocks"]["buckets"]}
                if len(buckets) != 3:
                    raise Failure(f"compare found {buckets}")
                yield round_, took
