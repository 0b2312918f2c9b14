#!/usr/bin/env python3
"""Images that BuildKit 0.34.2 builds with containerd as its worker are the same whether ipcsd holds the content and unpacks, or
containerd does both: buildkit.py [--ipcsd build/bin/ipcsd]. Outside of ctest: the first run builds BuildKit."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

from checks import MIB, expect, expect_equal  # noqa: E402
from lab import image  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.process import Failure  # noqa: E402

_VERSION = "2.4.2"
_SIDES = ("ipcsd", "containerd")
_COMPRESSIONS = ("gzip", "zstd")
_EPOCH = 1_600_000_000

# New, changed, removed and replaced files; a directory that becomes opaque; links, devices, modes; a stage's files in another.
_DOCKERFILE = """\
FROM {base} AS builder
COPY context /context
RUN busybox mkdir -p /out/deep/er /out/gone && busybox dd if=/context/blob of=/out/deep/copy bs=65536 && \\
    echo text > /out/deep/er/text && busybox ln /out/deep/copy /out/hard && busybox ln -s deep/er/text /out/soft && \\
    busybox mkfifo /out/fifo && busybox chmod 4755 /out/deep/copy && busybox chown 1000:3000 /out/deep/er && echo x > /out/gone/x
RUN busybox rm -rf /out/gone && busybox mkdir /out/gone && echo new > /out/gone/new && busybox rm /data/0

FROM {base}
COPY --from=builder /out /opt
RUN busybox rm /data/1 && echo changed > /data/0 && busybox chmod 700 /etc
RUN busybox rm -rf /opt/deep && busybox mkdir -p /opt/deep && echo again > /opt/deep/again
COPY --chown=7:8 --chmod=640 context/tree /tree
RUN busybox sha256sum /data/* /opt/hard /opt/deep/* /tree/* > /sums
CMD ["/bin/busybox", "cat", "/sums"]
"""


def make_context(directory, base):
    tree = directory / "context" / "tree"
    tree.mkdir(parents=True)
    (directory / "context/blob").write_bytes(bytes(range(256)) * 4096)
    for name in ("a", "b", "c"):
        (tree / name).write_text(name * 1000)
    (directory / "Dockerfile").write_text(_DOCKERFILE.format(base=base))
    return directory


class Side:
    """A containerd with or without ipcsd, and a BuildKit on it. Each has a new root."""

    def __init__(self, lab, registry, name, snapshotter):
        self.ipcsd = lab.ipcsd(diff=True) if name == "ipcsd" else None
        socket, diff = (self.ipcsd.socket, self.ipcsd.diff) if self.ipcsd else (None, None)
        self.containerd = lab.containerd(socket, diff=diff, snapshotter=snapshotter)
        self.buildkit = lab.buildkit(self.containerd, registry)
        self._registry = registry

    def build(self, context, name, *arguments, compression="gzip"):
        """Builds and pushes; returns what buildctl says, the manifest and the config."""
        # What a step writes has the time of the step, but in the image that of the commit. `force-compression`: of the base's layers too.
        said = self.buildkit.build(
            context, "--opt", f"build-arg:SOURCE_DATE_EPOCH={_EPOCH}", "--output",
            f"type=image,name={self._registry.host}/{name},push=true,oci-mediatypes=true,rewrite-timestamp=true,"
            f"compression={compression},force-compression=true", *arguments)
        manifest = self._registry.manifest(name)
        config = json.loads(self._registry.blob(name.partition(":")[0], json.loads(manifest)["config"]["digest"]))
        return said, manifest, config


def _expect_same(what, ours, theirs):
    """`ours`, `theirs`: manifest and config. The layers first, since what differs shows there."""
    expect_equal(f"diff ids {what}", ours[1]["rootfs"]["diff_ids"], theirs[1]["rootfs"]["diff_ids"])
    expect_equal(f"manifest {what}", ours[0], theirs[0])
    print(f"     {what}: {image.digest_of(ours[0])} with {len(ours[1]['rootfs']['diff_ids'])} layers", flush=True)


def same_images(lab, snapshotter):
    registry = lab.registry()
    base = image.make("base", (2 * MIB, 1000))
    context = make_context(lab.directory / "context", registry.push("base:1", base))
    found, runs = {}, {}
    for name in _SIDES:
        side = Side(lab, registry, name, snapshotter)
        for compression in _COMPRESSIONS:
            cache = ["--export-cache", f"type=registry,ref={registry.host}/{name}-cache:1,mode=max"]
            _, *found[name, compression] = side.build(context, f"{name}-{compression}:1", *cache, compression=compression)
        if side.ipcsd:
            expect(set(base.layers) <= set(side.ipcsd.applied_layers()), "ipcsd did not unpack the base image's layers")
            for manifest, _ in (found[name, compression] for compression in _COMPRESSIONS):
                side.ipcsd.check_blobs(layer["digest"] for layer in json.loads(manifest)["layers"])
        reference = f"{registry.host}/{name}-gzip:1"
        side.containerd.pull(reference, client_side=True)
        runs[name] = side.containerd.run(reference, "made")
    for compression in _COMPRESSIONS:
        _expect_same(f"with {compression}", *(found[name, compression] for name in _SIDES))
    expect_equal("output of the image", *(runs[name] for name in _SIDES))
    expect_equal("files in the image", len(runs["ipcsd"].splitlines()), 6)

    # Either side's cache, to which a new root and a step more are added on both.
    with open(context / "Dockerfile", "a") as dockerfile:
        dockerfile.write("RUN echo more >> /sums\n")
    for made_by in _SIDES:
        more = [_from_cache(lab, registry, name, snapshotter, context, made_by, len(base.layers)) for name in _SIDES]
        _expect_same(f"from the cache of {made_by}", *more)


def _from_cache(lab, registry, name, snapshotter, context, made_by, few):
    """Takes every step but the last from a cache; ipcsd unpacks the layers that BuildKit made of them."""
    side = Side(lab, registry, name, snapshotter)
    said, *made = side.build(context, f"{name}-on-{made_by}:1", "--import-cache",
                             f"type=registry,ref={registry.host}/{made_by}-cache:1")
    expect(_steps_run(said) == 1, f"another number of steps ran than the new one:\n{said}")
    if side.ipcsd:
        expect(len(side.ipcsd.applied_layers()) > few, "ipcsd did not unpack the cache's layers")
    return made


def _steps_run(said):
    lines = said.splitlines()
    # Of the step whose layers the next one needs they are fetched and unpacked, and it is not called cached.
    cached = {line.split()[0] for line in lines if line.endswith(" CACHED") or " extracting sha256:" in line}
    steps = {line.split()[0] for line in lines if "] RUN " in line or "] COPY " in line}
    return len(steps - cached)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ipcsd", type=Path, default=Path("build/bin/ipcsd"))
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("overlayfs is mounted and containers run: run it as root")
    for snapshotter in ("overlayfs", "native"):
        start = time.monotonic()
        with Lab(arguments.ipcsd.absolute(), _VERSION) as lab:
            same_images(lab, snapshotter)
        print(f"ok   the same images with {snapshotter} ({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"FAIL {failure}")
