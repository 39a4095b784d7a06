"""What the commands of ``sedic bench`` share: options made into subjects, metrics and runs."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sedic.cli.console import note
from sedic.cli.options import settings_from
from sedic.errors import SedicError
from sedic.files import printable

if TYPE_CHECKING:
    from sedic.lab.bench.datasets import Dataset
    from sedic.lab.bench.experiments import Experiment, See
    from sedic.lab.bench.experiments.subject import Describe, Subject
    from sedic.lab.bench.inception import Inception
    from sedic.lab.bench.metrics import Metric

SETS = "FID and KID"


def measure(
    experiment: Experiment,
    subject: Subject,
    metrics: Metrics,
    missing: Mapping[str, str],
    facts: Mapping[str, Any],
    out: Path,
    report: Path | None,
    shown: int,
) -> None:
    """Measure, and report on what is done even if that is not all."""
    from sedic.lab.bench.experiments import KEYS, run
    from sedic.lab.bench.report.build import build
    from sedic.lab.bench.results import Results, Run

    loaded, unavailable, see = metrics.loaded, metrics.missing, metrics.see(out / "features")
    dataset = subject.dataset
    settings = {
        "experiment": experiment.name,
        "dataset": dataset.name,
        "checked": dataset.checked,
        "pictures": len(dataset),
        "profile": subject.profile.name,
        "method": subject.method,
        "settings": subject.settings,
        "metrics": [(metric.name, metric.better) for metric in loaded],
        "cells": experiment.cells,
        "shown": experiment.shown,
        **facts,
    }
    weights = {metric.name: metric.weights for metric in loaded} | subject.weights
    weights |= {"FID and KID": metrics.inception[1]} if metrics.inception else {}
    about = Run(command_line(), subject.seed, settings, weights, {**unavailable, **missing})
    columns = [*experiment.values, *(metric.name for metric in loaded)]
    results = Results(out / "results.csv", about, KEYS, columns)
    for name, reason in about.missing.items():
        note(f"{name}: not available: {printable(reason)}")
    with progress_bar() as progress, stopping() as stopped:
        run(experiment, dataset, loaded, results, out / "pictures", shown, progress, see)
    results.write_parquet()
    for row in results.rows:
        if row["error"] and not row["codec"]:
            note(f"left out: {row['error']}")
    folder = report or out / "report"
    build(results.path, folder)
    tell(folder)
    stopped()


def subject_of(
    dataset: str,
    pictures: int | None,
    profile: str,
    method: str,
    describer: str,
    model: str,
    semantics: Path | None,
    setting: list[str] | None,
    seed: int,
    out: Path | None,
) -> Subject:
    from sedic.lab.bench.experiments.subject import Subject, measured

    if (describer == "sidecar") != (semantics is not None):
        raise typer.BadParameter("--describer sidecar goes with --semantics")
    describe: Describe = measured
    if describer != "measured":
        folder = semantics or (out / "semantics" if out else None)
        describe = _described(describer, model, method, profile, folder)
    found = _dataset(dataset, pictures)
    return Subject(found, describe, profile, method, settings_from(setting or []), seed)


def _described(
    describer: str, model: str, method: str, profile: str, folder: Path | None
) -> Describe:
    """A describer whose answers are kept in ``folder`` as sidecars, and taken from there."""
    from sedic.describe import sidecar
    from sedic.describe.description import Description
    from sedic.files import make_folder
    from sedic.lab.bench.experiments.subject import DETAIL_WORDS, OVERALL_WORDS
    from sedic.picture import Picture
    from sedic.profile import Profile
    from sedic.semantics import Rate

    rate = Rate(1, 3, DETAIL_WORDS, OVERALL_WORDS)
    owner = Profile.load(profile)

    def describe(picture: Picture, name: str, say: Callable[[str], None]) -> Description:
        path = folder / f"{name}.json" if folder else None
        if path is not None and (path.is_file() or describer == "sidecar"):
            height, width = picture.shape[:2]
            return sidecar.load(path, width, height)
        say("describing")
        described = owner.describer(describer, model=model).describe(picture, rate, method)
        found = described.description
        for line in described.notes:
            note(f"{name}: {printable(line)}")
        if path is not None and folder is not None:
            make_folder(folder)
            sidecar.save(found, path)
        return found

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
        from sedic.lab.bench.experiments.feature_files import Features

        return Features(folder, self.inception[0]).keep if self.inception else None


def metrics_of(wanted: str | None, judge: list[Path] | None) -> Metrics:
    from sedic.lab.bench.metrics import NAMES, Metric, Unavailable, load, load_inception

    names = names_of(wanted, (*NAMES, SETS), "metric")
    found = [load(name) for name in names if name != SETS]
    if judge:
        from sedic.lab.bench.experiments.judge import judges

        found += [metric for path in judge for metric in judges(path)]
    inception = load_inception() if SETS in names else None
    loaded = [metric for metric in found if isinstance(metric, Metric)]
    missing = [metric for metric in (*found, inception) if isinstance(metric, Unavailable)]
    home = str(Path.home())  # whose name is nobody's business in a report
    reasons = {metric.name: metric.reason.replace(home, "~") for metric in missing}
    if not loaded:
        raise SedicError("none of these metrics can be had here: " + "; ".join(reasons.values()))
    return Metrics(loaded, reasons, None if isinstance(inception, Unavailable) else inception)


def names_of(text: str | None, known: Iterable[str], what: str) -> list[str]:
    """Names with commas between, in any case; all that are known for none."""
    if text is None:
        return list(known)
    return [one_of(name.strip(), known, what) for name in text.split(",") if name.strip()]


def one_of(name: str, known: Iterable[str], what: str) -> str:
    for candidate in known:
        if candidate.casefold() == name.casefold():
            return candidate
    raise SedicError(f"unknown {what} {printable(name)!r}; one of {', '.join(known)}")


def numbers_of(text: str, low: float, high: float, option: str) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",") if item.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers with commas between") from error
    if not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"{option}: {low:g} to {high:g}")
    return numbers


def command_line() -> str:
    return shlex.join(["sedic", *sys.argv[1:]])


def tell(folder: Path) -> None:
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
        TextColumn("{task.description}"),
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
