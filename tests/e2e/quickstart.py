#!/usr/bin/env python3
"""Runs examples/quickstart.sh as a newcomer does, and checks that it shows what it promises and leaves nothing behind."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab import image  # noqa: E402
from lab.process import processes_naming  # noqa: E402
from lab.registry import Registry, free_port  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "quickstart.sh"


def fail(message, output=""):
    sys.exit(f"{message}\n{output}")


def run(arguments=(), **environment):
    """One run, after which nothing may be left, however it ended. Returns subprocess.CompletedProcess."""
    with tempfile.TemporaryDirectory(prefix="ipcs-qs-") as directory:
        done = subprocess.run([SCRIPT, *arguments], env={**os.environ, "TMPDIR": directory, **environment}, stdin=subprocess.DEVNULL,
                              text=True, capture_output=True, timeout=500)
        print(done.stdout + done.stderr)
        if left := list(Path(directory).iterdir()):
            fail(f"left behind: {left}")
        if directory in Path("/proc/self/mountinfo").read_text():
            fail("something is still mounted")
        if left := processes_naming(directory):
            fail(f"processes still run: {left}")
    return done


def check_run(limit=500, arguments=(), output=("Hello from a container whose image lies in ipcsd.", "BusyBox v")):
    """One whole run, of at most so many seconds, in which a container prints these."""
    start = time.monotonic()
    done = run(arguments)
    if done.returncode != 0:
        fail(f"exit code {done.returncode}")
    for wanted in (*output, "location:", "/local/blobs/sha256/"):
        if wanted not in done.stdout:
            fail(f"\"{wanted}\" is missing from the output")
    took = time.monotonic() - start
    print(f"took {took:.1f} s")
    if took > limit:
        fail(f"took {took:.1f} s, more than {limit}")


def check_refused(name, *words, arguments=None, **environment):
    """A name that can't be pulled gets one line, which says which and why; other `arguments` one with `name` in it."""
    done = run(arguments or [name], **environment)
    if done.returncode == 0 or done.stderr.count("\n") != 1 or not done.stderr.startswith("quickstart: "):
        fail(f"{name}: exit code {done.returncode}, not one line")
    for word in (name, *words):
        if word not in done.stderr:
            fail(f"{name}: \"{word}\" is missing from the line")


def check_named_image():
    """An image of somebody's registry on loopback, with its own command and with another, and names that are none."""
    with tempfile.TemporaryDirectory(prefix="ipcs-qs-registry-") as directory:
        registry = Registry(Path(directory) / "registry")
        try:
            text = "An image by its name."
            name = registry.push("some/name:tag-1", image.make(text))
            check_run(60, [name], [f"pull {name}", text])
            check_run(60, [name, "/bin/sh", "-c", "echo six times seven is $((6 * 7))"], ["six times seven is 42"])
            check_refused(f"{registry.host}/some/name:other", "not found")
        finally:
            registry.process.stop()
    check_refused(f"127.0.0.1:{free_port()}/some/name:tag-1", "connection refused")
    for name in ("", "Some/Name", "127.0.0.1:5000/some/name:", "a name"):
        check_refused(name, "no name of an image")


def check_containerd2():
    """A containerd 2 for which ipcsd unpacks: where there is none, one line says how to get one."""
    with tempfile.TemporaryDirectory(prefix="ipcs-qs-cache-") as empty:
        check_refused("no containerd 2 in PATH", f"{empty}/ipcs/peers/2.4.2", "tests/install.sh",
                      arguments=["--containerd", "2"], XDG_CACHE_HOME=empty)
    check_refused("--containerd 3", "Debian's", arguments=["--containerd", "3"])
    check_run(60, ["--containerd", "2"], ["Hello from a container whose image lies in ipcsd.", "BusyBox v", "ipcs-diff",
                                          "1 applied, 0 failed, 0 running"])


def check_unprivileged():
    """Somebody who is not root gets one line that says what to do. The script comes through stdin, since the checkout
    may be closed to others."""
    with open(SCRIPT) as script:
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-s"], stdin=script,
                              capture_output=True, text=True, timeout=60, cwd="/tmp")
    if done.returncode != 1 or done.stdout or done.stderr.count("\n") != 1 or "root" not in done.stderr:
        fail(f"as an ordinary user: exit code {done.returncode}", done.stdout + done.stderr)


if __name__ == "__main__":
    check_unprivileged()
    check_run()
    check_run(60)  # nothing is left to install or build
    check_named_image()
    check_containerd2()
