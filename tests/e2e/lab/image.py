"""Small OCI images made from the machine's busybox-static, the same bytes in every run."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Image:
    """An image's blobs by digest, the manifest apart; or those of an index, whose bytes are in the manifest's place."""

    manifest: bytes
    blobs: dict = field(default_factory=dict)  # of config and layers
    layers: list = field(default_factory=list)  # digests
    config: str = ""  # digest
    manifests: dict = field(default_factory=dict)  # of an index: digest → bytes

    @property
    def media_type(self):
        return INDEX if self.manifests else MANIFEST

    @property
    def digest(self):
        return digest_of(self.manifest)

    @property
    def digests(self):
        return {self.digest, *self.blobs, *self.manifests}


def _tar(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _zstd(data):
    """A frame of zstd that stores the bytes as they are."""
    blocks = [data[at:at + (1 << 17)] for at in range(0, len(data), 1 << 17)]
    heads = [(len(block) << 3 | (i == len(blocks) - 1)).to_bytes(3, "little") for i, block in enumerate(blocks)]
    return (bytes.fromhex("28b52ffde0") + len(data).to_bytes(8, "little")
            + b"".join(head + block for head, block in zip(heads, blocks)))


def _gzip(data):
    return gzip.compress(data, 1, mtime=0)


# Of a layer: what the manifest calls it, and its bytes from those of its archive.
KINDS = {"gzip": (LAYER, _gzip),
         "zstd": ("application/vnd.oci.image.layer.v1.tar+zstd", _zstd),
         "plain": ("application/vnd.oci.image.layer.v1.tar", bytes),
         "docker": ("application/vnd.docker.image.rootfs.diff.tar.gzip", _gzip),
         "foreign": ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", _gzip)}


def make(text, extra_layers=(), command=None, architecture="amd64", layer_type=LAYER, diff_ids=None, without=(), kinds=()):
    """An image whose container prints `text` and the checksums of its extra files, or runs `command`. Each number in
    `extra_layers` is the size in bytes of a further layer's file of random bytes, which depend on the size and its
    place alone, and in the last layer those in `without` are removed. `layer_type`: what the manifest calls the
    layers; `kinds`: the extra layers' kinds, where they are not all gzip; `diff_ids`: what the config claims, given what is
    right."""
    files = [(d, None) for d in ("bin", "dev", "etc", "proc", "sys", "tmp")]
    files += [("bin/busybox", BUSYBOX.read_bytes()), ("bin/sh", "busybox")]
    tars = [_tar(files)]
    for place, size in enumerate(extra_layers):
        tars.append(_tar([("data", None), (f"data/{place}", random.Random(f"{place} {size}").randbytes(size))]))
    if without:
        tars.append(_tar([(f"data/.wh.{place}", b"") for place in without]))
    types = [KINDS[kind] if kind else (layer_type, _gzip) for kind in [None, *kinds, *[None] * len(tars)][:len(tars)]]
    layers = [pack(tar) for tar, (_, pack) in zip(tars, types)]
    script = f"echo {text}; for f in /data/*; do if [ -f $f ]; then busybox sha256sum $f; fi; done"
    config = json.dumps({
        "architecture": architecture, "os": "linux",
        "config": {"Cmd": command or ["/bin/sh", "-c", script], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": (diff_ids or list)([digest_of(tar) for tar in tars])}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": t, "digest": digest_of(l), "size": len(l)} for l, (t, _) in zip(layers, types)]}).encode()
    image = Image(manifest, {digest_of(b): b for b in (config, *layers)}, [digest_of(l) for l in layers],
                  digest_of(config))
    return image


def index(parts):
    """An index of images: platform ("linux/amd64") → Image."""
    entries = []
    for platform, part in parts.items():
        system, architecture = platform.split("/")
        entries.append({"mediaType": MANIFEST, "digest": part.digest, "size": len(part.manifest),
                        "platform": {"os": system, "architecture": architecture}})
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    blobs = {digest: data for part in parts.values() for digest, data in part.blobs.items()}
    return Image(text, blobs, manifests={part.digest: part.manifest for part in parts.values()})


def expected_output(text, extra_layers=(), without=()):
    """What a container of make(text, extra_layers, without=without) prints."""
    lines = [text]
    for place, size in enumerate(extra_layers):
        if place in without:
            continue
        data = random.Random(f"{place} {size}").randbytes(size)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  /data/{place}")
    return "\n".join(lines) + "\n"
