#!/usr/bin/env python3
"""Measures ipcsd against containerd 2.4.2's own content store, both through containerd's own proxy client, and ipcsd's backend
ipfs-http against Kubo's own RPC, side by side in one run, and prints medians and their ratios. The README tells what each line means."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
_TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TESTS / "e2e"))

import pull  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import unpack  # noqa: E402
from lab import kubo  # noqa: E402
from lab.process import Failure, command, command_in_background  # noqa: E402

_STORE = ["read_32k", "read_1m", "write_1g", "commit_1", "commit_16", "memory_idle", "memory_load"]
_ON_KUBO = ["kubo_write", "kubo_read", "kubo_read_32k", "kubo_commit"]
_ENOUGH = 9
_ENOUGH_PULLS = 5


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ipcsd", type=Path, default=_TESTS.parent / "build/bin/ipcsd",
                        help="default: build/bin/ipcsd")
    parser.add_argument("--rounds", type=int, help=f"samples of each side; default {_ENOUGH}, of pulls {_ENOUGH_PULLS}")
    parser.add_argument("--only", action="append", choices=[*_STORE, "pull", "unpack", *_ON_KUBO, "compare"], help="may be repeated")
    parser.add_argument("--pull", action="store_true", help="measure pull and unpack too: needs root, some minutes")
    parser.add_argument("--unpack", action="store_true", help="measure pulls that ipcsd unpacks: needs root, some minutes")
    parser.add_argument("--scale", nargs="?", const="500,20000", metavar="FEW,MANY",
                        help="instead: stores of FEW and of MANY blobs, local and on a Kubo; default 500,20000")
    parser.add_argument("--kubo", action="store_true", help="measure ipfs-http on a Kubo: some minutes")
    parser.add_argument("--directory", type=Path, help="where the stores lie; default: the cache")
    parser.add_argument("--json", type=Path, help="where the JSON goes; default: last.json in the cache; -: stdout, "
                                                  "and the table to stderr")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if not arguments.ipcsd.exists():
        parser.error(f"--ipcsd: {arguments.ipcsd} does not exist")
    return arguments


def build(cache):
    """Builds the Go programs; returns the directory with them."""
    go = command([_TESTS / "go.sh"]).stdout.strip()
    environment = {**os.environ, "PATH": f"{go}:{os.environ['PATH']}", "GOTOOLCHAIN": "local",
                   "GOFLAGS": "-mod=readonly -buildvcs=false"}
    out = cache / "bin"
    out.mkdir(exist_ok=True)
    command([Path(go) / "go", "build", "-C", _TESTS / "peers", "-o", out, "./cmd/bench", "./cmd/reference-store"],
            environment, 900)
    return out


def store_samples(ipcsd, programs, directory, rounds, names):
    """Yields (metric, side, round, value) as cmd/bench prints them."""
    child = command_in_background([programs / "bench", "--ipcsd", ipcsd, "--reference", programs / "reference-store",
                                   "--directory", directory, "--rounds", rounds, "--only", ",".join(names),
                                   *(["--kubo", kubo.program()] if set(names) & set(_ON_KUBO) else [])])
    said = []
    for line in child.stdout:
        if line.startswith("{"):
            sample = json.loads(line)
            yield sample["metric"], sample["side"], sample["round"], sample["value"]
        else:
            said.append(line)
    if child.wait() != 0:
        raise Failure(f"bench ended with {child.returncode}\n{''.join(said)}")


def processor_times():
    """All and stolen processor time since the machine's start, in ticks."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[7]


def measure(arguments, cache, directory):
    """Returns metric → side → values by round."""
    names = arguments.only or _STORE + ["pull"] * arguments.pull + ["unpack"] * arguments.unpack + [*_ON_KUBO, "compare"] * arguments.kubo
    ipcsd = arguments.ipcsd.absolute()
    found = {}

    def keep(metric, side, round_, value):
        print(f"{round_ + 1} {metric} {side} {value:.2f}", file=sys.stderr, flush=True)
        found.setdefault(metric, {}).setdefault(side, []).append(value)

    if stores := [name for name in _STORE + _ON_KUBO if name in names]:
        for sample in store_samples(ipcsd, build(cache), directory, arguments.rounds or _ENOUGH, stores):
            keep(*sample)
    tempfile.tempdir = str(directory)  # where labs make their directories
    for name, samples in (("pull", pull.samples), ("unpack", unpack.samples)):
        if name in names or getattr(arguments, name):
            for sample in samples(ipcsd, cache, arguments.rounds or _ENOUGH_PULLS):
                keep(*sample)
    if "compare" in names:
        for round_, seconds in pull.compares(ipcsd, cache, arguments.rounds or _ENOUGH_PULLS):
            keep("compare", "ipfs-http", round_, seconds)
    return found


def machine(directory):
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown")
    return {"cpus": os.cpu_count(), "model": model, "kernel": os.uname().release, "load_before": os.getloadavg()[0],
            "file_system": command(["df", "--output=fstype", directory]).stdout.split()[-1]}


def main():
    arguments = parse()
    wants_pull = arguments.pull or arguments.unpack or {"pull", "unpack"} & set(arguments.only or [])
    if wants_pull and os.geteuid() != 0:
        sys.exit("pull and unpack mount overlayfs: run it as root")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipcs" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="r", dir=arguments.directory or cache) as directory:
        about = machine(directory)
        if about["file_system"] == "tmpfs":
            sys.exit(f"{directory} is on a tmpfs, where nothing is durable; name another with --directory")
        if arguments.scale:
            counts = [int(count) for count in arguments.scale.split(",")]
            found = scale.run(arguments.ipcsd.absolute(), build(cache), Path(directory), counts,
                              lambda line: print(line, file=sys.stderr, flush=True))
            print(scale.table(found, counts))
            if arguments.json:
                document = json.dumps({"machine": about, "scale": found}, indent=2)
                print(document) if arguments.json == Path("-") else arguments.json.write_text(document + "\n")
            return
        ticks, stolen = processor_times()
        found = report.summary(measure(arguments, cache, Path(directory)))
        ticks_after, stolen_after = processor_times()
    about["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
    rounds = {name: len(line["samples"]) for name, line in found.items()}
    preliminary = any(count < (_ENOUGH_PULLS if name.startswith(("pull", "unpack", "compare")) else _ENOUGH)
                      for name, count in rounds.items())
    document = json.dumps({"ipcsd": command([arguments.ipcsd, "--version"]).stdout.strip(), "containerd": "2.4.2",
                           "machine": about, "preliminary": preliminary, "metrics": found}, indent=2)

    to_stdout = arguments.json == Path("-")
    out = sys.stderr if to_stdout else sys.stdout
    print(report.table(found), file=out)
    print(f"medians of {min(rounds.values())} or more rounds{', preliminary: too few' if preliminary else ''}; "
          f"{about['cpus']} CPUs, {about['model']}, {about['file_system']}; load before {about['load_before']:.1f}, "
          f"{about['stolen_percent']:.0f} % of the time stolen", file=out)
    if about["load_before"] > about["cpus"] / 2:
        print("the machine was busy with other work: absolute figures are too low", file=out)
    if to_stdout:
        print(document)
    else:
        target = arguments.json or cache / "last.json"
        target.write_text(document + "\n")
        print(f"all samples: {target}", file=out)


if __name__ == "__main__":
    try:
        main()
    except (Failure, subprocess.CalledProcessError) as failure:
        sys.exit(f"bench.py: {failure}")
