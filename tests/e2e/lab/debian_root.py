"""A minimal Debian tree to install packages in, made once a month and kept as a tarball in the cache."""

import datetime
import hashlib
import os
import platform
import subprocess
from pathlib import Path

from .process import Failure, Process, command, unmount_below

# What a running system writes into by itself, so that it says nothing about a package.
_NOT_COMPARED = ("proc", "run", "tmp", "var/cache", "var/lib/dpkg", "var/lib/systemd", "var/log")


def _sources(release):
    """Debian's own archives as the machine's apt has them: [(address, suite)]."""
    shown = command(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)",
                     "Created-By: Packages"]).stdout
    found = []
    for line in shown.splitlines():
        address, suite, component, origin = line.split(" ", 3)
        known = origin == "Debian" or origin.startswith("$")  # apt knows origins once it has fetched the lists
        wanted = suite in (release, f"{release}-updates", f"{release}-security")
        if known and wanted and component == "main" and (address, suite) not in found:
            found.append((address, suite))
    if not any(suite == release for _, suite in found):
        raise Failure(f"apt has no archive of Debian's {release}:\n{shown}")
    return found


def base(packages):
    """The tarball of a tree that has Debian's essential packages, `packages` and what these depend on."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipcs" / "debian"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    tarball = cache / f"{release}-{datetime.date.today():%Y-%m}-{key}.tar"
    if not tarball.exists():
        made = tarball.with_suffix(f".{os.getpid()}.part")
        archives = [f"deb {address} {suite} main" for address, suite in _sources(release)]
        try:
            command(["mmdebstrap", "--quiet", "--mode=root", "--format=tar", "--variant=essential",
                     f"--include={','.join(sorted(packages))}", release, made, *archives], seconds=400)
            made.rename(tarball)
        finally:
            made.unlink(missing_ok=True)
        for old in set(cache.glob("*.tar")) - {tarball}:
            old.unlink()
    return tarball


class DebianRoot:
    """The tree of base(packages) in `directory`, with /proc. close() unmounts it."""

    def __init__(self, directory: Path, packages):
        directory.mkdir()
        self.directory = directory
        command(["tar", "-C", directory, "-xf", base(packages)])
        command(["mount", "-t", "proc", "proc", directory / "proc"])
        self._environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                             "DEBIAN_FRONTEND": "noninteractive"}

    def close(self):
        unmount_below(self.directory)

    def path(self, inside):
        return self.directory / inside.lstrip("/")

    def run(self, *arguments, **options):
        return command(["chroot", self.directory, *arguments], self._environment, **options)

    def get(self, *arguments):
        """Standard output as bytes."""
        done = subprocess.run(["chroot", str(self.directory), *arguments], env=self._environment, capture_output=True,
                              timeout=120)
        if done.returncode != 0:
            raise Failure(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return done.stdout

    def start(self, name, arguments, log, **environment):
        return Process(name, ["chroot", self.directory, *arguments], log, {**self._environment, **environment})

    def files(self):
        """Every path in the tree, apart from what the running system writes."""
        found = set()
        for folder, folders, names in os.walk(self.directory):
            inside = os.path.relpath(folder, self.directory)
            folders[:] = [f for f in folders if os.path.normpath(os.path.join(inside, f)) not in _NOT_COMPARED]
            found.update(os.path.normpath(os.path.join(inside, name)) for name in folders + names)
        return found
