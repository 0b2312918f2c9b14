#!/usr/bin/env python3
"""Runs end-to-end cases: run.py --ipcsd build/bin/ipcsd [--containerd VERSION] [CASE…], all of them without CASE."""

import argparse
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import backend_cases  # noqa: E402
import cases  # noqa: E402
import cri_cases  # noqa: E402
import diff_cases  # noqa: E402
import image_cases  # noqa: E402
import restart_cases  # noqa: E402
from lab.containerd import DEBIAN  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.process import Failure  # noqa: E402

_MODULES = [cases, restart_cases, backend_cases, cri_cases, image_cases, diff_cases]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ipcsd", type=Path, default=Path("build/bin/ipcsd"))
    parser.add_argument("--containerd", default=DEBIAN, metavar="VERSION")
    parser.add_argument("--registered", action="store_true", help="only check that CASE… are all the cases there are")
    parser.add_argument("case", nargs="*")
    arguments = parser.parse_args()

    known = {case.__name__: case for module in _MODULES for case in module.CASES}
    if arguments.registered:
        if set(arguments.case) != set(known):
            sys.exit(f"registered with ctest, but no case, or the reverse: {set(arguments.case) ^ set(known)}")
        return
    if unknown := set(arguments.case) - set(known):
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if os.geteuid() != 0:
        sys.exit("the end-to-end tests mount overlayfs and run containers: run them as root")

    failed = []
    for name in arguments.case or known:
        start = time.monotonic()
        try:
            with Lab(arguments.ipcsd.absolute(), arguments.containerd) as lab:
                known[name](lab)
            print(f"ok   {name} on containerd {arguments.containerd} ({time.monotonic() - start:.1f} s)", flush=True)
        except Failure as failure:
            failed.append(name)
            print(f"FAIL {name} on containerd {arguments.containerd}: {failure}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
