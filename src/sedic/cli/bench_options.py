"""What the commands of ``sedic bench`` share: options made into subjects, metrics and runs."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedic.cli.console import note
from sedic.cli.options import choice, settings_from
from sedic.errors import SedicError
from sedic.files import printable
from sedic.parts import DESCRIBERS
from sedic.semantics import METHODS

if TYPE_CHECKING:
    from sedic.lab.bench.datasets import Dataset
    from sedic.lab.bench.experiments import Experiment, See
    from sedic.lab.bench.experiments.subject import Describe, Subject
    from sedic.lab.bench.inception import Inception
    from sedic.lab.bench.metrics import Metric

SETS = "FID and KID"


@dataclass(frozen=True)
class SubjectOptions:
    """What is measured: the codec's side."""

    dataset: Annotated[
        str, typer.Option("--dataset", help="kodak, div2k, clic2020 or folder:PATH.")
    ] = "kodak"
    pictures: Annotated[
        int | None, typer.Option("--pictures", min=1, help="Only the first so many pictures.")
    ] = None
    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini"
    describer: Annotated[
        str, choice(DESCRIBERS, "Who finds the words, as in `sedic compress`.")
    ] = "measured"
    describer_model: Annotated[
        str, typer.Option(help="Of the describer, as in `sedic compress`.")
    ] = ""
    semantics: Annotated[
        Path | None,
        typer.Option(
            help="Folder of sidecars, PICTURE.json. What a language model says is kept in the"
            " folder semantics in --out, so that it is asked once."
        ),
    ] = None
    setting: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the decoder; repeat for more."),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")] = 0


@dataclass(frozen=True)
class MeasureOptions:
    """How it is measured, and where results and report go."""

    metrics: Annotated[
        str | None, typer.Option(help="Names with commas between (default: all that there are).")
    ] = None
    judge: Annotated[
        list[Path] | None,
        typer.Option(
            help="Does it still see the same? A transformers folder (image classification or object"
            " detection) or an .onnx classifier; repeat for more."
        ),
    ] = None
    shown: Annotated[
        int, typer.Option(min=0, help="The report shows the first so many pictures.")
    ] = 3
    out: Annotated[
        Path | None, typer.Option(help="Folder of results.csv (default: runs/bench-EXPERIMENT)")
    ] = None
    report: Annotated[
        Path | None, typer.Option(help="Folder of the report (default: report in --out)")
    ] = None

    def folder(self, experiment: str) -> Path:
        """Where the results of an experiment go."""
        return self.out or Path(f"runs/bench-{experiment}")


Method = Annotated[
    str,
    typer.Option(metavar="|".join(METHODS), help="The system: which words and masks are sent."),
]


@dataclass(frozen=True)
class Facts:
    """What a results file says of its run, besides subject and metrics.

    ``subject``: the curve or variant that is ours, or ""; ``families``: curves of the report, each
    with the codecs it is the best of; ``missing``: rivals that are not here, and why.
    """

    subject: str
    families: list[tuple[str, list[str]]]
    more: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def measure(
    experiment: Experiment, subject: Subject, options: MeasureOptions, describer: str, facts: Facts
) -> None:
    """Measure, and report on what is done even if that is not all."""
    from sedic.lab.bench.experiments import KEYS, Gallery, run
    from sedic.lab.bench.report.build import build, check_libraries
    from sedic.lab.bench.results import Results, Run

    check_libraries()
    out = options.folder(experiment.name)
    metrics = metrics_of(options.metrics, options.judge)
    dataset = subject.dataset
    settings = {
        "experiment": experiment.name,
        "dataset": dataset.name,
        "checked": dataset.checked,
        "pictures": len(dataset),
        "profile": subject.profile.name,
        "method": subject.method,
        "settings": subject.settings,
        "metrics": [(metric.name, metric.better) for metric in metrics.loaded],
        "cells": experiment.cells,
        "shown": experiment.shown,
        "subject": facts.subject,
        "families": facts.families,
        "describer": describer,
        **facts.more,
    }
    weights = {metric.name: metric.weights for metric in metrics.loaded} | subject.weights
    weights |= {SETS: metrics.inception[1]} if metrics.inception else {}
    missing = {**metrics.missing, **facts.missing}
    about = Run(command_line(), subject.seed, settings, weights, missing)
    columns = [*experiment.values, *(metric.name for metric in metrics.loaded)]
    results = Results(out / "results.csv", about, KEYS, columns)
    for name, reason in missing.items():
        note(f"{name}: not available: {printable(reason)}")
    with progress_bar() as progress, stopping() as stopped:
        gallery = Gallery(out / "pictures", options.shown)
        see = metrics.see(out / "features")
        run(experiment, dataset, metrics.loaded, results, gallery, progress, see)
    results.write_parquet()
    for row in results.rows:
        if row["error"] and not row["codec"]:
            note(f"left out: {row['error']}")
    folder = options.report or out / "report"
    for failure in build(results.path, folder):
        note(f"left out of the report: {failure}")
    tell(folder)
    stopped()


