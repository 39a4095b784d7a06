"""Plots as SVG: lines and stacked bars, nothing more. All text is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = (
    "#d1242f", "#0969da", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#0a7ea4", "#57606a",
    "#bc4c00", "#4d2d00", "#f0883e", "#3fb950", "#6cb6ff", "#d2a8ff",
)  # fmt: skip
_FONT = 'font-family="system-ui,sans-serif" font-size="12"'
WIDTH = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 34, 40
_PLOT = 230  # height of the plot itself
_LINE = 17  # of the legend
_WIDE = 560  # plots of bars, with names that take
_NAMES = 236
_LETTERS = 36


@dataclass(frozen=True)
class Line:
    """A curve of (x, y) points; ``ours`` is thick, ``dashed`` was published by others."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    ours: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Bar:
    """A horizontal bar of one or more parts, each with its length; ``note`` stands at its end."""

    name: str
    parts: Sequence[float]
    note: str = ""


def lines(title: str, x_label: str, curves: Sequence[Line]) -> str:
    """A line plot with its legend below; axes span the points."""
    curves = [curve for curve in curves if curve.points]
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points if math.isfinite(y)]
    if not xs or not ys:
        return _svg(60, [_text(WIDTH / 2, 34, f"{title}: nothing to draw", "middle")])
    x_low, x_high, x_ticks = _axis(min(xs), max(xs))
    y_low, y_high, y_ticks = _axis(min(ys), max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT)
        return _LEFT + across, _TOP + _PLOT - (y - y_low) / (y_high - y_low) * _PLOT

    out = [_text(WIDTH / 2, 20, title, "middle", bold=True)]
    for tick in y_ticks:
        _, y = at(x_low, tick)
        out.append(_rule(_LEFT, y, WIDTH - _RIGHT, y))
        out.append(_text(_LEFT - 6, y + 4, f"{tick:.6g}", "end"))
    for tick in x_ticks:
        x, _ = at(tick, y_low)
        out.append(_rule(x, _TOP, x, _TOP + _PLOT))
        out.append(_text(x, _TOP + _PLOT + 16, f"{tick:.6g}", "middle"))
    out.append(_text(WIDTH / 2, _TOP + _PLOT + 33, x_label, "middle"))
    for curve in sorted(curves, key=lambda curve: (curve.ours, not curve.dashed)):
        out.append(_curve(curve, [at(x, y) for x, y in curve.points if math.isfinite(y)]))
    top = _TOP + _PLOT + _BOTTOM + 12
    columns = 1 if any(curve.dashed for curve in curves) else 2
    for i, curve in enumerate(curves):
        x = 16 + i % columns * (WIDTH / 2 - 10)
        y = top + i // columns * _LINE
        sample = Line("", [], curve.colour, curve.ours, curve.dashed)
        out.append(_curve(sample, [(x, y - 4), (x + 22, y - 4)]))
        name = curve.name + (", as published" if curve.dashed else "")
        out.append(_text(x + 28, y, _short(name, 60 // columns)))
    return _svg(top + -(-len(curves) // columns) * _LINE, out)


def bars(title: str, parts: Sequence[str], rows: Sequence[Bar]) -> str:
    """Horizontal bars, their parts coloured as the legend ``parts`` says (none for one part)."""
    longest = max((sum(row.parts) for row in rows), default=0) or 1
    out = [_text(_WIDE / 2, 20, title, "middle", bold=True)]
    y = 36
    if len(parts) > 1:
        x = 10.0
        for name, colour in zip(parts, COLOURS, strict=False):
            out.append(_block(x, y - 9, 10, 10, colour))
            out.append(_text(x + 14, y, name))
            x += 26 + 7 * len(name)
        y += 14
    for row in rows:
        out.append(_text(_NAMES - 6, y + 12, _short(row.name, _LETTERS), "end"))
        x = float(_NAMES)
        for length, colour in zip(row.parts, COLOURS, strict=False):
            width = max(0.0, length) / longest * (_WIDE - _NAMES - 70)
            out.append(_block(x, y, width, 15, colour))
            x += width
        out.append(_text(x + 5, y + 12, row.note))
        y += 21
    return _svg(y + 4, out, _WIDE)


def differences(title: str, rows: Sequence[Bar]) -> str:
    """Bars to the left (worse, below 0) and right (better) of a line, one part each.

    The scale is that of the second largest, so that one outlier does not flatten the rest; what is
    longer is cut off and ends in its note.
    """
    sizes = sorted(abs(row.parts[0]) for row in rows)
    scale = (sizes[-2] if len(sizes) > 1 else 0) or max(sizes, default=0) or 1
    room = (_WIDE - _NAMES) / 2 - 60
    middle = _NAMES + 60 + room
    out = [_text(_WIDE / 2, 20, title, "middle", bold=True)]
    y = 34
    for row in rows:
        length = max(-1.0, min(1.0, row.parts[0] / scale)) * room
        out.append(_text(_NAMES - 6, y + 12, _short(row.name, _LETTERS), "end"))
        colour = COLOURS[2] if length > 0 else COLOURS[0]
        out.append(_block(min(middle, middle + length), y, abs(length), 15, colour))
        end = (middle + length + 5, "start") if length >= 0 else (middle + length - 5, "end")
        out.append(_text(end[0], y + 12, row.note, end[1]))
        y += 21
    out.append(_rule(middle, 30, middle, y))
    return _svg(y + 4, out, _WIDE)


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every name, the same in every plot of a report."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Limits and ticks of an axis that shows ``low`` to ``high``: round numbers, about five."""
    if high - low <= 1e-9 * max(1.0, abs(high)):
        room = 0.5 * abs(high) if abs(high) > 1e-9 else 0.5
        low, high = high - room, high + room
    raw = (high - low) / 4
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [i * step for i in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _curve(curve: Line, places: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = ' stroke-dasharray="5 4"' if curve.dashed else ""
    width, radius = (3, 4) if curve.ours else (1.6, 2.6)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{curve.colour}"/>'
        for x, y in (places if curve.points else ())
    )
    return (
        f'<polyline points="{path}" fill="none" stroke="{curve.colour}"'
        f' stroke-width="{width}"{dash}/>{marks}'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f},{y1:.1f} L{x2:.1f},{y2:.1f}" stroke="#d8dee4"/>'


def _block(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _svg(height: float, parts: Sequence[str], width: int = WIDTH) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img"'
        f' {_FONT} fill="#1f2328"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )
