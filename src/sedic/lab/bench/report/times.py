"""The report of ``sedic bench speed``: a page, the numbers as JSON, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sedic.errors import SedicError
from sedic.files import make_folder, write_atomically
from sedic.lab.bench.experiments.processes import Process
from sedic.lab.bench.experiments.speed import DECODING, ENCODING, Speed
from sedic.lab.bench.published import published_times
from sedic.lab.bench.report import plots
from sedic.lab.bench.report.build import check_libraries, circumstances, write_json
from sedic.lab.bench.report.page import Cell, Note, Plot, Plots, Section, Table, document
from sedic.lab.bench.report.tables import NONE, number
from sedic.lab.bench.results import Run

Processes = dict[str, list[Process]]  # by the size of the picture


def build_times(speeds: Sequence[Speed], processes: Processes, run: Run, folder: Path) -> Path:
    """index.html, report.json and report.md in ``folder``; ``SedicError`` if nothing is done."""
    if not speeds and not processes:
        raise SedicError("no round is done yet: nothing to report")
    check_libraries()
    make_folder(folder)
    lead = (
        f"Profile {run.settings['profile']}, method {run.settings['method']}, describer"
        f" {run.settings['describer']}, at most {run.settings['bpp']:g} bits per pixel."
    )
    sections = [_commands(size, measured) for size, measured in processes.items()]
    sections += [_device(speed) for speed in speeds]
    sections += [_published(), circumstances(asdict(run))]
    html = document("sedic bench speed: where the time goes", lead, sections)
    write_atomically(folder / "index.html", html.encode(), force=True)
    numbers = [
        asdict(speed) | {"medians": {name: timing.median for name, timing in speed.parts.items()}}
        for speed in speeds
    ]
    commands = {
        size: [asdict(process) for process in measured] for size, measured in processes.items()
    }
    facts = {"facts": asdict(run), "speeds": numbers, "commands": commands}
    write_json(folder / "report.json", facts)
    text = _markdown(lead, run, sections[: len(processes) + len(speeds)])
    write_atomically(folder / "report.md", text.encode(), force=True)
    return folder


def _commands(size: str, processes: Sequence[Process]) -> Section:
    rows = [
        [
            process.name,
            number(process.seconds),
            NONE if process.cpu is None else number(process.cpu),
            NONE if process.memory is None else f"{process.memory:.2f}",
        ]
        for process in processes
    ]
    head = ["command", "wall s", "CPU s", "peak GiB"]
    note = "Each command in a process of its own, with all that it has to import and load."
    return Section(f"Whole commands, {size}", [Table(head, rows), Note(note)])


def _markdown(lead: str, run: Run, sections: Sequence[Section]) -> str:
    """The tables of these sections for a README."""
    hardware = ", ".join(f"{name} {value}" for name, value in run.hardware.items())
    lines = ["# Seconds and memory", "", lead, "", f"`{run.command}` on {hardware}; torch"]
    lines[-1] += f" {run.versions.get('torch', 'unknown')}. Medians."
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        for block in section.blocks:
            if isinstance(block, Table):
                rows = [[c if isinstance(c, str) else c.text for c in row] for row in block.rows]
                lines += [
                    f"| {' | '.join(row)} |"
                    for row in [block.head, ["---"] * len(block.head), *rows]
                ]
            elif isinstance(block, Note):
                lines += ["", block.text]
    return "\n".join(lines) + "\n"


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
        f"One warm process, {speed.device}, {speed.width}x{speed.height}, {speed.size} bytes",
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
