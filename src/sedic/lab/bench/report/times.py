"""The report of ``sedic bench speed``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sedic.errors import SedicError
from sedic.files import make_folder, write_atomically
from sedic.lab.bench.experiments.speed import DECODING, ENCODING, Speed
from sedic.lab.bench.published import published_times
from sedic.lab.bench.report import page, plots
from sedic.lab.bench.report.build import circumstances, number, write_json
from sedic.lab.bench.results import Run


def build(found: Sequence[Speed], run: Run, folder: Path) -> Path:
    """index.html and report.json in ``folder``; ``SedicError`` if no round was finished."""
    if not found:
        raise SedicError("no round is done yet: nothing to report")
    make_folder(folder)
    html = page.document(
        "sedic bench speed: where the time goes",
        f"One picture of {found[0].width}x{found[0].height} pixels, {found[0].size} bytes, profile"
        f" {run.settings['profile']}, method {run.settings['method']}, describer"
        f" {run.settings['describer']}. Seconds of wall time.",
        [*(_device(speed) for speed in found), _published(), circumstances(asdict(run))],
    )
    write_atomically(folder / "index.html", html.encode(), force=True)
    speeds = [
        asdict(speed) | {"medians": {name: timing.median for name, timing in speed.parts.items()}}
        for speed in found
    ]
    write_json(folder / "report.json", {"facts": asdict(run), "speeds": speeds})
    return folder


def _device(speed: Speed) -> str:
    rounds = max(len(timing.seconds) for timing in speed.parts.values())
    rows: list[list[str | page.Cell]] = [
        [
            page.Cell(name, best=name in (ENCODING, DECODING)),
            page.Cell(number(timing.median), best=name in (ENCODING, DECODING)),
            f"{number(timing.quartiles[0])} to {number(timing.quartiles[1])}",
        ]
        for name, timing in speed.parts.items()
    ]
    bars = [
        plots.Bar(name, [timing.median], f"{timing.median:.3g} s")
        for name, timing in speed.parts.items()
    ]
    memory = f"Peak memory of the process, Python and libraries included: {_gib(speed.memory)}"
    if speed.device_memory is not None:
        memory += f"; of the device: {_gib(speed.device_memory)}"
    return page.section(
        speed.device,
        page.plots([plots.bars(f"median of {rounds} rounds, seconds", [], bars)]),
        page.table(["part", "median s", "quartiles s"], rows),
        page.note(f"{memory}. Parts named “apart” were run once more on their own."),
    )


def _gib(size: float | None) -> str:
    return "not known here" if size is None else f"{size:.2f} GiB"


def _published() -> str:
    rows = [
        [time.codec, f"{time.encode:g}", f"{time.decode:g}", time.device, time.source]
        for time in published_times()
    ]
    return page.section(
        "As published", page.table(["codec", "encode s", "decode s", "device", "source"], rows)
    )
