#!/usr/bin/env python3
"""An unprivileged user's containerd on the same user's ipcsd: rootless.py BUILD [CONTAINERD-VERSION].

Makes a user with a range of subordinate ids, installs the build where that user can read it, and does as
examples/rootless/README.md says. The user and all of its files and processes are gone at the end.
"""

import json
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab import image  # noqa: E402
from lab.containerd import DEBIAN, binaries  # noqa: E402
from lab.process import Failure, Process, command, wait_for  # noqa: E402
from lab.registry import Registry  # noqa: E402


def expect_equal(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: got\n{got}\ninstead of\n{wanted}")


class User:
    """A user of the test's own, with a home, a runtime directory and subordinate ids. close() removes it all."""

    def __init__(self, directory: Path, path):
        self.name = f"ipcs-e2e-{os.getpid()}"
        self.home = directory / "home"
        command(["useradd", "--create-home", "--home-dir", self.home, "--shell", "/bin/sh", self.name])
        self.uid = pwd.getpwnam(self.name).pw_uid
        self.runtime = Path(f"/run/user/{self.uid}")
        self.runtime.mkdir(mode=0o700, parents=True)
        os.chown(self.runtime, self.uid, self.uid)
        self._environment = {"HOME": str(self.home), "USER": self.name, "XDG_RUNTIME_DIR": str(self.runtime), "PATH": path}

    def check_ids(self):
        for table in ("/etc/subuid", "/etc/subgid"):
            if f"{self.name}:" not in Path(table).read_text():
                raise Failure(f"useradd gave no range in {table}; see SUB_UID_COUNT in /etc/login.defs")

    def _as_user(self, arguments):
        return ["setpriv", "--reuid", self.name, "--regid", self.name, "--init-groups", "--pdeathsig", "KILL", *arguments]

    def run(self, *arguments, **options):
        return command(self._as_user(arguments), self._environment, **options)

    def start(self, name, arguments, log, **variables):
        return Process(name, self._as_user(arguments), log, {**self._environment, **variables})

    def processes(self):
        """Pids of all that run as the user or as one of its subordinate ids, which lie in no other user's range."""
        ranges = [(self.uid, 1)]
        for line in Path("/etc/subuid").read_text().splitlines():
            name, first, count = line.split(":")
            if name == self.name:
                ranges.append((int(first), int(count)))
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                owner, state = entry.stat().st_uid, (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(first <= owner < first + count for first, count in ranges):
                found.append(int(entry.name))
        return found

    def close(self):
        """Returns the command lines of processes that were still there."""
        left = []
        for pid in self.processes():
            try:
                left.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                os.kill(pid, signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass
        wait_for("the user's processes to end", lambda: not self.processes())
        shutil.rmtree(self.runtime)
        command(["userdel", self.name])
        return left


class Setting:
    """The user's ipcsd and containerd, by the commands of examples/rootless/README.md."""

    def __init__(self, user, directory, scripts):
        self.user, self._directory, self._scripts = user, directory, scripts
        self.sockets = [user.runtime / "ipcs" / name for name in ("ipcs.sock", "control.sock")]
        self.blobs = user.home / ".local/share/ipcs/local/blobs/sha256"
        self.running = []

    def start_ipcsd(self):
        daemon = self.user.start("ipcsd", ["ipcsd"], self._directory / "ipcsd.log")
        self.running.append(daemon)
        wait_for("ipcsd", lambda: self.user.run("ipcsctl", "status", check=False).returncode == 0, alive=daemon)
        return daemon

    def start_containerd(self, log="containerd.log", **variables):
        daemon = self.user.start("containerd", [self._scripts / "containerd.sh"], self._directory / log, **variables)
        self.running.append(daemon)
        wait_for("containerd", lambda: self.ctr("version", check=False).returncode == 0, alive=daemon)
        return daemon

    def check_refused(self):
        """Without an ipcsd to serve it containerd is not started: one line says what to do."""
        done = self.user.run(self._scripts / "containerd.sh", check=False)
        expect_equal("containerd.sh without ipcsd", (done.returncode, done.stderr.count("\n")), (1, 1))

    def stop(self):
        while self.running:
            self.running.pop().stop()

    def ctr(self, *arguments, **options):
        return self.user.run(self._scripts / "enter.sh", "ctr", *arguments, **options)

    def blob_files(self):
        return {f"sha256:{path.name}" for path in self.blobs.iterdir()} if self.blobs.exists() else set()


def check_pull_and_run(setting, registry):
    """Everything lies where XDG has it, belongs to the user, and a container prints what its image says."""
    user = setting.user
    config = user.home / ".config/ipcs/config.toml"
    user.run("mkdir", "-p", config.parent)
    config.write_text(user.run("ipcsd", "config", "default").stdout.replace('format = "text"', 'format = "json"'))
    user.run("ipcsd", "config", "check", config)
    setting.check_refused()
    ipcsd = setting.start_ipcsd()
    try:
        json.loads(ipcsd.tail().splitlines()[0])
    except (ValueError, IndexError):
        raise Failure(f"{config} was not read: the log is not JSON:\n{ipcsd.tail()}") from None
    for path in setting.sockets:
        found = path.stat()
        expect_equal(f"mode and owner of {path}", (oct(stat.S_IMODE(found.st_mode)), found.st_uid), (oct(0o600), user.uid))
    setting.start_containerd()

    layers = (2_000_000, 1000)
    made = image.make("rootless", layers)
    reference = registry.push("rootless:1", made)
    setting.ctr("images", "pull", "--plain-http", "--snapshotter", "overlayfs", reference)
    expect_equal("blobs on disk", setting.blob_files(), made.digests)
    expect_equal("their owners", {path.stat().st_uid for path in setting.blobs.iterdir()}, {user.uid})
    ran = setting.ctr("run", "--rm", "--snapshotter", "overlayfs", "--cgroup", "", "--cpu-shares", "0", reference, "hello")
    expect_equal("output of the container", ran.stdout, image.expected_output("rootless", layers))
    listed = user.run("ipcsctl", "--format", "json", "content", "ls").stdout
    if missing := [digest for digest in made.digests if digest not in listed]:
        raise Failure(f"ipcsctl content ls does not list {missing}")

    # A new ipcsd is found at the old place, from within containerd's own /run.
    setting.running.remove(ipcsd)
    ipcsd.stop()
    setting.start_ipcsd()
    wait_for("containerd to find the new ipcsd",
             lambda: setting.ctr("content", "get", made.digest, check=False).stdout == made.manifest.decode())
    setting.ctr("images", "rm", "--sync", reference)
    wait_for("the bytes to be freed", lambda: not setting.blob_files())


def check_unpacking(setting, registry):
    """An ipcsd in containerd's namespaces unpacks, whiteouts included, and a container runs; it ends with containerd."""
    user, layers = setting.user, (1_000_000, 1000, 2000)
    made = image.make("unpacked", layers, without=(1,))
    reference = registry.push("unpacked:1", made)
    containerd = setting.start_containerd("unpacking.log", IPCS_UNPACK="1")
    setting.ctr("images", "pull", "--plain-http", "--snapshotter", "overlayfs", reference)
    ran = setting.ctr("run", "--rm", "--snapshotter", "overlayfs", "--cgroup", "", "--cpu-shares", "0", reference, "hello")
    expect_equal("output of the container", ran.stdout, image.expected_output("unpacked", layers, without=(1,)))
    unpacking = json.loads(user.run("ipcsctl", "--format", "json", "status").stdout)["unpacking"]
    expect_equal("layers that ipcsd applied", (unpacking["applied"], unpacking["failed"]), (len(made.layers), 0))
    expect_equal("blobs on disk", setting.blob_files(), made.digests)
    setting.running.remove(containerd)
    containerd.stop()
    wait_for("ipcsd to end with containerd", lambda: user.run("ipcsctl", "status", check=False).returncode != 0)


def install(build, version, directory):
    """Puts the programs where an ordinary user can read them; returns the user's PATH."""
    command(["cmake", "--install", build, "--prefix", directory / "usr", "--component", "daemon"])
    path = f"{directory}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if version != DEBIAN:
        shutil.copytree(binaries(version), directory / "containerd")
        path = f"{directory}/containerd:{path}"
    return path


def check(build, version, directory):
    user = User(directory, install(build, version, directory))
    setting = Setting(user, directory, directory / "usr/share/doc/ipcs/examples/rootless")
    registry = None
    try:
        user.check_ids()
        registry = Registry(directory / "registry")
        check_pull_and_run(setting, registry)
        setting.stop()
        if version != DEBIAN:  # 1.6 has no differs from outside
            check_unpacking(setting, registry)
    except Failure:
        for log in directory.glob("*.log"):
            print(f"--- {log.name} ---", *log.read_text(errors="replace").splitlines()[-30:], sep="\n")
        raise
    finally:
        if registry:
            registry.process.stop()
        left = user.close()
    if left:
        raise Failure(f"still running: {left}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    version = (sys.argv[2:] or [DEBIAN])[0]
    if os.geteuid() != 0:
        sys.exit("a user is made for the test: run it as root")
    os.umask(0o022)
    start = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="ipcs-rootless-", dir="/var/tmp"))  # the user must be able to get there
    directory.chmod(0o755)
    try:
        check(Path(sys.argv[1]).absolute(), version, directory)
    except Failure as failure:
        sys.exit(f"FAIL on containerd {version}: {failure}")
    finally:
        shutil.rmtree(directory)
    print(f"ok on containerd {version} ({time.monotonic() - start:.1f} s)")


if __name__ == "__main__":
    main()