def subject_of(options: SubjectOptions, out: Path | None, method: str = "sedic") -> Subject:
    """The codec and the pictures that ``options`` name; ``out``: of the run, where answers of a
    describer are kept."""
    from sedic.lab.bench.experiments.subject import Subject, measured

    if (options.describer == "sidecar") != (options.semantics is not None):
        raise typer.BadParameter("--describer sidecar goes with --semantics")
    describe: Describe = measured
    if options.describer != "measured":
        folder = options.semantics or (out / "semantics" if out else None)
        describe = _described(options, method, folder)
    dataset = _dataset(options.dataset, options.pictures)
    settings = settings_from(options.setting or [])
    return Subject(dataset, describe, options.profile, method, settings, options.seed)


def _described(options: SubjectOptions, method: str, folder: Path | None) -> Describe:
    """A describer whose answers are kept in ``folder`` as sidecars, and taken from there."""
    from sedic.describe import sidecar
    from sedic.describe.description import Description
    from sedic.files import make_folder
    from sedic.lab.bench.experiments.subject import DETAIL_WORDS, OVERALL_WORDS
    from sedic.picture import Picture
    from sedic.profile import Profile
    from sedic.semantics import Rate

    rate = Rate(1, 3, DETAIL_WORDS, OVERALL_WORDS)
    owner = Profile.load(options.profile)

    def describe(picture: Picture, name: str, say: Callable[[str], None]) -> Description:
        path = folder / f"{name}.json" if folder else None
        if path is not None and (path.is_file() or options.describer == "sidecar"):
            height, width = picture.shape[:2]
            return sidecar.load(path, width, height)
        say("describing")
        describer = owner.describer(options.describer, model=options.describer_model)
        described = describer.describe(picture, rate, method)
        for line in described.notes:
            note(f"{name}: {printable(line)}")
        if path is not None and folder is not None:
            make_folder(folder)
            sidecar.save(described.description, path)
        return described.description

    return describe


def _dataset(name: str, pictures: int | None) -> Dataset:
    from sedic.lab.bench.datasets import open_dataset

    dataset = open_dataset(name)
    if pictures is not None and pictures < len(dataset):
        first = f"{dataset.checked}; the first {pictures} of {len(dataset)}"
        dataset = replace(dataset, samples=dataset.samples[:pictures], checked=first)
    twice = [name for name, n in Counter(one.name for one in dataset).items() if n > 1]
    if twice:
        raise SedicError(
            f"two pictures are named {twice[0]}: their results could not be told apart"
        )
    return dataset


@dataclass(frozen=True)
class Metrics:
    """What can be measured, why the rest cannot, and the network of FID and KID if it is here."""

    loaded: list[Metric]
    missing: dict[str, str]
    inception: tuple[Inception, str] | None

    def see(self, folder: Path) -> See | None:
        """What keeps the features of every picture in ``folder``."""
        from sedic.lab.bench.experiments.feature_files import Features

        return Features(folder, self.inception[0]).keep if self.inception else None


def metrics_of(wanted: str | None, judge: list[Path] | None) -> Metrics:
    """The metrics of these names (all for None) and those of ``judge``'s models."""
    from sedic.lab.bench.metrics import NAMES, Metric, Unavailable, load, load_inception

    names = names_of(wanted, (*NAMES, SETS), "metric")
    metrics = [load(name) for name in names if name != SETS]
    if judge:
        from sedic.lab.bench.experiments.judge import judges

        metrics += [metric for path in judge for metric in judges(path)]
    inception = load_inception() if SETS in names else None
    loaded = [metric for metric in metrics if isinstance(metric, Metric)]
    missing = [metric for metric in (*metrics, inception) if isinstance(metric, Unavailable)]
    home = str(Path.home())  # not to be shown in a report that others read
    reasons = {metric.name: metric.reason.replace(home, "~") for metric in missing}
    if not loaded:
        raise SedicError("none of these metrics can be had here: " + "; ".join(reasons.values()))
    return Metrics(loaded, reasons, None if isinstance(inception, Unavailable) else inception)


def names_of(text: str | None, known: Iterable[str], what: str) -> list[str]:
    """Names with commas between, in any case; all that are known for None."""
    if text is None:
        return list(known)
    return [one_of(name.strip(), known, what) for name in text.split(",") if name.strip()]


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """The known name that is ``name`` but for its case; ``SedicError`` if none is."""
    for candidate in known:
        if candidate.casefold() == name.casefold():
            return candidate
    raise SedicError(f"unknown {what} {printable(name)!r}; one of {', '.join(known)}")


def numbers_of(text: str, low: float, high: float, option: str) -> list[float]:
    """Numbers with commas between, each from ``low`` to ``high``."""
    try:
        numbers = [float(item) for item in text.split(",") if item.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers with commas between") from error
    if not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"{option}: {low:g} to {high:g}")
    return numbers


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["sedic", *sys.argv[1:]])


def tell(folder: Path) -> None:
    """Say where the report is."""
    note(f"{printable(folder / 'index.html')}: written")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        *(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=1800) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(done: int, total: int, text: str) -> None:
            bars.update(bar, completed=done, total=total, description=text)

        yield progress


@contextmanager
def stopping() -> Iterator[Callable[[], None]]:
    """Ends quietly on Ctrl-C; what it yields, called after the report, then ends the program."""
    interrupted = False

    def end() -> None:
        if interrupted:
            note("stopped: the same command goes on")
            raise typer.Exit(130)

    try:
        yield end
    except KeyboardInterrupt:
        interrupted = True
