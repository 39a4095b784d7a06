"""``sedic bench``: the papers' experiments on whatever weights are here. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.bench_options import (
    command_line,
    measure,
    metrics_of,
    names_of,
    numbers_of,
    one_of,
    progress_bar,
    stopping,
    subject_of,
    tell,
)
from sedic.cli.options import choice
from sedic.errors import SedicError
from sedic.files import printable
from sedic.parts import DESCRIBERS
from sedic.semantics import (
    MAX_OBJECTS,
    METHODS,
)

bench_app = typer.Typer(
    help="Measure what the codec is worth: the papers' experiments, beside real codecs.\n\n"
    "Every command writes a report (index.html and report.json). One that is stopped, by Ctrl-C or"
    " otherwise, goes on where it was, and reports on what is done.",
    no_args_is_help=True,
)

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
Method = Annotated[
    str,
    typer.Option(metavar="|".join(METHODS), help="The system: which words and masks are sent."),
]
Who = Annotated[str, choice(DESCRIBERS, "Who finds the words, as in `sedic compress`.")]
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
    method: Method = "sedic",
    describer: Who = "measured",
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 4,
    out: Out = None,
    report: Report = None,
) -> None:
    """Rate-distortion-perception curves (Fig. 3) and pictures (Fig. 4), rivals at equal bytes."""
    from sedic.lab.bench.commands import CommandCoder
    from sedic.lab.bench.experiments.curves import OURS, REFERENCE, Curves
    from sedic.lab.bench.rivals import NAMES, Missing, find, sizes

    out = out or Path("runs/bench-rd")
    names = [] if rivals == "none" else names_of(rivals, NAMES, "codec")
    found = find(names)
    coders = [coder for coder in found if not isinstance(coder, Missing)]
    coders += [CommandCoder.parse(text) for text in rival or []]
    subject = subject_of(
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
    counts = [int(count) for count in numbers_of(objects, 0, MAX_OBJECTS, "--objects")]
    curves = Curves(subject, numbers_of(bpp, 1e-4, 64, "--bpp"), counts, coders)
    families = [(name, [name]) for name in (*curves.ours, REFERENCE)]
    families += [(coder.name, [one.name for one in sizes(coder)]) for coder in coders]
    measure(
        curves,
        subject,
        metrics_of(metrics, judge),
        {coder.name: coder.reason for coder in found if isinstance(coder, Missing)},
        {
            "subject": OURS,
            "families": families,
            "rivals": {coder.name: coder.how for coder in coders},
            "describer": describer,
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
    describer: Who = "measured",
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 3,
    out: Out = None,
    report: Report = None,
) -> None:
    """What each part is worth (Table 1), and masks, guidance, blending and the right words."""
    from sedic.lab.bench.experiments.ablation import PUBLISHED, VARIANTS, WHOLE, Ablation

    out = out or Path("runs/bench-ablation")
    subject = subject_of(
        *(dataset, pictures, profile, "sedic", describer, describer_model, semantics),
        *(setting, seed, out),
    )
    facts = {
        "subject": WHOLE,
        "families": [(name, [name]) for name in VARIANTS],
        "published": PUBLISHED,
        "describer": describer,
    }
    experiment = Ablation(subject, bpp)
    measure(experiment, subject, metrics_of(metrics, judge), {}, facts, out, report, shown)


@bench_app.command("steps")
def steps(
    dataset: DatasetName = "kodak",
    pictures: Pictures = None,
    bpp: Annotated[float, typer.Option(help="Limit of the files.")] = 0.045,
    counts: Annotated[str, typer.Option(help="Numbers of steps.")] = "1,2,5,10,20,50",
    metrics: Metrics = None,
    judge: Judge = None,
    profile: ProfileName = "mini",
    method: Method = "sedic",
    describer: Who = "measured",
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 2,
    out: Out = None,
    report: Report = None,
) -> None:
    """How many denoising steps it takes (Fig. 5 and 6), for objects and for the whole."""
    from sedic.lab.bench.experiments.steps import SETTINGS, Steps

    out = out or Path("runs/bench-steps")
    subject = subject_of(
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
        "describer": describer,
    }
    experiment = Steps(subject, bpp, [int(n) for n in numbers_of(counts, 1, 50, "--counts")])
    measure(experiment, subject, metrics_of(metrics, judge), {}, facts, out, report, shown)


@bench_app.command("swaps")
def swaps(
    dataset: DatasetName = "kodak",
    pictures: Pictures = None,
    bpp: Annotated[float, typer.Option(help="Limit of the whole file, J = 2.")] = 0.045,
    metrics: Metrics = None,
    judge: Judge = None,
    profile: ProfileName = "mini",
    describer: Who = "measured",
    describer_model: Model = "",
    semantics: Semantics = None,
    setting: Setting = None,
    seed: Seed = 0,
    shown: Shown = 3,
    out: Out = None,
    report: Report = None,
) -> None:
    """Whether words and masks matter: an object's exchanged for another's, its region judged."""
    from sedic.lab.bench.experiments.swaps import SENT, SWAPS, Swaps

    out = out or Path("runs/bench-swaps")
    subject = subject_of(
        *(dataset, pictures, profile, "sedic", describer, describer_model, semantics),
        *(setting, seed, out),
    )
    facts = {
        "subject": SENT,
        "families": [(name, [name]) for name in SWAPS],
        "describer": describer,
    }
    experiment = Swaps(subject, bpp)
    measure(experiment, subject, metrics_of(metrics, judge), {}, facts, out, report, shown)


@bench_app.command("speed")
def speed(
    dataset: DatasetName = "kodak",
    bpp: Annotated[float, typer.Option(help="Limit of the file.")] = 0.045,
    rounds: Annotated[int, typer.Option(min=1, help="After one that warms up.")] = 5,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda, or both [default: what is here].")
    ] = None,
    profile: ProfileName = "mini",
    method: Method = "sedic",
    describer: Who = "measured",
    describer_model: Model = "",
    setting: Setting = None,
    out: Out = None,
    report: Report = None,
) -> None:
    """Where the time goes (Table 2), on the first picture of the dataset."""
    import torch

    from sedic.lab.bench.experiments import speed as clock
    from sedic.lab.bench.report.times import build
    from sedic.lab.bench.results import Run

    here = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = device or here
    if wrong := set(devices) - set(here):
        raise SedicError(f"device {printable(wrong.pop())}: here is {' and '.join(here)}")
    out = out or Path("runs/bench-speed")
    subject = subject_of(
        dataset, 1, profile, method, describer, describer_model, None, setting, 0, None
    )
    found: dict[str, clock.Speed] = {}
    with progress_bar() as progress, stopping() as stopped:
        for number, name in enumerate(devices):
            for count, measured in enumerate(clock.measure(subject, 0, bpp, rounds, name), 1):
                found[name] = measured
                progress(number * rounds + count, len(devices) * rounds, name)
    facts = {"dataset": dataset, "picture": subject.dataset.samples[0].name, "bpp": bpp}
    facts |= {"profile": profile, "method": method, "describer": describer}
    run = Run(command_line(), 0, facts, subject.weights)
    tell(build(list(found.values()), run, report or out / "report"))
    stopped()


@bench_app.command("bd-rate")
def bd_rate(
    results: Annotated[Path, typer.Argument(help="A results.csv of `sedic bench rd`.")],
    anchor: Annotated[str, typer.Argument(help="The codec whose bytes are 100 %.")],
    other: Annotated[str, typer.Argument(help="The codec to compare, as named in the report.")],
    metric: Annotated[str | None, typer.Option(help="[default: every one of the file]")] = None,
) -> None:
    """How many bytes one codec needs where another needs a hundred (Bjontegaard's delta rate)."""
    from sedic.lab.bench import bd_rate as bd
    from sedic.lab.bench.report.summary import summarise
    from sedic.lab.bench.results import read_results

    summary = summarise(read_results(results))
    for name in names_of(metric, list(summary.metrics), "metric"):
        known = summary.curves[name]
        first, second = (
            [(best.bpp, best.value) for best in known[one_of(codec, known, "codec")]]
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
    from sedic.lab.bench.report.build import build

    folder = report or results.parent / "report"
    build(results, folder)
    tell(folder)
