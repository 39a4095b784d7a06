"""From results to a report in a folder: index.html, report.json, and the figures as files."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sedic.errors import SedicError
from sedic.files import make_folder, write_atomically
from sedic.lab.bench.experiments import ORIGINAL, kept
from sedic.lab.bench.experiments.curves import REFERENCE
from sedic.lab.bench.experiments.subject import PARTS
from sedic.lab.bench.published import published
from sedic.lab.bench.report import page, pictures, plots
from sedic.lab.bench.report.summary import Mean, Summary, summarise
from sedic.lab.bench.results import read_results

TITLES = {
    "rd": "Rate, distortion and perception",
    "ablation": "What each part is worth",
    "steps": "How many denoising steps it takes",
    "swaps": "Whether an object's words and mask matter",
}
_REGION = (
    "Only the object's region is judged: the original with that region cut out of the decoded"
    " picture. 1 and 2: which object was changed."
)
_FOR_BARS = ("LPIPS-alex", "LPIPS-squeeze (Caffe)", "HaarPSI", "PSNR")  # the first that is there


def build(results: Path, folder: Path) -> Summary:
    """The report on a results file, with what ``run`` kept in ``pictures`` and ``features`` beside
    it; a report that is in ``folder`` is replaced.

    ``SedicError`` if there is nothing to report on yet, or it cannot be written.
    """
    kept_pictures, features = (results.parent / name for name in ("pictures", "features"))
    summary = summarise(read_results(results), features if features.is_dir() else None)
    if not summary.means:
        reasons = [f"{p.picture}: {p.reason}" for p in summary.problems[:1]]
        raise SedicError(f"no picture is done yet: nothing to report ({'; '.join(reasons) or '-'})")
    name = str(summary.facts["settings"]["experiment"])
    figures = dict(_figures(name, summary))
    make_folder(folder / "figures")
    for figure, svg in figures.items():
        write_atomically(folder / "figures" / f"{figure}.svg", svg.encode(), force=True)
    shown = [
        _pictures(summary, kept_pictures, folder / "figures", i, name)
        for i, name in enumerate(summary.pictures)
    ]
    html = page.document(
        f"sedic bench {name}: {TITLES[name]}",
        _lead(summary),
        _sections(name, summary, figures, shown),
    )
    write_atomically(folder / "index.html", html.encode(), force=True)
    write_json(folder / "report.json", summary.as_json())
    return summary


def write_json(path: Path, found: Any) -> None:
    """JSON in which a number that is none, or infinite, is null."""
    write_atomically(path, (json.dumps(_finite(found), indent=1) + "\n").encode(), force=True)


def circumstances(run: dict[str, Any]) -> str:
    """How the numbers came about, as HTML: ``run`` is a run's facts."""

    def joined(table: dict[str, Any]) -> str:
        return ", ".join(f"{name} {value}" for name, value in table.items())

    return page.section(
        "How these numbers came about",
        page.facts(
            {
                "command": run["command"],
                "commit": run["commit"] or "unknown",
                "hardware": joined(run["hardware"]),
                "versions": joined(run["versions"]),
                "seed": str(run["seed"]),
                **{f"weights: {name}": pin for name, pin in run["weights"].items()},
            }
        ),
        page.bullets(f"{name}: not available: {why}" for name, why in run["missing"].items()),
    )


def _lead(summary: Summary) -> str:
    settings = summary.facts["settings"]
    return (
        f"{settings['dataset']}: {len(summary.pictures)} of {settings['pictures']} pictures"
        f" ({settings['checked']}), profile {settings['profile']}, method {settings['method']}."
        " Bits per pixel are those of the whole file, everything counted."
    )


def _sections(
    name: str, summary: Summary, figures: dict[str, str], shown: list[str]
) -> Iterator[str]:
    if name == "rd":
        yield page.section(
            "Curves",
            page.note(
                "Means over the pictures. A rival has as many bytes for each picture as our file,"
                " and is drawn at whichever of full, half and quarter size is best by that metric;"
                " where it cannot be so small on every picture, it has no point. Dashed: published"
                " by others under protocols of their own, never run here."
            ),
            page.plots(svg for figure, svg in figures.items() if figure != "bytes"),
        )
        yield page.section("Bytes", page.plots([figures["bytes"]]))
        yield _bd_table(summary)
        yield page.section("Numbers", *(_point_table(summary, point) for point in summary.points))
    else:
        if figures:
            heading = "Curves" if name == "steps" else "Figures"
            yield page.section(heading, page.plots(figures.values()))
        note = page.note(_REGION) if name == "swaps" else ""
        yield page.section("Numbers", note, _cell_table(summary))
    yield page.section("Pictures", *shown)
    reasons = page.bullets(
        f"{p.picture}{f', {p.codec} at {p.point}' if p.codec else ''}: {p.reason}"
        for p in summary.problems
    )
    yield page.section("What has no numbers", page.folded("where, and why", reasons))
    yield circumstances(summary.facts)


