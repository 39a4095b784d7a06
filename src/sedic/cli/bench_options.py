"""Options that the commands of ``sedic bench`` share, and the subjects and metrics they make."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from sedic.cli.bench_console import command_line, names_of, progress_bar, stopping, tell
from sedic.cli.console import note
from sedic.cli.options import choice, settings_from
from sedic.errors import SedicError
from sedic.files import printable
from sedic.parts import DESCRIBERS
from sedic.semantics import METHODS

if TYPE_CHECKING:
    from sedic.lab.bench.datasets import Dataset
    from sedic.lab.bench.experiments import Experiment, PictureHook
    from sedic.lab.bench.experiments.subject import Describe, Subject
    from sedic.lab.bench.inception import Inception
    from sedic.lab.bench.metrics import Metric
    from sedic.lab.bench.rivals import Coder

SETS = "FID and KID"


@dataclass(frozen=True)
class PictureOptions:
    """What is measured on."""

    PANEL: ClassVar[str] = "What is measured"

    dataset: Annotated[
        str, typer.Option("--dataset", help="kodak, div2k, clic2020, samples or folder:PATH.")
    ] = "kodak"
    pictures: Annotated[
        int | None, typer.Option("--pictures", min=1, help="Only the first so many pictures.")
    ] = None


@dataclass(frozen=True)
class SubjectOptions(PictureOptions):
    """What is measured, and on what."""

    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini"
    describer: Annotated[
        str | None,
        choice(DESCRIBERS, "Who finds the words, as in `sedic compress` (default: the profile's)."),
    ] = None
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

    PANEL: ClassVar[str] = "Metrics, results and report"

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
    """Facts of a run for its results file, besides subject and metrics.

    ``subject``: the name of our curve or variant, or ""; ``families``: the curves of the report,
    each with the codecs whose best results it shows; ``missing``: rivals that are not installed,
    and why; ``weights``: those of our side, if they are not the subject's.
    """

    subject: str
    families: list[tuple[str, list[str]]]
    more: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


def measure(
    experiment: Experiment,
    subject: Subject,
    options: MeasureOptions,
    describer: str | None,
    facts: Facts,
) -> None:
    """Measure, and write a report, even of an incomplete run. ``describer`` None: the profile's."""
    from sedic.lab.bench.experiments import KEYS, Gallery, run
    from sedic.lab.bench.report.build import build_report, check_libraries
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
        "shown": experiment.shown_cells,
        "subject": facts.subject,
        "families": facts.families,
        "describer": describer or subject.profile.describer_name,
        **facts.more,
    }
    weights = {metric.name: metric.weights for metric in metrics.loaded}
    weights |= facts.weights or subject.weights
    weights |= {SETS: metrics.inception[1]} if metrics.inception else {}
    missing = {**metrics.missing, **facts.missing}
    about = Run(command_line(), subject.seed, settings, weights, missing)
    columns = [*experiment.values, *(metric.name for metric in metrics.loaded)]
    results = Results(out / "results.csv", about, KEYS, columns)
    for name, reason in missing.items():
        note(f"{name}: not available: {printable(reason)}")
    with progress_bar() as progress, stopping() as stopped:
        gallery = Gallery(out / "pictures", options.shown)
        hook = metrics.hook(out / "features")
        run(experiment, dataset, metrics.loaded, results, gallery, progress, hook)
    results.write_parquet()
    for row in results.rows:
        if row["error"] and not row["codec"]:
            note(f"left out: {row['error']}")
    folder = options.report or out / "report"
    for failure in build_report(results.path, folder):
        note(f"left out of the report: {failure}")
    tell(folder)
    stopped()


def subject_of(options: SubjectOptions, out: Path | None, method: str = "sedic") -> Subject:
    """The codec and the pictures that ``options`` name.

    ``out``: the folder of the run, in which descriptions are kept; None: they are not kept.
    """
    from sedic.lab.bench.experiments.subject import Subject, measured

    if (options.describer == "sidecar") != (options.semantics is not None):
        raise typer.BadParameter("--describer sidecar goes with --semantics")
    describe: Describe = measured
    if options.describer != "measured":  # which asks no model, so nothing of it is kept
        folder = options.semantics or (out / "semantics" if out else None)
        describe = _described(options, method, folder)
    dataset = dataset_of(options)
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
            return sidecar.load_description(path, width, height)
        say("describing")
        describer = owner.describer(options.describer, model=options.describer_model)
        described = describer.describe(picture, rate, method)
        for line in described.notes:
            note(f"{name}: {printable(line)}")
        if path is not None and folder is not None:
            make_folder(folder)
            sidecar.save_description(described.description, path)
        return described.description

    return describe


