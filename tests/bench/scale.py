"""Stores of a few and of many blobs: whether the calls that containerd makes under its own locks get slower."""

import json
from pathlib import Path

from lab.kubo import Kubo
from lab.process import Failure, command_in_background

_CALLS = ["info", "open", "commit", "delete"]  # medians in ms; each at most _MORE times that of the small store
_WALKS = ["list", "audit"]  # seconds; in proportion to the blobs
_MORE = 1.5


def run(ipcsd: Path, programs: Path, directory: Path, counts, say):
    """Measures local and ipfs-http with each of the numbers of blobs, each store on a Kubo of its own; returns
    backend → call → number → value."""
    kubos = []
    try:
        configs = []
        for count in counts:
            kubos.append(Kubo(directory / f"kubo-{count}"))
            configs.append(directory / f"scale-{count}.toml")
            configs[-1].write_text(f'version = 1\n[plugins.ipfs-http]\napi = "{kubos[-1].api}"\n')
        child = command_in_background([programs / "bench", "--ipcsd", ipcsd, "--ipcsctl", ipcsd.parent / "ipcsctl",
                                       "--directory", directory,
                                       "--kubo-configs", ",".join(str(config) for config in configs),
                                       "--scale", ",".join(str(count) for count in counts)])
        found, said = {}, []
        for line in child.stdout:
            if line.startswith("{"):
                sample = json.loads(line)
                call, count = sample["metric"].rsplit("_", 1)
                found.setdefault(sample["side"], {}).setdefault(call, {})[int(count)] = sample["value"]
                say(f"{sample['side']} {call} {count} {sample['value']:.3f}")
            else:
                said.append(line)
        if child.wait() != 0:
            raise Failure(f"bench ended with {child.returncode}\n{''.join(said)}")
        return found
    finally:
        for kubo in kubos:
            kubo.process.stop()


def table(found, counts):
    """Lines for people, with the ratio of the last number to the first."""
    few, many = counts[0], counts[-1]
    lines = [f"{'backend':<10} {'call':<8} {few:>9} {many:>9}  ratio"]
    for backend, calls in found.items():
        for call in [call for call in _CALLS + _WALKS if call in calls]:
            before, after = calls[call][few], calls[call][many]
            ratio = after / before if before else 0
            target = _MORE if call in _CALLS else _MORE * many / few
            lines.append(f"{backend:<10} {call:<8} {before:>9.3f} {after:>9.3f}  {ratio:.2f}"
                         f"{'' if ratio <= target else f'  (target: at most {target:g})'}")
    return "\n".join(lines + ["ms, medians of 300 calls; list and audit in seconds, whole"])