def _figures(name: str, summary: Summary) -> Iterator[tuple[str, str]]:
    colours = plots.colours(summary.families)
    if name in ("rd", "steps"):
        for metric, better in summary.metrics.items():
            x = "bits per pixel" if name == "rd" else "denoising steps"
            found = [
                plots.Line(
                    family,
                    [(b.bpp if name == "rd" else float(b.point), b.value) for b in curve],
                    colours[family],
                    ours=family == summary.facts["settings"]["subject"],
                )
                for family, curve in summary.curves[metric].items()
            ]
            if not any(line.points for line in found):
                continue
            others = summary.published.get(metric, {}) if name == "rd" else {}
            widest = max(x for line in found for x, _ in line.points)
            found += [
                plots.Line(codec, points, colour, dashed=True)
                for (codec, points), colour in zip(others.items(), plots.COLOURS * 3, strict=False)
                if points[0][0] <= 1.5 * widest
            ]
            yield _plain(metric), plots.lines(f"{metric}, {better} is better", x, found)
    if name == "rd":
        for metric, codecs in summary.published.items():
            if metric not in summary.metrics:
                found = [
                    plots.Line(codec, points, colour, dashed=True)
                    for (codec, points), colour in zip(
                        codecs.items(), plots.COLOURS * 3, strict=False
                    )
                ]
                title = f"{metric.partition('-')[0]}: not measured here, only as published"
                yield f"published-{_plain(metric)}", plots.lines(title, "bits per pixel", found)
        yield "bytes", _bytes(summary)
    if name == "ablation":
        for metric in [metric for metric in _FOR_BARS if metric in summary.metrics][:3]:
            yield _plain(metric), _worth(summary, metric)
        yield "bytes", _bytes(summary)


def _worth(summary: Summary, metric: str) -> str:
    """How much better or worse every variant is than the whole file."""
    whole = next(
        (m for m in summary.means if m.codec == summary.facts["settings"]["subject"]), None
    )
    sign = 1 if summary.metrics[metric] == "higher" else -1
    title = f"{metric} against the whole file: worse | better"
    if whole is None or metric not in whole.means:
        return plots.differences(title, [])
    rows = [
        plots.Bar(mean.codec, [sign * difference], f"{difference:+.3g}")
        for mean in summary.means
        if metric in mean.means and mean is not whole
        for difference in [mean.means[metric] - whole.means[metric]]
    ]
    return plots.differences(title, rows)


def _bytes(summary: Summary) -> str:
    """Where the bytes of our files went."""
    parts = [f"{part} bytes" for part in PARTS]
    rows = [
        plots.Bar(
            f"{mean.codec}, {mean.point}" if len(summary.points) > 1 else mean.codec,
            [mean.means[part] for part in parts],
            f"{sum(mean.means[part] for part in parts):.0f}",
        )
        for mean in summary.means
        if parts[0] in mean.means and mean.codec != REFERENCE
    ]
    return plots.bars("bytes of a file, mean", list(PARTS), rows)


def _bd_table(summary: Summary) -> str:
    rivals = [name for name in summary.families if name != summary.facts["settings"]["subject"]]
    metrics = [metric for metric in summary.metrics if summary.bd.get(metric)]
    reasons: dict[str, str] = {}

    def cell(rival: str, metric: str) -> page.Cell:
        rate = summary.bd[metric][rival]
        if isinstance(rate, str):
            reasons[f"{rival}, {metric}"] = rate
            return page.Cell("–")
        return page.Cell(f"{round(rate):+d} %", best=round(rate) < 0)

    rows: list[list[str | page.Cell]] = [
        [rival, *(cell(rival, metric) for metric in metrics)] for rival in rivals
    ]
    return page.section(
        "BD-rate: our bytes over theirs at equal quality",
        page.note("Below zero we need less; – where the curves do not overlap or turn back."),
        page.table(["against", *metrics], rows) if rows and metrics else "",
        page.folded("why –", page.bullets(f"{k}: {v}" for k, v in reasons.items())),
    )


