"""Makes a report of results in a folder: index.html, report.json, and the figures as files.

A plot, a table or a picture that fails becomes a line of the report, and the rest is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from sedic.errors import DamagedFileError, MissingWeightsError, SedicError
from sedic.failures import reason, translated
from sedic.files import make_folder, printable, write_atomically
from sedic.lab.bench.report import tables
from sedic.lab.bench.report.figures import BYTES, figures
from sedic.lab.bench.report.page import (
    Block,
    Bullets,
    Facts,
    Folded,
    Note,
    Plot,
    Plots,
    Section,
    document,
)
from sedic.lab.bench.report.strips import strip
from sedic.lab.bench.report.summary import Summary, summarise
from sedic.lab.bench.results import read_results

T = TypeVar("T")

TITLES = {
    "rd": "Rate, distortion and perception",
    "reference": "The reference image alone",
    "ablation": "What each part is worth",
    "steps": "How many denoising steps it takes",
    "swaps": "Whether an object's words and mask matter",
}
_CURVES = (
    "Means over the pictures. A rival has as many bytes for each picture as our file, and is drawn"
    " at whichever of full, half and quarter size is best by that metric; where it cannot be so"
    " small on every picture, it has no point. Dashed: published by others under protocols of their"
    " own, never run here."
)
_REGION = (
    "Only the object's region is judged: the original with that region cut out of the decoded"
    " picture. 1 and 2: which object was changed."
)


def check_libraries() -> None:
    """``MissingWeightsError``, with the command that gets them, where a report cannot be made."""
    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise MissingWeightsError(
            f"a report needs {' and '.join(missing)}: pip install 'sedic[bench]'"
        )


def build_report(results: Path, folder: Path) -> list[str]:
    """The report on a results file, with what ``run`` kept in ``pictures`` and ``features`` beside
    it; a report that is in ``folder`` is replaced.

    Gives a line for every part of the report that failed. ``SedicError`` if there is nothing to
    report on yet, or it cannot be written.
    """
    check_libraries()
    kept_pictures, features = (results.parent / name for name in ("pictures", "features"))
    table = read_results(results)
    with translated(f"{printable(results)} is of no picture experiment", DamagedFileError):
        summary = summarise(table, features if features.is_dir() else None)
        title = f"sedic bench {summary.experiment}: {TITLES[summary.experiment]}"
    if not summary.means:
        reasons = [f"{p.picture}: {p.reason}" for p in summary.problems[:1]]
        raise SedicError(f"no picture is done yet: nothing to report ({'; '.join(reasons) or '-'})")
    make_folder(folder / "figures")
    attempt = Attempts()
    plots: dict[str, Plot] = {}
    for name, plot_title, draw in figures(summary):
        svg = attempt(f"plot of {plot_title}", draw, "")
        if svg:
            plots[name] = Plot(plot_title, svg)
            write_atomically(folder / "figures" / f"{name}.svg", svg.encode(), force=True)
    strips: list[Block] = []
    for name in summary.pictures:
        comparison = attempt(
            f"pictures of {name}",
            lambda name=name: strip(summary, kept_pictures, folder / "figures", name),  # type: ignore[misc]
            None,
        )
        strips += [comparison] if comparison else []
    sections = [*_sections(summary, plots, attempt), Section("Pictures", strips)]
    problems = [
        f"{p.picture}{f', {p.codec} at {p.point}' if p.codec else ''}: {p.reason}"
        for p in summary.problems
    ]
    problems += attempt.failures
    if problems:
        folded = Folded("where, and why", [Bullets(problems)])
        sections.append(Section("What has no numbers", [folded]))
    sections.append(circumstances(summary.facts))
    html = document(title, _lead(summary), sections)
    write_atomically(folder / "index.html", html.encode(), force=True)
    write_json(folder / "report.json", summary.as_json() | {"failures": attempt.failures})
    return attempt.failures


class Attempts:
    """Parts of a report, each made on its own; what failed is in ``failures``, a line each."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __call__(self, part: str, make: Callable[[], T], otherwise: T) -> T:
        """What ``make`` gives, or ``otherwise`` if it raises anything."""
        try:
            return make()
        except Exception as error:  # of whatever library
            self.failures.append(f"{part}: {reason(error)}")
            return otherwise


def write_json(path: Path, value: Any) -> None:
    """JSON in which a number that is none, or infinite, is null."""
    write_atomically(path, (json.dumps(_finite(value), indent=1) + "\n").encode(), force=True)


def circumstances(run: dict[str, Any]) -> Section:
    """How the numbers came about; ``run`` is a run's facts."""

    def joined(table: dict[str, Any]) -> str:
        return ", ".join(f"{name} {value}" for name, value in table.items())

    pairs = {
        "command": run["command"],
        "commit": run["commit"] or "unknown",
        "hardware": joined(run["hardware"]),
        "versions": joined(run["versions"]),
        "seed": str(run["seed"]),
        **{f"weights: {name}": pin for name, pin in run["weights"].items()},
    }
    missing = [f"{name}: not available: {why}" for name, why in run["missing"].items()]
    blocks: list[Block] = [Facts(pairs), *([Bullets(missing)] if missing else [])]
    return Section("How these numbers came about", blocks)


def _lead(summary: Summary) -> str:
    settings = summary.facts["settings"]
    return (
        f"{settings['dataset']}: {len(summary.pictures)} of {settings['pictures']} pictures"
        f" ({settings['checked']}), profile {settings['profile']}, method {settings['method']}."
        " Bits per pixel are those of the whole file, everything counted."
    )


def _sections(summary: Summary, plots: dict[str, Plot], attempt: Attempts) -> Sequence[Section]:
    if not summary.curves_over_rate:
        nothing: list[Block] = []
        cells = attempt("table", lambda: tables.all_cells(summary), nothing)
        note: list[Block] = [Note(_REGION)] if summary.experiment == "swaps" else []
        heading = "Curves" if summary.experiment == "steps" else "Figures"
        figure_blocks: list[Block] = [Plots(list(plots.values()))] if plots else []
        return [
            Section(heading, figure_blocks),
            Section("Numbers", [*note, *cells] if cells else []),
        ]
    curves = [plot for name, plot in plots.items() if name != BYTES]
    whole = [plot for name, plot in plots.items() if name == BYTES]
    points: list[Block] = []
    for point in summary.points:
        block = attempt(
            f"table at {point}",
            lambda point=point: tables.at_point(summary, point),  # type: ignore[misc]
            None,
        )
        points += [block] if block else []
    return [
        Section("Curves", [Note(_CURVES), Plots(curves)] if curves else []),
        Section("Bytes", [Plots(whole)] if whole else []),
        Section(
            "BD-rate: our bytes over theirs at equal quality",
            attempt("BD-rates", lambda: tables.bd_rates(summary), []),
        ),
        Section("Numbers", points),
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
