"""What is measured and what is aimed at; medians, ratios and their spread as a table and as JSON."""

import statistics
from dataclasses import dataclass

SIDES = ("ipcsd", "containerd")
_ON_KUBO = ("ipfs-http", "kubo", "add", "local")  # ipcsd on a Kubo, that Kubo's own RPC, and what stands beside them


@dataclass(frozen=True)
class Metric:
    """One line of the table. `target` bounds the ratio of the first two sides or, where `absolute`, the first side's own
    median; it is a lower bound where more is better, else an upper one. None: the figure is for information."""

    name: str
    title: str
    unit: str
    more_is_better: bool
    target: float | None
    absolute: bool = False
    sides: tuple = SIDES


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
    Metric("unpack_large", "pull, ipcsd unpacks: 293 MB, 7 layers", "s", False, 0.75),
    Metric("unpack_large_cpu", "  CPU of all processes", "s", False, 0.7),
    Metric("unpack_large_memory", "  RSS above idle", "MiB", False, 64, True, ("ipcsd",)),
    Metric("unpack_four", "  with max_concurrent_unpacks = 4", "s", False, None),
    Metric("unpack_four_cpu", "  CPU of all processes", "s", False, None),
    Metric("unpack_four_memory", "  RSS above idle", "MiB", False, None, True, ("ipcsd",)),
    Metric("unpack_small", "pull, ipcsd unpacks: 29 MB, 1 layer", "s", False, 0.65),
    Metric("unpack_small_cpu", "  CPU of all processes", "s", False, None),
    Metric("unpack_small_memory", "  RSS above idle", "MiB", False, 64, True, ("ipcsd",)),
    Metric("unpack_layer", "a layer of 119 MB, unpacked", "s", False, 0.5),
    Metric("kubo_write", "write of 300 MiB : dag/import", "s", False, 1.15, sides=_ON_KUBO),
    Metric("kubo_write_cpu", "  CPU of ipcsd", "s", False, None, sides=_ON_KUBO),
    Metric("kubo_write_kubo_cpu", "  CPU of Kubo", "s", False, None, sides=_ON_KUBO),
    Metric("kubo_write_client_cpu", "  CPU of the client", "s", False, None, sides=_ON_KUBO),
    Metric("kubo_read", "read of 300 MiB : cat", "MiB/s", True, 1.0, sides=("ipfs-http", "kubo", "local")),
    Metric("kubo_read_cpu", "  CPU of ipcsd", "s", False, None, sides=("ipfs-http", "kubo", "local")),
    Metric("kubo_read_kubo_cpu", "  CPU of Kubo", "s", False, None, sides=("ipfs-http", "kubo", "local")),
    Metric("kubo_read_client_cpu", "  CPU of the client", "s", False, None, sides=("ipfs-http", "kubo", "local")),
    Metric("kubo_read_32k", "reads of 32 KiB", "MB/s", True, 50, True, ("ipfs-http", "local")),
    Metric("kubo_commit", "COMMIT of 1 GiB, after the last WRITE", "ms", False, 300, True, ("ipfs-http", "local")),
    Metric("compare", "compare of two images of 300 MB", "s", False, 10, True, ("ipfs-http",)),
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
        medians = {side: statistics.median(sides[side]) for side in metric.sides}
        first = metric.sides[0]
        second = metric.sides[1] if len(metric.sides) > 1 and medians[metric.sides[1]] > 0 else first
        ratio = medians[first] / medians[second] if medians[second] > 0 else 0
        judged = medians[first] if metric.absolute else ratio
        found[metric.name] = {
            "title": metric.title.strip(), "unit": metric.unit,
            **{side: {"median": medians[side], "quartiles": _spread(sides[side]), "samples": sides[side]}
               for side in metric.sides},
            "samples": sides[first],
            "ratio": ratio,
            "ratio_quartiles": _spread([a / b if b > 0 else 0 for a, b in zip(sides[first], sides[second], strict=True)]),
            "target": metric.target, "target_is": "absolute" if metric.absolute else "ratio",
            "more_is_better": metric.more_is_better,
            "met": metric.target is None or
                   (judged >= metric.target if metric.more_is_better else judged <= metric.target),
        }
    return found


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _with_spread(side):
    first, third = side["quartiles"]
    if side["median"] == 0:
        return "–"
    return f"{_number(side['median'])} ±{100 * (third - first) / 2 / side['median']:.0f}%"


def table(found):
    """The summary for people, one table for each set of sides. ± is half the distance between the quartiles."""
    tables = []
    for columns in (SIDES, _ON_KUBO):
        if rows := [_row(metric, found[metric.name], columns) for metric in METRICS
                    if metric.name in found and set(metric.sides) <= set(columns)]:
            rows.insert(0, ("", "unit", *columns, "ratio", "(quartiles)", "target", ""))
            widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
            tables.append("\n".join("  ".join(cell.ljust(width) if at < 2 else cell.rjust(width)
                                              for at, (cell, width) in enumerate(zip(row, widths))).rstrip()
                                    for row in rows))
    return "\n\n".join(tables)


def _row(metric, line, columns):
    first, third = line["ratio_quartiles"]
    unit = f" {metric.unit}" if metric.absolute else "×"
    target = "" if metric.target is None else f"{'≥' if metric.more_is_better else '≤'} {metric.target:g}{unit}"
    shares_kind = len(metric.sides) > 1 and line[metric.sides[1]]["median"] > 0
    return (metric.title, metric.unit, *(_with_spread(line[side]) if side in line else "" for side in columns),
            f"{line['ratio']:.2f}×" if shares_kind else "", f"({first:.2f}–{third:.2f})" if shares_kind else "", target,
            "" if metric.target is None else "met" if line["met"] else "MISSED")
