"""``sedic bench small``, ``bytes`` and ``large``: small limits in bytes, and large pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedic.cli.bench_console import command_line, progress_bar, stopping
from sedic.cli.bench_options import PictureOptions, SubjectOptions, metrics_of, subject_of
from sedic.cli.console import note
from sedic.errors import SedicError
from sedic.files import make_folder, printable, write_atomically

if TYPE_CHECKING:
    from sedic.lab.bench.results import Table

SLOW = ("VVC", "JPEG XL")
HELD_OUT = "held-out photographs"


def small(
    *,
    kodak: Annotated[int, typer.Option(min=0, max=24, help="So many Kodak pictures.")] = 24,
    held_out: Annotated[int, typer.Option(min=0, help="So many held-out photographs.")] = 8,
    slow_pictures: Annotated[
        int, typer.Option(min=0, help="So many of each for VVC and JPEG XL.")
    ] = 2,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between (default: all that there are).")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of whole commands, for their costs.")] = 3,
    words: Annotated[
        bool,
        typer.Option("--words", help="Instead: what a sentence is worth on held-out photographs."),
    ] = False,
    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini",
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs/bench-small"),
    page: Annotated[Path | None, typer.Option(help="(default: small.md in --out)")] = None,
    sheet: Annotated[Path | None, typer.Option(help="(default: small.jpg in --out)")] = None,
) -> None:
    """Files of 64 to 1,024 bytes beside thumbnails and placeholders: a page and a sheet.

    A run that is stopped goes on with the same command.
    """
    from sedic.lab.bench.experiments import costs as programs
    from sedic.lab.bench.report import small_page
    from sedic.lab.bench.results import read_results

    make_folder(out)
    if words:
        _word_worth(profile, held_out, out, page or out / "words.md")
        return
    places = {"Kodak": ("kodak", kodak), HELD_OUT: (_held_out(out, held_out), held_out)}
    tables: dict[str, Table] = {}
    with progress_bar() as progress, stopping() as stopped:
        for name, (dataset, count) in places.items():
            if count:
                pictures = PictureOptions(dataset, count)
                path = _measured(pictures, profile, metrics, slow_pictures, out / name, progress)
                tables[name] = read_results(path)
    stopped()
    if not tables:
        raise SedicError("no pictures: --kodak and --held-out are 0")
    first = next(iter(tables.values()))
    measured: dict[str, str] = dict(first.facts["settings"]["metrics"])
    subject = subject_of(SubjectOptions(places["Kodak"][0], 1, profile=profile), None)
    with progress_bar() as progress:
        processes = programs.commands(subject.dataset.samples[0].load(), 222, rounds, progress)
    costs = small_page.costs(processes, programs.install_sizes())
    text = small_page.page(tables, measured, costs, command_line())
    for missing, reason in first.facts["missing"].items():
        text += f"\nNot available here: {missing}: {reason}.\n"
    page, sheet = page or out / "small.md", sheet or out / "small.jpg"
    write_atomically(page, text.encode(), force=True)
    folder = out / next(iter(tables)) / "pictures"
    small_page.packet_sheet(first, folder, sheet, ("WebP", "BlurHash"))
    note(f"{printable(page)}, {printable(sheet)}: written")


def _word_worth(profile: str, count: int, out: Path, page: Path) -> None:
    """Measure what a sentence is worth, and write the page and all numbers."""
    import json
    from dataclasses import asdict

    from sedic.lab.bench.experiments import word_worth
    from sedic.lab.bench.experiments.scales import photographs
    from sedic.profile import Profile

    pictures = photographs(*word_worth.SIZE, count)
    with progress_bar() as progress:
        outcomes, said = word_worth.measure(Profile.load(profile), pictures, progress)
    numbers = {"outcomes": [asdict(one) for one in outcomes], "said": said}
    write_atomically(out / "words.json", json.dumps(numbers).encode(), force=True)
    text = word_worth.page(outcomes, said, command_line())
    write_atomically(page, text.encode(), force=True)
    note(f"{printable(page)}: written")


def _held_out(out: Path, count: int) -> str:
    """The dataset of held-out photographs, 768x512, written as PNG files once."""
    from sedic.lab.bench.experiments.scales import photographs
    from sedic.picture import save_picture

    folder = out / "pictures of held-out"
    make_folder(folder)
    if len(list(folder.glob("*.png"))) < count:
        for number, picture in enumerate(photographs(768, 512, count)):
            save_picture(picture, folder / f"held-{number:02}.png", force=True)
    return f"folder:{folder}"


def _measured(
    pictures: PictureOptions,
    profile: str,
    metric_names: str | None,
    slow_pictures: int,
    out: Path,
    progress: Any,
) -> Path:
    """Measure one set of pictures, or go on; the path of the results."""
    from sedic.lab.bench import placeholders
    from sedic.lab.bench.experiments import KEYS, Gallery, run
    from sedic.lab.bench.experiments.small import CHOSEN_BY, Small
    from sedic.lab.bench.metrics import Metric, load_metric
    from sedic.lab.bench.results import Results, Run
    from sedic.lab.bench.rivals import Missing, avif, find_rivals

    chosen_by = load_metric(CHOSEN_BY)
    if not isinstance(chosen_by, Metric):
        raise SedicError(str(chosen_by))
    metrics = metrics_of(metric_names, None)
    coders = [*find_rivals(["WebP"]), avif(), *find_rivals(SLOW)]
    places = placeholders.find()
    missing = dict(metrics.missing)
    missing |= {one.name: one.reason for one in (*coders, *places) if isinstance(one, Missing)}
    here = [
        replace(coder, qualities=coder.qualities[::3])  # type: ignore[type-var]
        for coder in coders
        if not isinstance(coder, Missing)
    ]
    subject = subject_of(SubjectOptions(**vars(pictures), profile=profile), out)
    experiment = Small(
        subject,
        here,
        [one for one in places if not isinstance(one, Missing)],
        chosen_by,
        slow_pictures,
        frozenset(SLOW),
    )
    settings = {
        "dataset": subject.dataset.name,
        "pictures": len(subject.dataset),
        "cells": experiment.cells,
        "metrics": [(metric.name, metric.better) for metric in metrics.loaded],
        "slow pictures": slow_pictures,
        "rivals": {coder.name: coder.how for coder in here},
    }
    weights = {metric.name: metric.weights for metric in metrics.loaded} | subject.weights
    about = Run(command_line(), subject.seed, settings, weights, missing)
    columns = [*experiment.values, *(metric.name for metric in metrics.loaded)]
    results = Results(out / "results.csv", about, KEYS, columns)
    gallery = Gallery(out / "pictures", 6)
    run(experiment, subject.dataset, metrics.loaded, results, gallery, progress)
    return results.path


def byte_use(
    *,
    subject: SubjectOptions,
    page: Annotated[Path | None, typer.Option(help="Also write the table to this file.")] = None,
) -> None:
    """How much of a limit files use at 0.005 to 0.08 bpp, and how far the highest level reaches."""
    from sedic.lab.bench.experiments.byte_use import Use, measure, table

    codec = subject_of(subject, None)
    uses: list[Use] = []
    with progress_bar() as progress:
        for use in measure(codec):
            uses.append(use)
            progress(len(uses), len(codec.dataset), use.picture)
    typer.echo(table(uses))
    if page is not None:
        head = f"# Use of bytes\n\nMade by `{command_line()}`.\n\n"
        write_atomically(page, (head + table(uses)).encode(), force=True)


def large(
    photo: Annotated[Path, typer.Argument(help="A photograph; it is scaled to every size.")],
    *,
    bpp: Annotated[float, typer.Option(help="Limit of the whole file.")] = 0.03,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Repeat for more (default: 0.4 to 12 MP)."),
    ] = None,
    restored: Annotated[bool, typer.Option(help="Also the restorer: most of the time.")] = True,
    page: Annotated[Path | None, typer.Option(help="Also write the table to this file.")] = None,
) -> None:
    """CPU seconds of one thread a megapixel, and memory, at 0.4, 1, 4 and 12 megapixels."""
    from sedic.lab.bench.circumstances import hardware
    from sedic.lab.bench.experiments.large import PARTS, SIZES, Cost, measure, table

    sizes = [_size(text) for text in size] if size else list(SIZES)
    costs: list[Cost] = []
    for cost in measure(photo, bpp, sizes, PARTS if restored else PARTS[:2]):
        costs.append(cost)
        note(f"{cost.width}x{cost.height}: {cost.seconds}, {cost.memory:.2f} GiB")
    machine = ", ".join(f"{name} {value}" for name, value in hardware().items())
    text = (
        "# Large pictures\n\nCPU seconds of one thread, each size in a process of its own, after a"
        " small run that loads\neverything; describing (measured) belongs to compress. Times: over"
        f" the price of the first row.\nMade by `{command_line()}` on {machine}.\n\n{table(costs)}"
    )
    typer.echo(table(costs))
    if page is not None:
        write_atomically(page, text.encode(), force=True)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise typer.BadParameter(f"--size {printable(text)}: WIDTHxHEIGHT, as in 768x512")
    return int(width), int(height)
