#!/usr/bin/env python3
"""Runs examples/quickstart.sh as a newcomer does, and checks that it shows what it promises and leaves nothing behind."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

from lab.process import processes_naming  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "quickstart.sh"


def fail(message, output=""):
    sys.exit(f"{message}\n{output}")


def check_run(limit=500):
    """One whole run, of at most so many seconds."""
    with tempfile.TemporaryDirectory(prefix="ipcs-qs-") as directory:
        start = time.monotonic()
        done = subprocess.run([SCRIPT], env={**os.environ, "TMPDIR": directory}, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500)
        print(done.stdout)
        if done.returncode != 0:
            fail(f"exit code {done.returncode}")
        for wanted in ("Hello from a container whose image lies in ipcsd.", "BusyBox v", "/local/blobs/sha256/"):
            if wanted not in done.stdout:
                fail(f"\"{wanted}\" is missing from the output")
        if left := list(Path(directory).iterdir()):
            fail(f"left behind: {left}")
        if directory in Path("/proc/self/mountinfo").read_text():
            fail("something is still mounted")
        if left := processes_naming(directory):
            fail(f"processes still run: {left}")
        took = time.monotonic() - start
        print(f"took {took:.1f} s")
        if took > limit:
            fail(f"took {took:.1f} s, more than {limit}")


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
