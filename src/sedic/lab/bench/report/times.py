"""The report of ``sedic bench speed``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sedic.errors import SedicError
from sedic.files import make_folder, write_atomically
from sedic.lab.bench.experiments.speed import DECODING, ENCODING, Speed
from sedic.lab.bench.published import published_times
from sedic.lab.bench.report import plots
from sedic.lab.bench.report.build import check_libraries, circumstances, write_json
from sedic.lab.bench.report.page import Cell, Note, Plot, Plots, Section, Table, document
from sedic.lab.bench.report.tables import number
from sedic.lab.bench.results import Run


def build(speeds: Sequence[Speed], run: Run, folder: Path) -> Path:
    """index.html and report.json in ``folder``; ``SedicError`` if no round was finished."""
    if not speeds:
        raise SedicError("no round is done yet: nothing to report")
    check_libraries()
    make_folder(folder)
    html = document(
        "sedic bench speed: where the time goes",
        f"One picture of {speeds[0].width}x{speeds[0].height} pixels, {speeds[0].size} bytes,"
        f" profile {run.settings['profile']}, method {run.settings['method']}, describer"
        f" {run.settings['describer']}. Seconds of wall time.",
        [*(_device(speed) for speed in speeds), _published(), circumstances(asdict(run))],
    )
    write_atomically(folder / "index.html", html.encode(), force=True)
    numbers = [
        asdict(speed) | {"medians": {name: timing.median for name, timing in speed.parts.items()}}
        for speed in speeds
    ]
    write_json(folder / "report.json", {"facts": asdict(run), "speeds": numbers})
    return folder


def _device(speed: Speed) -> Section:
    rounds = max(len(timing.seconds) for timing in speed.parts.values())
    rows: list[list[str | Cell]] = [
        [
            Cell(name, best=name in (ENCODING, DECODING)),
            Cell(number(timing.median), best=name in (ENCODING, DECODING)),
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
    title = f"median of {rounds} rounds, seconds"
    return Section(
        speed.device,
        [
            Plots([Plot(title, plots.bars(title, [], bars))]),
            Table(["part", "median s", "quartiles s"], rows),
            Note(f"{memory}. Parts named “apart” were run once more on their own."),
        ],
    )


def _gib(size: float | None) -> str:
    return "not known here" if size is None else f"{size:.2f} GiB"


def _published() -> Section:
    rows = [
        [time.codec, f"{time.encode:g}", f"{time.decode:g}", time.device, time.source]
        for time in published_times()
    ]
    head = ["codec", "encode s", "decode s", "device", "source"]
    return Section("As published", [Table(head, rows)])