def dataset_of(options: PictureOptions) -> Dataset:
    """The pictures that ``options`` name; ``SedicError`` if two have one name."""
    from sedic.lab.bench.datasets import open_dataset

    dataset = open_dataset(options.dataset)
    if options.pictures is not None and options.pictures < len(dataset):
        first = f"{dataset.checked}; the first {options.pictures} of {len(dataset)}"
        dataset = replace(dataset, samples=dataset.samples[: options.pictures], checked=first)
    twice = [name for name, n in Counter(one.name for one in dataset).items() if n > 1]
    if twice:
        raise SedicError(
            f"two pictures are named {twice[0]}: their results could not be told apart"
        )
    return dataset


def scaled(subject: Subject, sizes: list[str], folder: Path) -> dict[str, Subject]:
    """The subject on its first picture scaled to every size, WIDTHxHEIGHT, by that size.

    The pictures are written to ``folder``. Without sizes, the subject as it is.
    """
    import numpy as np
    from PIL import Image

    from sedic.files import make_folder
    from sedic.lab.bench.datasets import open_dataset
    from sedic.lab.bench.experiments.subject import Subject
    from sedic.picture import save_picture
    from sedic.semantics import check_size

    picture = subject.dataset.samples[0].load()
    if not sizes:
        return {f"{picture.shape[1]}x{picture.shape[0]}": subject}
    subjects = {}
    for size in sizes:
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", size)
        if match is None:
            raise typer.BadParameter(f"--size {printable(size)}: WIDTHxHEIGHT, as in 768x512")
        width, height = map(int, match.groups())
        check_size(width, height)
        place = folder / size
        make_folder(place)
        image = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        save_picture(np.asarray(image), place / f"{size}.png", force=True)
        subjects[size] = Subject(
            open_dataset(f"folder:{place}"),
            subject.describe,
            subject.profile,
            subject.method,
            subject.settings,
            subject.seed,
        )
    return subjects


def coders_of(names: str | None, commands: list[str] | None) -> tuple[list[Coder], dict[str, str]]:
    """The rivals of these names (all for None) and those of `--rival`; why some are missing."""
    from sedic.lab.bench.commands import CommandCoder
    from sedic.lab.bench.rivals import NAMES, Missing, find_rivals

    rivals = find_rivals([] if names == "none" else names_of(names, NAMES, "codec"))
    coders = [coder for coder in rivals if not isinstance(coder, Missing)]
    coders += [CommandCoder.parse(text) for text in commands or []]
    return coders, {coder.name: coder.reason for coder in rivals if isinstance(coder, Missing)}


def families_of(coders: list[Coder]) -> list[tuple[str, list[str]]]:
    """Every rival's curve with its codecs at three sizes."""
    from sedic.lab.bench.rivals import sizes

    return [(coder.name, [one.name for one in sizes(coder)]) for coder in coders]


def hows_of(coders: list[Coder]) -> dict[str, Any]:
    """The command or call of every rival, for the results file."""
    return {"rivals": {coder.name: coder.how for coder in coders}}


@dataclass(frozen=True)
class Metrics:
    """The available metrics, the reasons why others are missing, and the network of FID and KID."""

    loaded: list[Metric]
    missing: dict[str, str]
    inception: tuple[Inception, str] | None

    def hook(self, folder: Path) -> PictureHook | None:
        """A hook that writes each picture's features to ``folder``; None without Inception."""
        from sedic.lab.bench.experiments.feature_files import Features

        return Features(folder, self.inception[0]).keep if self.inception else None


def metrics_of(wanted: str | None, judge: list[Path] | None) -> Metrics:
    """The metrics of these names (all for None) and those of ``judge``'s models."""
    from sedic.lab.bench.metrics import NAMES, Metric, Unavailable, load_inception, load_metric

    names = names_of(wanted, (*NAMES, SETS), "metric")
    metrics = [load_metric(name) for name in names if name != SETS]
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
