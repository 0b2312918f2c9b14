"""A container image of some 294 MB (compressed) in seven layers, made from Debian packages and kept in a cache."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

from lab.image import CONFIG, LAYER, MANIFEST, Image, digest_of

# One list a layer. Few large files and many small ones, text and programs: what images are made of.
_LAYERS = [
    ["libc6", "bash", "coreutils", "perl-base", "perl-modules-5.36", "libpython3.11-stdlib", "python3.11-minimal",
     "git"],
    ["cmake", "cmake-data", "gdb"],
    ["gcc-12", "cpp-12"],
    ["libllvm14", "llvm-14"],
    ["openjdk-17-jre-headless"],
    ["python3-numpy", "python3-scipy"],
    ["postgresql-15", "libboost1.74-dev"],
]


def load(cache: Path):
    """Returns the image; makes it with packages downloaded by apt-get where `cache` does not have it."""
    directory = cache / "image-1"
    if not (directory / "manifest.json").exists():
        _make(cache, directory)
    blobs = (path.read_bytes() for path in (directory / "blobs").iterdir())
    return Image((directory / "manifest.json").read_bytes(), {digest_of(data): data for data in blobs})


def with_other_layer(image):
    """The image with its last layer compressed anew: other bytes."""
    manifest = json.loads(image.manifest)
    last = manifest["layers"][-1]
    data = gzip.compress(gzip.decompress(image.blobs[last["digest"]]), 1, mtime=0)
    manifest["layers"][-1] = {**last, "digest": digest_of(data), "size": len(data)}
    kept = {digest: blob for digest, blob in image.blobs.items() if digest != last["digest"]}
    return Image(json.dumps(manifest).encode(), {**kept, digest_of(data): data})


def of_tars(layers):
    """An image of these layers, gzip files."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]}, "rootfs": {
        "type": "layers", "diff_ids": [digest_of(gzip.decompress(layer)) for layer in layers]}}).encode()
    described = [{"mediaType": kind, "digest": digest_of(data), "size": len(data)}
                 for kind, data in [(CONFIG, config), *((LAYER, layer) for layer in layers)]]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}).encode()
    return Image(manifest, {digest_of(data): data for data in (config, *layers)})


def joined(image, places):
    """An image of one layer that holds those layers of `image` one behind the other."""
    layers = json.loads(image.manifest)["layers"]
    tars = [gzip.decompress(image.blobs[layers[place]["digest"]]) for place in places]
    # The zeros at the end of a tar would end the whole.
    parts = [tar[:-(-len(tar.rstrip(b"\0")) // 512) * 512] for tar in tars[:-1]] + tars[-1:]
    return of_tars([gzip.compress(b"".join(parts), 6, mtime=0)])


def _make(cache, directory):
    packages, blobs = cache / "packages", directory / "blobs"
    for path in (packages, blobs):
        path.mkdir(parents=True, exist_ok=True)
    print("making the image from Debian packages (once)", file=sys.stderr, flush=True)
    names = [name for layer in _LAYERS for name in layer]
    subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *names], cwd=packages, check=True,
                   stdout=sys.stderr)
    diff_ids, layers = [], []
    for layer in _LAYERS:
        tar = _tar([_package_file(packages, name) for name in layer])
        data = gzip.compress(tar, 6, mtime=0)
        diff_ids.append(digest_of(tar))
        layers.append(_store(blobs, LAYER, data))
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
                         "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": _store(blobs, CONFIG, config),
                           "layers": layers}).encode()
    (directory / "manifest.json").write_bytes(manifest)  # last: with it the image is whole
    for path in packages.iterdir():
        path.unlink()


def _package_file(packages, name):
    found = list(packages.glob(f"{name}_*.deb"))
    if len(found) != 1:
        sys.exit(f"apt-get download {name}: {len(found)} files in {packages}")
    return found[0]


def _store(blobs, kind, data):
    digest = digest_of(data)
    (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _tar(packages):
    """One uncompressed layer with the files of `packages`; a directory that several have occurs once."""
    buffer, directories = io.BytesIO(), set()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for package in packages:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpack:
                with tarfile.open(fileobj=unpack.stdout, mode="r|") as files:
                    for entry in files:
                        if entry.isdir():
                            if entry.name in directories:
                                continue
                            directories.add(entry.name)
                        layer.addfile(entry, files.extractfile(entry) if entry.isreg() else None)
                unpack.stdout.read()
            if unpack.returncode != 0:
                sys.exit(f"dpkg-deb --fsys-tarfile {package}: exit code {unpack.returncode}")
    return buffer.getvalue()
