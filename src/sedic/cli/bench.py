"""``sedic bench``: the papers' experiments on whatever weights are here. Imports stay light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.bench_console import (
    command_line,
    names_of,
    numbers_of,
    one_of,
    progress_bar,
    stopping,
    tell,
)
from sedic.cli.bench_options import (
    Facts,
    MeasureOptions,
    Method,
    PictureOptions,
    SubjectOptions,
    coders_of,
    dataset_of,
    families_of,
    hows_of,
    measure,
    scaled,
    subject_of,
)
from sedic.cli.bench_small import byte_use, large, small
from sedic.cli.console import note
from sedic.cli.option_groups import grouped
from sedic.errors import SedicError
from sedic.files import printable
from sedic.semantics import MAX_OBJECTS

bench_app = typer.Typer(
    help="Measure what the codec is worth: the papers' experiments, beside real codecs.\n\n"
    "Every command writes a report (index.html and report.json). One that is stopped, by Ctrl-C or"
    " otherwise, goes on where it was, and reports on what is done.",
    no_args_is_help=True,
)

Rivals = Annotated[
    str | None, typer.Option(help='Codecs with commas between, or "none" (default: all).')
]
OwnRivals = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME:ENCODE:DECODE",
        help="Any codec by its commands, e.g. 'mine:enc {input} {output} -q {quality=51..0}:"
        "dec {input} {output}'; repeat for more.",
    ),
]
Limit = Annotated[float, typer.Option("--bpp", help="Limit of the whole file.")]


@bench_app.command("rd")
@grouped
def rd(
    *,
    subject: SubjectOptions,
    options: MeasureOptions,
    method: Method = "sedic",
    bpp: Annotated[str, typer.Option(help="Limits in bits per pixel.")] = "0.02,0.03,0.04,0.05",
    objects: Annotated[
        str, typer.Option(help="Also a curve for at most so many objects each, as in 0,1,2,3.")
    ] = "",
    rivals: Rivals = None,
    rival: OwnRivals = None,
) -> None:
    """Rate-distortion-perception curves (Fig. 3) and pictures (Fig. 4), rivals at equal bytes."""
    from sedic.lab.bench.experiments.curves import OURS, REFERENCE, Curves
    from sedic.lab.bench.rivals import rivals_of

    coders, missing = coders_of(rivals, rival)
    counts = [int(count) for count in numbers_of(objects, 0, MAX_OBJECTS, "--objects")]
    limits = numbers_of(bpp, 1e-4, 64, "--bpp")
    codec = subject_of(subject, options.folder("rd"), method)
    curves = Curves(codec, limits, counts, rivals_of(coders))
    families = [(name, [name]) for name in (*curves.ours, REFERENCE)] + families_of(coders)
    facts = Facts(OURS, families, hows_of(coders), missing)
    measure(curves, codec, options, subject.describer, facts)


@bench_app.command("ablation")
@grouped
def ablation(*, subject: SubjectOptions, options: MeasureOptions, bpp: Limit = 0.045) -> None:
    """What each part is worth (Table 1), and masks, guidance, blending and the right words."""
    from sedic.lab.bench.experiments.ablation import PUBLISHED, VARIANTS, WHOLE, Ablation

    codec = subject_of(subject, options.folder("ablation"))
    facts = Facts(WHOLE, [(name, [name]) for name in VARIANTS], {"published": PUBLISHED})
    measure(Ablation(codec, bpp), codec, options, subject.describer, facts)


@bench_app.command("steps")
@grouped
def steps(
    *,
    subject: SubjectOptions,
    options: MeasureOptions,
    method: Method = "sedic",
    bpp: Limit = 0.045,
    counts: Annotated[str, typer.Option(help="Numbers of steps.")] = "1,2,5,10,20,50",
) -> None:
    """How many denoising steps it takes (Fig. 5 and 6), for objects and for the whole."""
    from sedic.lab.bench.experiments.steps import SETTINGS, Steps

    numbers = [int(number) for number in numbers_of(counts, 1, 50, "--counts")]
    codec = subject_of(subject, options.folder("steps"), method)
    facts = Facts("", [(name, [name]) for name in SETTINGS])
    measure(Steps(codec, bpp, numbers), codec, options, subject.describer, facts)


@bench_app.command("swaps")
@grouped
def swaps(*, subject: SubjectOptions, options: MeasureOptions, bpp: Limit = 0.045) -> None:
    """Whether words and masks matter: an object's exchanged for another's, its region judged."""
    from sedic.lab.bench.experiments.swaps import AS_SENT, SWAPS, Swaps

    codec = subject_of(subject, options.folder("swaps"))
    facts = Facts(AS_SENT, [(name, [name]) for name in SWAPS])
    measure(Swaps(codec, bpp), codec, options, subject.describer, facts)


@bench_app.command("reference")
@grouped
def reference(
    *,
    pictures: PictureOptions,
    options: MeasureOptions,
    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini",
    bpp: Annotated[str, typer.Option(help="Limits in bits per pixel.")] = "0.01,0.02,0.03,0.045",
    codec: Annotated[
        list[str] | None,
        typer.Option(help="A reference codec; repeat for more (default: the profile's)."),
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="Other weights of the first codec, to compare with.")
    ] = None,
    rivals: Rivals = None,
    rival: OwnRivals = None,
) -> None:
    """The reference image alone, in files without words, beside rivals at equal bytes."""
    from sedic.encoder import Encoder
    from sedic.lab.bench.experiments.reference_images import ReferenceImages
    from sedic.lab.bench.experiments.subject import Subject, measured, weights_of
    from sedic.lab.bench.rivals import rivals_of
    from sedic.parts import REFERENCE_CODECS
    from sedic.profile import Profile

    owner = Profile.load(profile)
    names = [one_of(name, REFERENCE_CODECS.names, "reference codec") for name in codec or []]
    names = names or [owner.reference_name]
    encoders = {
        name: Encoder(Profile.load(profile, reference=owner.reference_codec(name)))
        for name in names
    }
    weights: dict[str, str] = {}
    if before is not None:
        earlier = REFERENCE_CODECS[names[0]].make(weights=before, dtype=None)
        encoders[f"{names[0]}, before"] = Encoder(Profile.load(profile, reference=earlier))
        weights[f"{names[0]}, before"] = f"fingerprint {earlier.fingerprint.hex()[:16]}"
    coders, missing = coders_of(rivals, rival)
    limits = numbers_of(bpp, 1e-4, 64, "--bpp")
    experiment = ReferenceImages(encoders, limits, rivals_of(coders))
    subject = Subject(dataset_of(pictures), measured, owner)
    families = [(name, [name]) for name in encoders] + families_of(coders)
    facts = Facts(names[0], families, hows_of(coders), missing, weights | weights_of(owner))
    measure(experiment, subject, options, "none", facts)


@bench_app.command("speed")
@grouped
def speed(
    *,
    subject: SubjectOptions,
    method: Method = "sedic",
    bpp: Limit = 0.045,
    rounds: Annotated[
        int, typer.Option(min=0, help="In one process, after one that warms up; 0: none.")
    ] = 5,
    processes: Annotated[
        int, typer.Option(min=0, help="Of every whole command, in a process each; 0: none.")
    ] = 3,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WIDTHxHEIGHT", help="Scale the picture; repeat for more (default: as it is)."
        ),
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda, or both (default: what is here).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("runs/bench-speed"),
) -> None:
    """Where the time goes (Table 2), on one picture: part by part, and as whole commands."""
    import torch

    from sedic.lab.bench.experiments import processes as commands
    from sedic.lab.bench.experiments import speed as clock
    from sedic.lab.bench.report.build import check_libraries
    from sedic.lab.bench.report.times import Processes, build_times
    from sedic.lab.bench.results import Run

    check_libraries()
    available = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = device or available
    if wrong := set(devices) - set(available):
        raise SedicError(f"device {printable(wrong.pop())}: here is {' and '.join(available)}")
    if subject.pictures not in (None, 1):
        raise typer.BadParameter("speed is measured on one picture: the first of the dataset")
    codec = subject_of(replace(subject, pictures=1), None, method)
    subjects = scaled(codec, size or [], out / "pictures")
    speeds: dict[tuple[str, str], clock.Speed] = {}
    timed: Processes = {}
    with progress_bar() as progress, stopping() as stopped:
        for name, one in subjects.items():
            if processes:
                timed[name] = commands.measure(one, bpp, processes, progress)
            for device_name in devices if rounds else []:
                for count, measured in enumerate(
                    clock.measure(one, 0, bpp, rounds, device_name), 1
                ):
                    speeds[name, device_name] = measured
                    progress(count, rounds, f"{name}, {device_name}")
    facts = {"dataset": subject.dataset, "picture": codec.dataset.samples[0].name, "bpp": bpp}
    describer = subject.describer or codec.profile.describer_name
    facts |= {"profile": subject.profile, "method": method, "describer": describer}
    run = Run(command_line(), 0, facts, codec.weights)
    tell(build_times(list(speeds.values()), timed, run, out / "report"))
    stopped()


bench_app.command("small")(small)
bench_app.command("bytes")(grouped(byte_use))
bench_app.command("large")(large)


@bench_app.command("names")
def names(
    folder: Annotated[Path, typer.Argument(help="A folder of photographs.")],
    count: Annotated[int, typer.Option(min=1, help="How many, those held out first.")] = 60,
    wrong: Annotated[
        Path | None, typer.Option(help="A text file of the photographs whose name is wrong.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the sheet and the table go.")] = Path(
        "runs/bench-names"
    ),
) -> None:
    """How many photographs the embedded describer names, and how many right, by threshold.

    Look at sheet.png, list the files of wrong names in a text file and run it again with --wrong.
    """
    from sedic.files import make_folder, write_atomically
    from sedic.lab.bench import naming
    from sedic.picture import save_picture

    judged = naming.read_judgement(wrong) if wrong else None
    paths = naming.draw(folder, count)
    with progress_bar() as progress:
        found = naming.look_at(paths, lambda done: progress(done, len(paths), "looking"))
    found = [one for one in found if one.chance >= min(naming.THRESHOLDS)]
    make_folder(out)
    save_picture(naming.sheet(found, folder), out / "sheet.png", force=True)
    lines = "".join(f"{one.file}\t{one.name}\t{one.chance:.3f}\n" for one in found)
    write_atomically(out / "names.tsv", lines.encode(), force=True)
    if judged is None:
        note(f"look at {printable(out / 'sheet.png')}, then give the wrong ones with --wrong")
        return
    measured = naming.table(found, len(paths), judged)
    write_atomically(out / "table.md", measured.encode(), force=True)
    typer.echo(measured, nl=False)


@bench_app.command("bd-rate")
def bd_rate(
    results: Annotated[Path, typer.Argument(help="A results.csv of `sedic bench rd`.")],
    anchor: Annotated[str, typer.Argument(help="The codec whose bytes are 100 %.")],
    other: Annotated[str, typer.Argument(help="The codec to compare, as named in the report.")],
    metric: Annotated[str | None, typer.Option(help="(default: every one of the file)")] = None,
) -> None:
    """How many bytes one codec needs where another needs a hundred (Bjontegaard's delta rate)."""
    from sedic.lab.bench import bd_rate as bd
    from sedic.lab.bench.report.summary import summarise
    from sedic.lab.bench.results import read_results

    summary = summarise(read_results(results))
    for name in names_of(metric, list(summary.metrics), "metric"):
        measured = summary.curves[name]
        first, second = (
            [(best.bpp, best.value) for best in measured[one_of(codec, measured, "codec")]]
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
    report: Annotated[Path | None, typer.Option(help="(default: report beside it)")] = None,
) -> None:
    """Make the report anew from results that are there, with the pictures beside them."""
    from sedic.lab.bench.report.build import build_report

    folder = report or results.parent / "report"
    build_report(results, folder)
    tell(folder)


@bench_app.command("gallery")
def gallery(
    results: Annotated[Path, typer.Argument(help="A results.csv of `sedic bench rd`.")],
    point: Annotated[str, typer.Option(help="Which limit, as --bpp named it.")] = "0.03",
    out: Annotated[Path | None, typer.Option(help="(default: gallery beside it)")] = None,
) -> None:
    """Sheets of all pictures: original, best rival, our reference image, ours."""
    from sedic.lab.bench.report.gallery import build_gallery
    from sedic.lab.bench.results import read_results

    table = read_results(results)
    settings = table.facts["settings"]
    pictures = PictureOptions(str(settings["dataset"]), int(settings["pictures"]))
    subject = subject_of(SubjectOptions(**vars(pictures), profile=str(settings["profile"])), None)
    with progress_bar() as progress:
        written = build_gallery(table, subject, point, out or results.parent / "gallery", progress)
    for path in written:
        note(f"{printable(path)}: written")
