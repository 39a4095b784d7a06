"""Plots as SVG text, drawn by matplotlib: lines, stacked bars, differences from a middle line."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RULE = "#d8dee4"
_INK = "#1f2328"
_BETTER, _WORSE = "#1a7f37", "#d1242f"
_COLOURS = (
    "#d1242f", "#0969da", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#0a7ea4", "#57606a",
    "#bc4c00", "#4d2d00", "#f0883e", "#3fb950", "#6cb6ff", "#d2a8ff", "#ff9bce", "#b0a000",
)  # fmt: skip
_MARKERS = "os^DvPX*<>"
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "sedic",  # the same numbers give the same file
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 8.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _RULE,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _RULE,
    "axes.axisbelow": True,
}
_LETTERS = 36  # of a name beside a bar
_INCHES = 4.6  # width of a line plot
_WIDE_INCHES = 5.6  # and of one with bars


@dataclass(frozen=True)
class Style:
    """How a curve is told from the others, in every plot of a report."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Line:
    """A curve of (x, y) points; ``ours`` is thick, ``dashed`` was published by others."""

    name: str
    points: Sequence[tuple[float, float]]
    style: Style
    ours: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Bar:
    """A horizontal bar of one or more parts, each with its length; ``note`` stands at its end."""

    name: str
    parts: Sequence[float]
    note: str = ""


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for every name: no two are alike among 160."""
    return {
        name: Style(_COLOURS[i % len(_COLOURS)], _MARKERS[i // len(_COLOURS) % len(_MARKERS)])
        for i, name in enumerate(dict.fromkeys(names))
    }


def lines(title: str, x_label: str, curves: Sequence[Line]) -> str:
    """A line plot with its legend below; points that are not finite are left out."""
    points_of_curves = [(curve, _finite(curve.points)) for curve in curves]
    points_of_curves = [(curve, points) for curve, points in points_of_curves if points]
    columns = 1 if all(curve.dashed for curve, _ in points_of_curves) else 2
    rows = math.ceil(len(points_of_curves) / columns)
    with _plot(title, _INCHES, 2.9 + 0.15 * rows) as plot:
        figure, axes = plot.figure, plot.axes
        axes.set_xlabel(x_label)
        axes.grid(True)
        for curve, points in points_of_curves:
            name = _short(curve.name, (50 if curve.dashed else 64) // columns)
            axes.plot(
                *zip(*points, strict=True),
                label=f"{name}, as published" if curve.dashed else name,
                color=curve.style.colour,
                marker=curve.style.marker,
                linestyle="--" if curve.dashed else "-",
                linewidth=2.4 if curve.ours else 1.3,
                markersize=5 if curve.ours else 3.5,
                zorder=4 if curve.ours else 2 if curve.dashed else 3,
            )
        if points_of_curves:
            legend = {"ncols": columns, "frameon": False, "fontsize": 7}
            figure.legend(loc="outside lower left", **legend)
        else:
            axes.text(0.5, 0.5, "nothing to draw", ha="center", transform=axes.transAxes)
    return plot.svg


def bars(title: str, parts: Sequence[str], rows: Sequence[Bar]) -> str:
    """Horizontal bars, their parts coloured as the legend ``parts`` says (none for one part)."""
    with _plot(title, _WIDE_INCHES, 0.75 + 0.2 * len(rows)) as plot:
        axes = plot.axes
        for number in range(max((len(row.parts) for row in rows), default=0)):
            lengths = [_length(row.parts, number) for row in rows]
            starts = [sum(_length(row.parts, i) for i in range(number)) for row in rows]
            axes.barh(
                range(len(rows)),
                lengths,
                left=starts,
                height=0.75,
                color=_COLOURS[number % len(_COLOURS)],
                label=parts[number] if number < len(parts) else None,
            )
        totals = [sum(_length(row.parts, i) for i in range(len(row.parts))) for row in rows]
        for place, (row, total) in enumerate(zip(rows, totals, strict=True)):
            axes.annotate(row.note, (total, place), (4, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, 1.15 * (max(totals, default=0) or 1))
        _names_at_left(axes, rows)
        if len(parts) > 1 and rows:
            plot.figure.legend(loc="outside lower left", ncols=len(parts), frameon=False)
    return plot.svg


def differences(title: str, rows: Sequence[Bar]) -> str:
    """Bars to the left (worse, below 0) and right (better) of a line, one part each.

    The scale is that of the second largest, so that one outlier does not flatten the rest; what is
    longer is cut off and ends in its note.
    """
    lengths = [row.parts[0] if math.isfinite(row.parts[0]) else 0.0 for row in rows]
    sizes = sorted(map(abs, lengths))
    scale = (sizes[-2] if len(sizes) > 1 else 0) or max(sizes, default=0) or 1
    lengths_shown = [max(-1.0, min(1.0, length / scale)) for length in lengths]
    with _plot(title, _WIDE_INCHES, 0.55 + 0.2 * len(rows)) as plot:
        axes = plot.axes
        colours = [_BETTER if length > 0 else _WORSE for length in lengths_shown]
        blocks = axes.barh(range(len(rows)), lengths_shown, height=0.75, color=colours)
        for place, (row, length, block) in enumerate(zip(rows, lengths_shown, blocks, strict=True)):
            block.set_gid(f"bar{place}")
            side = 1 if length >= 0 else -1
            axes.annotate(
                row.note,
                (length, place),
                (4 * side, 0),
                textcoords="offset points",
                va="center",
                ha="left" if side > 0 else "right",
            )
        axes.axvline(0, color=_INK, linewidth=0.8)
        axes.set_xlim(-1.6, 1.6)
        _names_at_left(axes, rows)
    return plot.svg


@dataclass
class _Plot:
    """A figure with one pair of axes, and its SVG once it is finished."""

    figure: Figure
    axes: Axes
    svg: str = ""


@contextmanager
def _plot(title: str, width: float, height: float) -> Iterator[_Plot]:
    """A plot to draw on, of so many inches; rendered at the end."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.simplefilter("ignore")  # of letters that the font has not; browsers have others
        figure: Any = Figure(figsize=(width, height), layout="constrained")
        plot = _Plot(figure, figure.add_subplot())
        figure.suptitle(title, fontweight="bold", fontsize=9)
        yield plot
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    plot.svg = text[text.index("<svg") :]


def _names_at_left(axes: Axes, rows: Sequence[Bar]) -> None:
    axes.set_yticks(range(len(rows)), [_short(row.name, _LETTERS) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(length=0, labelbottom=False)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point in points if all(map(math.isfinite, point))]


def _length(parts: Sequence[float], number: int) -> float:
    if number >= len(parts) or not math.isfinite(parts[number]):
        return 0.0
    return max(0.0, parts[number])


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
