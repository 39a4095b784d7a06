"""The tables of a report, from its summary."""

from __future__ import annotations

import math
from functools import partial

from sedic.lab.bench.published import published
from sedic.lab.bench.report.page import Block, Bullets, Cell, Folded, Note, Table
from sedic.lab.bench.report.summary import Mean, Summary, merit

NONE = "–"  # in place of a number


def bd_rates(summary: Summary) -> list[Block]:
    """Our bytes over those of every other curve at equal quality."""
    rivals = [name for name in summary.families if name != summary.subject]
    metrics = [metric for metric in summary.metrics if summary.bd.get(metric)]
    if not rivals or not metrics:
        return []
    reasons: dict[str, str] = {}

    def cell(rival: str, metric: str) -> Cell:
        rate = summary.bd[metric][rival]
        if isinstance(rate, str):
            reasons[f"{rival}, {metric}"] = rate
            return Cell(NONE)
        return Cell(f"{round(rate):+d} %", best=round(rate) < 0)

    rows: list[list[str | Cell]] = [
        [rival, *(cell(rival, metric) for metric in metrics)] for rival in rivals
    ]
    note = f"Below zero we need less; {NONE} where the curves do not overlap or turn back."
    blocks: list[Block] = [Note(note), Table(["against", *metrics], rows)]
    if reasons:
        blocks.append(Folded(f"why {NONE}", [Bullets([f"{k}: {v}" for k, v in reasons.items()])]))
    return blocks


def at_point(summary: Summary, point: str) -> Block:
    """All codecs at one limit, each metric at its best size."""
    winners = {}
    for metric, better in summary.metrics.items():
        values = [b.value for c in summary.curves[metric].values() for b in c if b.point == point]
        if values:
            winners[metric] = max(values, key=partial(merit, better=better))
    rows: list[list[str | Cell]] = []
    for family, sizes in summary.sizes.items():
        means = [m for codec in sizes if (m := summary.mean(codec, point)) is not None]
        rates = sorted(mean.means["bpp"] for mean in means)
        row: list[str | Cell] = [
            family,
            " to ".join(dict.fromkeys(f"{r:.4f}" for r in rates[:1] + rates[-1:])),
        ]
        for metric in summary.metrics:
            best = next((b for b in summary.curves[metric][family] if b.point == point), None)
            if best is None:
                pictures = max((mean.pictures for mean in means), default=0)
                row.append(Cell(NONE, f"{pictures} of {len(summary.pictures)} pictures"))
                continue
            size = best.codec.removeprefix(family).strip()
            row.append(Cell(number(best.value), size, best=best.value == winners[metric]))
        rows.append(row)
    table = Table(["codec", "bpp", *summary.metrics], rows)
    return Folded(f"at most {point} bits per pixel", [table], unfolded=True)


def all_cells(summary: Summary) -> list[Block]:
    """Every cell of ours, in the order of the run; beside them what the paper published."""
    settings = summary.facts["settings"]
    paper = {point.codec: point for point in published(str(settings["dataset"]))}
    matching: dict[str, str] = settings.get("published", {}) if paper else {}
    head = ["variant", "pictures", "bytes", "bpp", "J", *summary.metrics, "decode s"]
    head += ["paper: bpp", "LPIPS", "DISTS"] if matching else []
    steps = len(summary.points) > 1
    rows: list[list[str | Cell]] = []
    for mean in summary.means:
        row: list[str | Cell] = [f"{mean.codec}: {mean.point}" if steps else mean.codec]
        row.append(f"{mean.pictures} of {len(summary.pictures)}")
        for name, digits in (("bytes", 0), ("bpp", 4), ("objects", 2)):
            row.append(f"{mean.means[name]:.{digits}f}")
        row += [_with_spread(mean, metric) for metric in summary.metrics]
        row.append(number(mean.means["decode s"]) if "decode s" in mean.means else "")
        if matching:
            point = paper.get(matching.get(mean.codec, ""))
            values = [point.bpp, point.values["LPIPS"], point.values["DISTS"]] if point else []
            row += [f"{value:.4f}" for value in values] or ["", "", ""]
        rows.append(row)
    note = "± is the standard deviation between pictures. The first file's seconds include loading."
    return [Table(head, rows), Note(note)]


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}" if math.isfinite(value) else "∞"


def _with_spread(mean: Mean, metric: str) -> Cell:
    if metric not in mean.means:
        return Cell(NONE)
    spread = f"± {mean.spread[metric]:.2g}" if metric in mean.spread else ""
    return Cell(number(mean.means[metric]), spread)
