"""The plots of a report, from its summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sedic.lab.bench.experiments.curves import REFERENCE
from sedic.lab.bench.experiments.subject import PARTS
from sedic.lab.bench.report import plots
from sedic.lab.bench.report.summary import Summary, merit

# Metrics that differences are drawn of: the first three that were measured.
BAR_METRICS = ("LPIPS-alex", "LPIPS-squeeze (Caffe)", "HaarPSI", "PSNR")
BYTES = "bytes"

Draw = Callable[[], str]  # gives SVG


def figures(summary: Summary) -> Iterator[tuple[str, str, Draw]]:
    """File name without suffix, title and drawing function of every plot of a report."""
    curves, experiment = summary.curves_over_rate, summary.experiment
    if curves or experiment == "steps":
        for metric in summary.metrics:
            if any(summary.curves[metric].values()):
                yield plain(metric), metric, _partial(_curves, summary, metric)
    if curves:
        for metric in summary.published:
            if metric not in summary.metrics:
                yield f"published-{plain(metric)}", metric, _partial(_published, summary, metric)
    if experiment == "ablation":
        for metric in [metric for metric in BAR_METRICS if metric in summary.metrics][:3]:
            yield plain(metric), metric, _partial(_differences, summary, metric)
    if curves or experiment == "ablation":
        yield BYTES, "bytes of a file", lambda: _bytes(summary)


def plain(name: str) -> str:
    """A name as part of a file name: letters and digits, with hyphens between."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split()).lower()


def _partial(draw: Callable[[Summary, str], str], summary: Summary, metric: str) -> Draw:
    return lambda: draw(summary, metric)


def _styles(summary: Summary) -> dict[str, plots.Style]:
    """Styles of all curves, measured and published."""
    published = (codec for codecs in summary.published.values() for codec in codecs)
    return plots.styles([*summary.families, *published])


def _curves(summary: Summary, metric: str) -> str:
    over_rate = summary.curves_over_rate
    styles = _styles(summary)
    lines = [
        plots.Line(
            family,
            [(best.bpp if over_rate else float(best.point), best.value) for best in curve],
            styles[family],
            ours=family == summary.subject,
        )
        for family, curve in summary.curves[metric].items()
    ]
    if over_rate:
        widest = max(x for line in lines for x, _ in line.points)
        lines += [
            plots.Line(codec, points, styles[codec], dashed=True)
            for codec, points in summary.published.get(metric, {}).items()
            if points[0][0] <= 1.5 * widest
        ]
    x_label = "bits per pixel" if over_rate else "denoising steps"
    return plots.lines(f"{metric}, {summary.metrics[metric]} is better", x_label, lines)


def _published(summary: Summary, metric: str) -> str:
    styles = _styles(summary)
    lines = [
        plots.Line(codec, points, styles[codec], dashed=True)
        for codec, points in summary.published[metric].items()
    ]
    title = f"{metric.partition('-')[0]}: not measured here, only as published"
    return plots.lines(title, "bits per pixel", lines)


def _differences(summary: Summary, metric: str) -> str:
    """How much better or worse every variant is than the whole file."""
    whole = next((mean for mean in summary.means if mean.codec == summary.subject), None)
    better = summary.metrics[metric]
    title = f"{metric} against the whole file: worse | better"
    if whole is None or metric not in whole.means:
        return plots.differences(title, [])
    rows = [
        plots.Bar(
            mean.codec,
            [merit(mean.means[metric], better) - merit(whole.means[metric], better)],
            f"{mean.means[metric] - whole.means[metric]:+.3g}",
        )
        for mean in summary.means
        if metric in mean.means and mean is not whole
    ]
    return plots.differences(title, rows)


def _bytes(summary: Summary) -> str:
    """Where the bytes of our files went."""
    parts = [f"{part} bytes" for part in PARTS]
    rows = [
        plots.Bar(
            f"{mean.codec}, {mean.point}" if len(summary.points) > 1 else mean.codec,
            [mean.means.get(part, 0.0) for part in parts],
            f"{sum(mean.means.get(part, 0.0) for part in parts):.0f}",
        )
        for mean in summary.means
        if parts[0] in mean.means and mean.codec != REFERENCE
    ]
    return plots.bars("bytes of a file, mean", list(PARTS), rows)
