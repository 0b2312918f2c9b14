#!/usr/bin/env python3
"""What an update of a Debian image moves when its layer was cut by `--chunker tar`: two versions of a large and a small image are made
from packages of which Debian has an older version (the release) and a newer one (its security and updates), and given to tar_bench."""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_TOP = Path(__file__).resolve().parents[2]
# What is asked for, how many packages of what that brings along are taken, how many of these are updated.
_IMAGES = {
    "small": (["?essential", "apt"], 88, 6),
    "large": (["?essential", "apt", "gcc", "g++", "git", "python3", "python3-scipy", "openjdk-17-jre-headless",
               "postgresql-15", "curl", "perl", "cmake"], 206, 23),
}
_LEFT_OUT = re.compile(r"\./usr/share/(doc|man|locale|info|lintian)/.")  # as in slim images
_GOALS = {"small": 18, "large": 8}  # percent of the gzip size


def _packages(directory, wanted):
    """{name: (older, newer)}, dependencies first; an equal version where there is one only."""
    status = directory / "status"
    status.touch()
    shown = subprocess.run(["apt-get", "-qq", "-s", "-o", f"Dir::State::status={status}", "-o", "APT::Install-Recommends=0",
                            "install", *wanted], capture_output=True, text=True, check=True).stdout
    names = [line.split()[1] for line in shown.splitlines() if line.startswith("Inst ")]
    madison = subprocess.run(["apt-cache", "madison", *names], capture_output=True, text=True, check=True).stdout
    versions = {}
    for line in madison.splitlines():
        name, version, archive = (part.strip() for part in line.split("|"))
        if not archive.endswith("Packages"):
            continue
        found = versions.setdefault(name, [])
        if version not in found:
            found.append(version)  # the newest comes first
    return {name: (versions[name][-1], versions[name][0]) for name in names}


def _fetch(directory, name, version):
    path = directory / f"{name}={version.replace(':', '%3a')}.deb"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=directory) as place:
            subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", f"{name}={version}"], cwd=place,
                           check=True, stdout=sys.stderr)
            next(Path(place).glob("*.deb")).rename(path)
    return path


def _make_tar(path, packages):
    """The files of `packages` sorted by their paths, as a container build reads a tree; with a directory's time from whoever had it last."""
    entries = {}
    with tempfile.TemporaryFile() as data, tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as layer:
        for package in packages:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpack:
                with tarfile.open(fileobj=unpack.stdout, mode="r|") as files:
                    for entry in files:
                        if _LEFT_OUT.match(entry.name):
                            continue
                        begin = data.seek(0, os.SEEK_END)
                        if entry.isreg():
                            data.write(files.extractfile(entry).read())
                        entries[entry.name] = (entry, begin)
                unpack.stdout.read()
            if unpack.returncode != 0:
                sys.exit(f"dpkg-deb --fsys-tarfile {package}: exit code {unpack.returncode}")
        for _, (entry, begin) in sorted(entries.items()):
            data.seek(begin)
            layer.addfile(entry, data if entry.isreg() else None)


def make(cache, name):
    """The older and the newer tar, and a line that says what they are."""
    wanted, count, updates = _IMAGES[name]
    directory = cache / "update"
    directory.mkdir(parents=True, exist_ok=True)
    packages = dict(list(_packages(directory, wanted).items())[:count])
    candidates = sorted(p for p, (older, newer) in packages.items() if older != newer)
    updated = [candidates[i * len(candidates) // updates] for i in range(min(updates, len(candidates)))]  # spread evenly
    text = f"{name}: {len(updated)} of {len(packages)} packages updated"
    if len(packages) != count or len(updated) != updates:
        sys.exit(f"{text}; wanted {updates} of {count}: apt's lists have changed, or lack bookworm-security")
    key = hashlib.sha256(repr((packages, updated)).encode()).hexdigest()[:12]
    tars = [directory / f"{name}-{key}-{i}.tar" for i in range(2)]
    if not all(tar.exists() for tar in tars):
        for i, tar in enumerate(tars):
            part = tar.with_suffix(".part")
            _make_tar(part, [_fetch(directory, p, versions[i if p in updated else 0]) for p, versions in packages.items()])
            part.rename(tar)
    return tars, f"{text} ({' '.join(updated)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="small, large; default: both")
    parser.add_argument("--program", type=Path, default=_TOP / "build/bin/tar_bench", help="default: build/bin/tar_bench")
    parser.add_argument("--setting", action="append", default=[],
                        help="measure other sizes than the chunker's, as tar_bench's usage says; may be repeated")
    parser.add_argument("--make-only", action="store_true", help="print the tars")
    arguments = parser.parse_args()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipcs" / "bench"
    for name in arguments.images or _IMAGES:
        if name not in _IMAGES:
            parser.error(f"{name}: there are {', '.join(_IMAGES)}")
        tars, text = make(cache, name)
        print(text, flush=True)
        if arguments.make_only:
            print(*tars, flush=True)
        else:
            subprocess.run([arguments.program, *tars, str(_GOALS[name]), *arguments.setting], check=True)


if __name__ == "__main__":
    main()
