#!/usr/bin/env python3
"""Makes the Debian packages of a build and lives through one's life in a minimal Debian tree: package.py BUILD.

Installed without anything but what it depends on, the daemon starts from its default configuration, tells the service
manager so, stores and gives back bytes and stops; removed and purged, it leaves the stored bytes and nothing else.
"""

import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab.debian_root import DebianRoot  # noqa: E402
from lab.process import Failure, command  # noqa: E402

WANTED_BY = ("etc/systemd/system/multi-user.target.wants/ipcsd.service",
             "etc/systemd/system/containerd.service.wants/ipcsd.service")


# A service with any of these does not see what containerd mounts.
MOUNTS_OF_ITS_OWN = {"PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectSystem", "ProtectHome", "ProtectProc",
                     "ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"}
WORKER = "/usr/libexec/ipcs/ipcs-unpack"
EXAMPLES = "/usr/share/doc/ipcs/examples"


def expect_equal(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: got\n{got}\ninstead of\n{wanted}")


def make_packages(build, directory):
    """Packs the build, under a mask that must not show; returns the two files, ipcs and ipcs-dev."""
    mask = os.umask(0o077)
    command(["cpack", "--config", build / "CPackConfig.cmake", "-B", directory])
    os.umask(mask)
    found = {path.name.split("_")[0]: path for path in directory.glob("*.deb")}
    expect_equal("packages", set(found), {"ipcs", "ipcs-dev"})
    for package in found.values():
        listed = command(["dpkg-deb", "--contents", package]).stdout.splitlines()
        closed = [line for line in listed if not re.match(r"(drwxr-xr-x|-rw[x-]r-[x-]r-[x-]) root/root ", line)]
        expect_equal(f"what not everybody may read in {package.name}", closed, [])
    return found["ipcs"], found["ipcs-dev"]


def dependencies(package):
    shown = command(["dpkg-deb", "--field", package, "Depends"]).stdout
    return [re.match(r"[a-z0-9.+-]+", part.strip())[0] for part in shown.split(",")]


def check_programs(root):
    for file in ("/usr/bin/ipcsd", "/usr/bin/ipcsctl", WORKER, "/usr/lib/ipcs/plugins/local.so"):
        sections = command(["readelf", "--sections", "--wide", root.path(file)]).stdout
        if ".symtab" in sections or ".debug_info" in sections:
            raise Failure(f"{file} is not stripped")
    worker = root.run(WORKER, check=False)  # its libraries are there
    expect_equal("ipcs-unpack by hand", (worker.returncode, worker.stderr),
                 (2, "ipcs-unpack: a part of ipcsd, which starts it\n"))
    version = root.run("ipcsd", "--version").stdout.split()[-1]
    if version not in root.run("ipcsctl", "version", check=False).stdout:  # no daemon runs yet, so it says half of it
        raise Failure(f"ipcsctl is not of version {version}")
    root.run("ipcsd", "config", "check", "/etc/ipcs/config.toml")
    expect_equal("/etc/ipcs/config.toml (examples/config.toml is what `ipcsd config default` of /usr/bin/ipcsd prints)",
                 root.path("/etc/ipcs/config.toml").read_text(), root.run("ipcsd", "config", "default").stdout)
    for shell in ("bash-completion/completions/ipcsctl", "zsh/vendor-completions/_ipcsctl",
                  "fish/vendor_completions.d/ipcsctl.fish"):
        if "ipcsctl" not in root.path(f"/usr/share/{shell}").read_text():
            raise Failure(f"no completions in /usr/share/{shell}")


def check_unit(root):
    """systemd itself finds nothing to say about the unit, its command included, alone and with the drop-in for [diff]."""
    units, drop_in = root.path("/run/systemd/system"), root.path("/etc/systemd/system/ipcsd.service.d")
    shutil.copytree("/lib/systemd/system", units, symlinks=True)  # the units that ours names
    try:
        verify(root)
        drop_in.mkdir()
        shutil.copy(root.path(f"{EXAMPLES}/systemd/diff.conf"), drop_in)
        verify(root)
    finally:
        shutil.rmtree(units)  # where it exists, systemd runs
        shutil.rmtree(drop_in, ignore_errors=True)
    check_drop_in(root)


def verify(root):
    done = command(["systemd-analyze", "verify", "--man=no", f"--root={root.directory}", "ipcsd.service"], check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "ipcsd" in line or "diff.conf" in line]
    expect_equal("systemd-analyze verify", (said, done.returncode), ([], 0))


def settings(path):
    """name → value of a unit file's settings."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))


def system_calls(group):
    """The names in a group of systemd's."""
    found = set()
    for line in command(["systemd-analyze", "syscall-filter", group]).stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= system_calls(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def check_drop_in(root):
    """With the drop-in the unit has the machine's own mounts, and the system calls that a worker needs."""
    unit = settings(root.path("/usr/lib/systemd/system/ipcsd.service"))
    unit.update(settings(root.path(f"{EXAMPLES}/systemd/diff.conf")))
    own = [name for name, value in unit.items()
           if name in MOUNTS_OF_ITS_OWN and value != "no" or name.endswith("Paths") or name == "TemporaryFileSystem"]
    expect_equal("what gives the unit mounts of its own", own, [])
    source = (Path(__file__).resolve().parents[2] / "host/diff/confinement.cpp").read_text()
    wanted = set(re.findall(r"\bSYS_([a-z]\w+)", source)) | {"execve", "memfd_create", "mount", "sched_setscheduler", "unshare"}
    allowed = system_calls("@system-service") | system_calls("@mount")
    expect_equal("the unit's system calls", unit["SystemCallFilter"], "@mount")
    expect_equal("system calls of a worker that the unit refuses", wanted - allowed, set())


class ServiceManager:
    """What systemd is to a service of Type=notify: a datagram socket in the tree, at /run/notify."""

    def __init__(self, root):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(30)
        # By way of the descriptor, since the tree's own path may be too long for a socket's.
        folder = os.open(root.path("/run"), os.O_PATH | os.O_DIRECTORY)
        self._socket.bind(f"/proc/self/fd/{folder}/notify")
        os.close(folder)

    def expect(self, state):
        try:
            lines = self._socket.recv(4096).decode().split("\n")
        except TimeoutError:
            raise Failure(f"the daemon has not said {state}") from None
        if state not in lines:
            raise Failure(f"the daemon said {lines} instead of {state}")


def check_daemon(root, log):
    """Started as the unit starts it, with the folders that the unit asks for. Returns the digest of what it stores."""
    for folder, mode in (("/run/ipcs", 0o755), ("/var/lib/ipcs", 0o700)):
        root.path(folder).mkdir(mode=mode)
    manager = ServiceManager(root)
    daemon = root.start("ipcsd", ["/usr/bin/ipcsd", "--diff-address", "/run/ipcs/diff.sock"], log, NOTIFY_SOCKET="/run/notify")
    try:
        manager.expect("READY=1")
        data = random.Random("package").randbytes(3_000_001)
        root.path("/tmp/data").write_bytes(data)
        digest = "sha256:" + command(["sha256sum", root.path("/tmp/data")]).stdout.split()[0]
        with open(root.path("/tmp/data"), "rb") as source:
            root.run("ipcsctl", "content", "ingest", "--expected-digest", digest, "a-ref", stdin=source.read())
        if root.get("ipcsctl", "content", "get", digest) != data:
            raise Failure("ipcsctl content get gave other bytes")
        if "local" not in root.run("ipcsctl", "status").stdout:
            raise Failure("the backend is not local")
        if "0 applied, 0 failed, 0 running, on /run/ipcs/diff.sock" not in root.run("ipcsctl", "status").stdout:
            raise Failure("it does not unpack")
        expect_equal("mode of the socket for layers", oct(root.path("/run/ipcs/diff.sock").stat().st_mode & 0o777), "0o600")
    except Failure as failure:
        raise Failure(f"{failure}\n{daemon.tail()}") from None
    finally:
        code = daemon.stop(signal.SIGTERM)
    manager.expect("STOPPING=1")
    expect_equal("exit code", code, 0)
    root.path("/tmp/data").unlink()
    return digest


def check_end(root, before, digest):
    """A new installation keeps an edited configuration, so does a removal; a purge takes it, and leaves the blobs."""
    config = root.path("/etc/ipcs/config.toml")
    config.write_text(edited := config.read_text() + "# edited\n")
    root.run("dpkg", "--install", "/tmp/ipcs.deb")
    expect_equal("configuration after an upgrade", config.read_text(), edited)
    root.run("dpkg", "--remove", "ipcs")
    expect_equal("configuration after a removal", config.read_text(), edited)
    if root.path("/usr/bin/ipcsd").exists():
        raise Failure("/usr/bin/ipcsd is still there")
    purge = root.run("dpkg", "--purge", "ipcs")
    if "/var/lib/ipcs" not in purge.stderr or not root.path(f"/var/lib/ipcs/local/blobs/sha256/{digest[7:]}").exists():
        raise Failure(f"the stored bytes are gone, or nobody was told that they stay: {purge.stderr}")
    shutil.rmtree(root.path("/var/lib/ipcs"))
    expect_equal("files left behind", root.files() ^ before, set())


def check_life(build, directory):
    package, development = make_packages(build, directory / "packages")
    root = DebianRoot(directory / "root", dependencies(package))
    try:
        before = root.files()
        shutil.copy(package, root.path("/tmp/ipcs.deb"))
        shutil.copy(development, root.path("/tmp/ipcs-dev.deb"))
        root.run("dpkg", "--install", "/tmp/ipcs.deb", "/tmp/ipcs-dev.deb")
        expect_equal("dpkg --verify", root.run("dpkg", "--verify", "ipcs", "ipcs-dev").stdout, "")
        for link in WANTED_BY:
            if not root.path(link).is_symlink():
                raise Failure(f"the unit is not enabled: no /{link}")
        if not root.path("/usr/share/cmake/ipcs/ipcsConfig.cmake").exists():
            raise Failure("ipcs-dev has no package for CMake")
        root.run("dpkg", "--purge", "ipcs-dev")
        check_programs(root)
        check_unit(root)
        digest = check_daemon(root, directory / "log")
        check_end(root, before, digest)
    finally:
        root.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("packages are installed in a tree of their own: run it as root")
    os.umask(0o022)
    start = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="ipcs-deb-"))
    try:
        check_life(Path(sys.argv[1]).absolute(), directory)
    except Failure as failure:
        sys.exit(f"FAIL {failure}")
    finally:
        shutil.rmtree(directory)
    print(f"ok ({time.monotonic() - start:.1f} s)")


if __name__ == "__main__":
    main()
