"""What is measured and what is aimed at; medians, ratios and their spread as a table and as JSON."""

import statistics
from dataclasses import dataclass

SIDES = ("ipcsd", "containerd")


@dataclass(frozen=True)
class Metric:
    """One line of the table. `target` bounds the ratio ipcsd : containerd or, where `absolute`, ipcsd's own median; it
    is a lower bound where more is better, else an upper one."""

    name: str
    title: str
    unit: str
    more_is_better: bool
    target: float | None
    absolute: bool = False


METRICS = [
    Metric("read_32k", "reads of 32 KiB", "MiB/s", True, 1.5),
    Metric("read_32k_cpu", "  server CPU", "ms/MiB", False, 0.5),
    Metric("read_1m", "reads of 1 MiB", "MiB/s", True, 1.2),
    Metric("read_1m_cpu", "  server CPU", "ms/MiB", False, 0.5),
    Metric("write_1g", "write of 1 GiB with commit", "MiB/s", True, 1.4),
    Metric("commit_1", "blobs of 4 KiB, 1 writer", "1/s", True, 3.0),
    Metric("commit_16", "blobs of 4 KiB, 16 writers", "1/s", True, 2.5),
    Metric("memory_idle", "RSS idle", "MiB", False, 20, True),
    Metric("memory_load_peak", "RSS at 16 readers + 16 writers, peak", "MiB", False, 64, True),
    Metric("memory_load_steady", "  steady", "MiB", False, 64, True),
    Metric("pull", "pull and unpack of the image", "s", False, 1.4),
]


def _spread(values):
    """The first and the third quartile."""
    if len(values) < 2:
        return (values[0], values[0])
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return (first, third)


def summary(samples):
    """samples: metric → side → values by round. Returns metric → medians, quartiles, ratio and whether the target is
    met. The ratio is that of the medians; its spread that of the ratios of each round."""
    found = {}
    for metric in METRICS:
        if metric.name not in samples:
            continue
        sides = samples[metric.name]
        medians = {side: statistics.median(sides[side]) for side in SIDES}
        ratio = medians["ipcsd"] / medians["containerd"]
        judged = medians["ipcsd"] if metric.absolute else ratio
        found[metric.name] = {
            "title": metric.title.strip(), "unit": metric.unit,
            **{side: {"median": medians[side], "quartiles": _spread(sides[side]), "samples": sides[side]}
               for side in SIDES},
            "ratio": ratio,
            "ratio_quartiles": _spread([a / b for a, b in zip(sides["ipcsd"], sides["containerd"], strict=True)]),
            "target": metric.target, "target_is": "absolute" if metric.absolute else "ratio",
            "more_is_better": metric.more_is_better,
            "met": judged >= metric.target if metric.more_is_better else judged <= metric.target,
        }
    return found


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _with_spread(side):
    first, third = side["quartiles"]
    return f"{_number(side['median'])} ±{100 * (third - first) / 2 / side['median']:.0f}%"


def table(found):
    """The summary for people. ± is half the distance between the quartiles."""
    rows = [("", "unit", "ipcsd", "containerd", "ratio", "(quartiles)", "target", "")]
    for metric in METRICS:
        if metric.name not in found:
            continue
        line = found[metric.name]
        first, third = line["ratio_quartiles"]
        target = f"{'≥' if metric.more_is_better else '≤'} {metric.target:g}{' MiB' if metric.absolute else '×'}"
        rows.append((metric.title, metric.unit, _with_spread(line["ipcsd"]), _with_spread(line["containerd"]),
                     f"{line['ratio']:.2f}×", f"({first:.2f}–{third:.2f})", target, "met" if line["met"] else "MISSED"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if at < 2 else cell.rjust(width)
                               for at, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)
