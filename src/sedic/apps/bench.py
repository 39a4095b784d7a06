"""``sedic bench``: the papers' experiments on whatever weights are here. Imports stay light."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedic.apps.compress import Describer, settings_from
from sedic.apps.compress import Method as System
from sedic.apps.console import note
from sedic.files import printable
from sedic.semantics import MAX_OBJECTS, SedicError

if TYPE_CHECKING:
    from sedic.evaluation.datasets import Dataset
    from sedic.evaluation.experiments import Experiment, See
    from sedic.evaluation.experiments.subject import Describe, Subject
    from sedic.evaluation.inception import Inception
    from sedic.evaluation.metrics import Metric

bench_app = typer.Typer(
    help="Measure what the codec is worth: the papers' experiments, beside real codecs.\n\n"
    "Every command writes a report (index.html and report.json). One that is stopped, by Ctrl-C or"
    " otherwise, goes on where it was, and reports on what is done.",
    no_args_is_help=True,
)

_SETS = "FID and KID"

DatasetName = Annotated[
    str, typer.Option("--dataset", help="kodak, div2k, clic2020 or folder:PATH.")
]
Pictures = Annotated[
    int | None, typer.Option("--pictures", min=1, help="Only the first so many pictures.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder of results.csv [default: runs/bench-EXPERIMENT]")
]
Report = Annotated[
    Path | None, typer.Option(help="Folder of the report [default: report in --out]")
]
Metrics = Annotated[
    str | None, typer.Option(help="Names with commas between [default: all that there are].")
]
Judge = Annotated[
    list[Path] | None,
    typer.Option(
        help="Does it still see the same? A transformers folder (image classification or object"
        " detection) or an .onnx classifier; repeat for more."
    ),
]
ProfileName = Annotated[str, typer.Option(help="Which set of models.")]
Method = Annotated[System, typer.Option(help="The system: which words and masks are sent.")]
Who = Annotated[Describer, typer.Option(help="Who finds the words, as in `sedic compress`.")]
Model = Annotated[str, typer.Option(help="Of the describer, as in `sedic compress`.")]
Semantics = Annotated[
    Path | None,
    typer.Option(
        help="Folder of sidecars, PICTURE.json. What a language model says is kept in the folder"
        " semantics in --out, so that it is asked once."
    ),
]
Setting = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the decoder; repeat for more.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")]
Shown = Annotated[int, typer.Option(min=0, help="The report shows the first so many pictures.")]


@bench_app.command("rd")
def rd(
    dataset: DatasetName = "kodak",
    pictures: Pictures = None,
    bpp: Annotated[str, typer.Option(help="Limits in bits per pixel.")] = "0.02,0.03,0.04,0.05",
    objects: Annotated[
        str, typer.Option(help="Also a curve for at most so many objects each, as in 0,1,2,3.")
    ] = "",
    rivals: Annotated[
        str | None, typer.Option(help='Codecs with commas between, or "none" [default: all].')
    ] = None,
    rival: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:ENCODE:DECODE",
            help="Any codec by its commands, e.g. 'mine:enc {input} {output} -q {quality=51..0}:"
            "dec {input} {output}'; repeat for more.",
        ),
    ] = None,
    metrics: Metrics = None,
    judge: Judge = None,
    profile: ProfileName = "mini",
    method: Method = System.sedic,
    describer: Who = Describer.measured,
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 4,
    out: Out = None,
    report: Report = None,
) -> None:
    """Rate-distortion-perception curves (Fig. 3) and pictures (Fig. 4), rivals at equal bytes."""
    from sedic.evaluation.commands import CommandCoder
    from sedic.evaluation.experiments.curves import OURS, REFERENCE, Curves
    from sedic.evaluation.rivals import NAMES, Missing, find, sizes

    out = out or Path("runs/bench-rd")
    names = [] if rivals == "none" else _names(rivals, NAMES, "codec")
    found = find(names)
    coders = [coder for coder in found if not isinstance(coder, Missing)]
    coders += [CommandCoder.parse(text) for text in rival or []]
    subject = _subject(
        dataset,
        pictures,
        profile,
        method,
        describer,
        describer_model,
        semantics,
        setting,
        seed,
        out,
    )
    counts = [int(count) for count in _numbers(objects, 0, MAX_OBJECTS, "--objects")]
    curves = Curves(subject, _numbers(bpp, 1e-4, 64, "--bpp"), counts, coders)
    families = [(name, [name]) for name in (*curves.ours, REFERENCE)]
    families += [(coder.name, [one.name for one in sizes(coder)]) for coder in coders]
    _run(
        curves,
        subject,
        _metrics(metrics, judge),
        {coder.name: coder.reason for coder in found if isinstance(coder, Missing)},
        {
            "subject": OURS,
            "families": families,
            "rivals": {coder.name: coder.how for coder in coders},
            "describer": describer.value,
        },
        out,
        report,
        shown,
    )


@bench_app.command("ablation")
def ablation(
    dataset: DatasetName = "kodak",
    pictures: Pictures = None,
    bpp: Annotated[float, typer.Option(help="Limit of the whole file, J = 3.")] = 0.045,
    metrics: Metrics = None,
    judge: Judge = None,
    profile: ProfileName = "mini",
    describer: Who = Describer.measured,
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 3,
    out: Out = None,
    report: Report = None,
) -> None:
    """What each part is worth (Table 1), and masks, guidance, blending and the right words."""
    from sedic.evaluation.experiments.ablation import PUBLISHED, VARIANTS, WHOLE, Ablation

    out = out or Path("runs/bench-ablation")
    subject = _subject(
        *(dataset, pictures, profile, System.sedic, describer, describer_model, semantics),
        *(setting, seed, out),
    )
    facts = {
        "subject": WHOLE,
        "families": [(name, [name]) for name in VARIANTS],
        "published": PUBLISHED,
        "describer": describer.value,
    }
    experiment = Ablation(subject, bpp)
    _run(experiment, subject, _metrics(metrics, judge), {}, facts, out, report, shown)


@bench_app.command("steps")
def steps(
    dataset: DatasetName = "kodak",
    pictures: Pictures = None,
    bpp: Annotated[float, typer.Option(help="Limit of the files.")] = 0.045,
    counts: Annotated[str, typer.Option(help="Numbers of steps.")] = "1,2,5,10,20,50",
    metrics: Metrics = None,
    judge: Judge = None,
    profile: ProfileName = "mini",
    method: Method = System.sedic,
    describer: Who = Describer.measured,
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 2,
    out: Out = None,
    report: Report = None,
) -> None:
    """How many denoising steps it takes (Fig. 5 and 6), for objects and for the whole."""
    from sedic.evaluation.experiments.steps import SETTINGS, Steps

    out = out or Path("runs/bench-steps")
    subject = _subject(
        dataset,
        pictures,
        profile,
        method,
        describer,
        describer_model,
        semantics,
        setting,
        seed,
        out,
    )
    facts = {
        "subject": "",
        "families": [(name, [name]) for name in SETTINGS],
        "describer": describer.value,
    }
    experiment = Steps(subject, bpp, [int(n) for n in _numbers(counts, 1, 50, "--counts")])
    _run(experiment, subject, _metrics(metrics, judge), {}, facts, out, report, shown)


@bench_app.command("speed")
def speed(
    dataset: DatasetName = "kodak",
    bpp: Annotated[float, typer.Option(help="Limit of the file.")] = 0.045,
    rounds: Annotated[int, typer.Option(min=1, help="After one that warms up.")] = 5,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda, or both [default: what is here].")
    ] = None,
    profile: ProfileName = "mini",
    method: Method = System.sedic,
    describer: Who = Describer.measured,
    describer_model: Model = "",
    setting: Setting = None,
    out: Out = None,
    report: Report = None,
) -> None:
    """Where the time goes (Table 2), on the first picture of the dataset."""
    import torch

    from sedic.evaluation.experiments import speed as clock
    from sedic.evaluation.report.times import build
    from sedic.evaluation.results import Run

    here = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = device or here
    if wrong := set(devices) - set(here):
        raise SedicError(f"device {printable(wrong.pop())}: here is {' and '.join(here)}")
    out = out or Path("runs/bench-speed")
    subject = _subject(
        dataset, 1, profile, method, describer, describer_model, None, setting, 0, None
    )
    found: dict[str, clock.Speed] = {}
    with _bar() as progress, _stopped() as stopped:
        for number, name in enumerate(devices):
            for count, measured in enumerate(clock.measure(subject, 0, bpp, rounds, name), 1):
                found[name] = measured
                progress(number * rounds + count, len(devices) * rounds, name)
    facts = {"dataset": dataset, "picture": subject.dataset.samples[0].name, "bpp": bpp}
    facts |= {"profile": profile, "method": method.value, "describer": describer.value}
    run = Run(_command(), 0, facts, subject.weights)
    _tell(build(list(found.values()), run, report or out / "report"))
    stopped()


@bench_app.command("bd-rate")
def bd_rate(
    results: Annotated[Path, typer.Argument(help="A results.csv of `sedic bench rd`.")],
    anchor: Annotated[str, typer.Argument(help="The codec whose bytes are 100 %.")],
    other: Annotated[str, typer.Argument(help="The codec to compare, as named in the report.")],
    metric: Annotated[str | None, typer.Option(help="[default: every one of the file]")] = None,
) -> None:
    """How many bytes one codec needs where another needs a hundred (Bjontegaard's delta rate)."""
    from sedic.evaluation import bd_rate as bd
    from sedic.evaluation.report.summary import summarise
    from sedic.evaluation.results import read_results

    summary = summarise(read_results(results))
    for name in _names(metric, list(summary.metrics), "metric"):
        known = summary.curves[name]
        first, second = (
            [(best.bpp, best.value) for best in known[_one(codec, known, "codec")]]
            for codec in (anchor, other)
        )
        try:
            rate = bd.bd_rate(first, second)
            place = f"{rate.low:.4g} to {rate.high:.4g}, {rate.overlap:.0%} of their range"
            typer.echo(f"{name}: {rate.percent:+.1f} % ({place})")
        except SedicError as error:
            typer.echo(f"{name}: {error}")


@bench_app.command("report")
def rebuild(
    results: Annotated[Path, typer.Argument(help="A results.csv of `sedic bench`.")],
    report: Annotated[Path | None, typer.Option(help="[default: report beside it]")] = None,
) -> None:
    """Make the report anew from results that are there, with the pictures beside them."""
    from sedic.evaluation.report.build import build

    folder = report or results.parent / "report"
    build(results, folder)
    _tell(folder)


def _run(
    experiment: Experiment,
    subject: Subject,
    metrics: _Metrics,
    missing: Mapping[str, str],
    facts: Mapping[str, Any],
    out: Path,
    report: Path | None,
    shown: int,
) -> None:
    """Measure, and report on what is done even if that is not all."""
    from sedic.evaluation.experiments import KEYS, run
    from sedic.evaluation.report.build import build
    from sedic.evaluation.results import Results, Run

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
    about = Run(_command(), subject.seed, settings, weights, {**unavailable, **missing})
    columns = [*experiment.values, *(metric.name for metric in loaded)]
    results = Results(out / "results.csv", about, KEYS, columns)
    for name, reason in about.missing.items():
        note(f"{name}: not available: {printable(reason)}")
    with _bar() as progress, _stopped() as stopped:
        run(experiment, dataset, loaded, results, out / "pictures", shown, progress, see)
    results.write_parquet()
    for row in results.rows:
        if row["error"] and not row["codec"]:
            note(f"left out: {row['error']}")
    folder = report or out / "report"
    build(results.path, folder)
    _tell(folder)
    stopped()


def _subject(
    dataset: str,
    pictures: int | None,
    profile: str,
    method: System,
    describer: Describer,
    model: str,
    semantics: Path | None,
    setting: list[str] | None,
    seed: int,
    out: Path | None,
) -> Subject:
    from sedic.evaluation.experiments.subject import Subject, measured

    if (describer is Describer.sidecar) != (semantics is not None):
        raise typer.BadParameter("--describer sidecar goes with --semantics")
    describe: Describe = measured
    if describer is not Describer.measured:
        folder = semantics or (out / "semantics" if out else None)
        describe = _described(describer, model, method.value, profile, folder)
    found = _dataset(dataset, pictures)
    return Subject(found, describe, profile, method.value, settings_from(setting or []), seed)


def _described(
    describer: Describer, model: str, method: str, profile: str, folder: Path | None
) -> Describe:
    """A describer whose answers are kept in ``folder`` as sidecars, and taken from there."""
    from sedic.analysis import Description, sidecar
    from sedic.apps.describing import describe as ask
    from sedic.evaluation.experiments.subject import DETAIL_WORDS, OVERALL_WORDS
    from sedic.files import make_folder
    from sedic.picture import Picture
    from sedic.semantics import Rate

    rate = Rate(1, 3, DETAIL_WORDS, OVERALL_WORDS)

    def describe(picture: Picture, name: str, say: Callable[[str], None]) -> Description:
        path = folder / f"{name}.json" if folder else None
        if path is not None and (path.is_file() or describer is Describer.sidecar):
            height, width = picture.shape[:2]
            return sidecar.load(path, width, height)
        found, notes = ask(picture, describer.value, model, method, profile, rate, say)
        for line in notes:
            note(f"{name}: {printable(line)}")
        if path is not None and folder is not None:
            make_folder(folder)
            sidecar.save(found, path)
        return found

    return describe


def _dataset(name: str, pictures: int | None) -> Dataset:
    from sedic.evaluation.datasets import open_dataset

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
class _Metrics:
    """What can be measured, why the rest cannot, and the network of FID and KID if it is here."""

    loaded: list[Metric]
    missing: dict[str, str]
    inception: tuple[Inception, str] | None

    def see(self, folder: Path) -> See | None:
        from sedic.evaluation.experiments.features import Features

        return Features(folder, self.inception[0]).keep if self.inception else None


def _metrics(wanted: str | None, judge: list[Path] | None) -> _Metrics:
    from sedic.evaluation.metrics import NAMES, Metric, Unavailable, load, load_inception

    names = _names(wanted, (*NAMES, _SETS), "metric")
    found = [load(name) for name in names if name != _SETS]
    if judge:
        from sedic.evaluation.experiments.judge import judges

        found += [metric for path in judge for metric in judges(path)]
    inception = load_inception() if _SETS in names else None
    loaded = [metric for metric in found if isinstance(metric, Metric)]
    missing = [metric for metric in (*found, inception) if isinstance(metric, Unavailable)]
    home = str(Path.home())  # whose name is nobody's business in a report
    reasons = {metric.name: metric.reason.replace(home, "~") for metric in missing}
    if not loaded:
        raise SedicError("none of these metrics can be had here: " + "; ".join(reasons.values()))
    return _Metrics(loaded, reasons, None if isinstance(inception, Unavailable) else inception)


def _names(text: str | None, known: Iterable[str], what: str) -> list[str]:
    """Names with commas between, in any case; all that are known for none."""
    if text is None:
        return list(known)
    return [_one(name.strip(), known, what) for name in text.split(",") if name.strip()]


def _one(name: str, known: Iterable[str], what: str) -> str:
    for candidate in known:
        if candidate.casefold() == name.casefold():
            return candidate
    raise SedicError(f"unknown {what} {printable(name)!r}; one of {', '.join(known)}")


def _numbers(text: str, low: float, high: float, option: str) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",") if item.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers with commas between") from error
    if not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"{option}: {low:g} to {high:g}")
    return numbers


def _command() -> str:
    return shlex.join(["sedic", *sys.argv[1:]])


def _tell(folder: Path) -> None:
    note(f"{printable(folder / 'index.html')}: written")


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
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
def _stopped() -> Iterator[Callable[[], None]]:
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