def _point_table(summary: Summary, point: str) -> str:
    """All codecs at one limit, each metric at its best size."""
    metrics = list(summary.metrics)
    winners = {}
    for metric, better in summary.metrics.items():
        found = [b.value for c in summary.curves[metric].values() for b in c if b.point == point]
        if found:
            winners[metric] = max(found) if better == "higher" else min(found)
    rows: list[list[str | page.Cell]] = []
    for family, sizes in summary.sizes.items():
        row: list[str | page.Cell] = [family]
        means = [m for codec in sizes if (m := summary.mean(codec, point)) is not None]
        for metric in metrics:
            curve = summary.curves[metric][family]
            best = next((b for b in curve if b.point == point), None)
            if best is None:
                most = max((mean.pictures for mean in means), default=0)
                row.append(page.Cell("–", f"{most} of {len(summary.pictures)} pictures"))
                continue
            size = best.codec.removeprefix(family).strip()
            row.append(page.Cell(number(best.value), size, best=best.value == winners[metric]))
        rates = sorted(mean.means["bpp"] for mean in means)
        rates = [rates[0], rates[-1]] if rates else []
        row.insert(1, " to ".join(dict.fromkeys(f"{rate:.4f}" for rate in rates)))
        rows.append(row)
    return page.folded(
        f"at most {point} bits per pixel",
        page.table(["codec", "bpp", *metrics], rows),
        unfolded=True,
    )


def _cell_table(summary: Summary) -> str:
    """Every cell of ours, in the order of the run; beside them what the paper published."""
    paper = {p.codec: p for p in published(str(summary.facts["settings"]["dataset"]))}
    matching: dict[str, str] = summary.facts["settings"].get("published", {}) if paper else {}
    head = ["variant", "pictures", "bytes", "bpp", "J", *summary.metrics, "decode s"]
    head += ["paper: bpp", "LPIPS", "DISTS"] if matching else []
    steps = len(summary.points) > 1
    rows: list[list[str | page.Cell]] = []
    for mean in summary.means:
        row: list[str | page.Cell] = [f"{mean.codec}: {mean.point}" if steps else mean.codec]
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
    return page.table(head, rows) + page.note(
        "± is the standard deviation between pictures. The first file's seconds include loading."
    )


def _with_spread(mean: Mean, metric: str) -> page.Cell:
    if metric not in mean.means:
        return page.Cell("–")
    spread = f"± {mean.spread[metric]:.2g}" if metric in mean.spread else ""
    return page.Cell(number(mean.means[metric]), spread)


def _pictures(summary: Summary, kept_at: Path, figures: Path, index: int, name: str) -> str:
    """One picture as everything made of it; "" if it was not kept."""
    original = pictures.opened(kept(kept_at, name, (ORIGINAL, "")))
    if original is None:
        return ""
    box = pictures.busiest(original)
    panels = [pictures.Panel(ORIGINAL, name, kept(kept_at, name, (ORIGINAL, "")))]
    panels += list(_panels(summary, kept_at, name))
    shown = []
    for panel in panels:
        image = pictures.opened(panel.path)
        if image is not None and image.size == original.size:
            detail = pictures.data_url(pictures.crop(image, box))
            shown.append(page.figure(panel.title, panel.note, pictures.data_url(image), detail))
    sheet = pictures.sheet(panels)
    if sheet is not None:
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=88)
        write_atomically(figures / f"sheet-{_plain(name)}.jpg", file.getvalue(), force=True)
    titles = [panel.title for panel in panels]
    subject = summary.facts["settings"]["subject"]
    right = titles.index(subject) if subject in titles else len(shown) - 1
    body = page.comparison(f"strip{index}", shown, min(right, len(shown) - 1))
    return page.subsection(name, body)


def _panels(summary: Summary, kept_at: Path, name: str) -> Iterator[pictures.Panel]:
    """What was made of a picture: every cell that is shown, of rivals the best size."""
    settings = summary.facts["settings"]
    sizes = summary.sizes
    metric = next((m for m in _FOR_BARS if m in summary.metrics), "")
    several = len({point for _, point in settings["shown"]}) > 1
    for codec, point in map(tuple, settings["shown"]):
        family = next((f for f, names in sizes.items() if codec in names), codec)
        best = [b.codec for b in summary.curves.get(metric, {}).get(family, []) if b.point == point]
        if len(sizes.get(family, [])) > 1 and best and codec not in best:
            continue
        path = kept(kept_at, name, (codec, point))
        row = summary.row(name, codec, point)
        if row is None or not isinstance(row["bytes"], float):
            continue
        title = f"{codec}: {point}" if several else codec
        score = row.get(metric)
        scored = f", {metric} {number(score)}" if isinstance(score, float) else ""
        yield pictures.Panel(title, f"{row['bytes']:.0f} bytes, {row['bpp']:.4f} bpp{scored}", path)


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}" if math.isfinite(value) else "∞"


def _plain(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split()).lower()


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {str(key): _finite(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
