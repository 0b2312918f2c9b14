"""Cgroups of a test, in whichever hierarchies the machine has."""

import os
import signal
from pathlib import Path

from .process import Failure, wait_for

_ROOT = Path("/sys/fs/cgroup")


def _below(name):
    """Every cgroup `name` (directly below the root of a hierarchy) and what is below it, the deepest first."""
    tops = [_ROOT / name, *(hierarchy / name for hierarchy in _ROOT.iterdir() if hierarchy.is_dir())]
    return [Path(path) for top in tops for path, _, _ in os.walk(top, topdown=False)]


def _members(groups):
    found = set()
    for group in groups:
        try:
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
        except OSError:
            pass
    return found


def remove_cgroup(name):
    """Kills what is still in a cgroup and removes it; returns the pids that were in it. Fails when it cannot be
    removed."""
    groups = _below(name)
    left = _members(groups)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(f"the processes in cgroup {name} to end", lambda: not _members(groups))
    for group in groups:
        try:
            group.rmdir()
        except FileNotFoundError:
            pass
        except OSError as problem:
            raise Failure(f"cgroup {group} could not be removed: {problem}") from None
    return left
