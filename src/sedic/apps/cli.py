"""The command line. Imports stay light: ``sedic --help`` must not load torch."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sedic.files import make_folder, printable, refuse_overwrite, write_atomically
from sedic.semantics import MAX_OBJECTS, MAX_REFERENCE_BYTES, MAX_TEXT_BYTES, Rate, SedicError

app = typer.Typer(
    help="Pictures as one to three kilobytes of meaning, and back.\n\n"
    "sedic compress photo.jpg photo.sedic --bpp 0.03\n\n"
    "sedic decompress photo.sedic photo.png\n\n"
    "sedic inspect photo.sedic",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
train_app = typer.Typer(help="Train what sedic ships.", no_args_is_help=True)
app.add_typer(train_app, name="train")

STANDARD = Path("-")

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing file.")]


class Preset(str, Enum):
    """The paper's operating points (SEDIC section 4.1)."""

    low = "low"
    high = "high"

    def bpp(self) -> float:
        return {"low": 0.03, "high": 0.05}[self.value]


class Reference(str, Enum):
    compact = "compact"
    cheng2020 = "cheng2020"
    pixel = "pixel"
    external = "external"


class TextCoder(str, Enum):
    primed = "primed"
    huffman = "huffman"


class MaskCoder(str, Enum):
    context = "context"
    runlength = "runlength"
    jbig2 = "jbig2"


def read_input(path: Path, limit: int) -> bytes:
    """All of a file or, for ``-``, of standard input; ``SedicError`` above ``limit`` bytes."""
    name = "standard input" if path == STANDARD else printable(path)
    try:
        if path == STANDARD:
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with path.open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise SedicError(f"{name}: {error.strerror or error}") from error
    if len(data) > limit:
        raise SedicError(f"{name}: more than {limit} bytes")
    return data


def write_output(path: Path, data: bytes, *, force: bool) -> None:
    """To a file, whole or not at all, or for ``-`` to standard output."""
    if path != STANDARD:
        write_atomically(path, data, force=force)
        return
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise SedicError(f"standard output: {error.strerror or error}") from error


def size_limit(
    width: int, height: int, bpp: float | None, max_bytes: int | None, rate: Preset | None
) -> Rate:
    """The one limit that was given; the low preset if none was."""
    from sedic.codec import rate_for

    if sum(value is not None for value in (bpp, max_bytes, rate)) > 1:
        raise typer.BadParameter("give one of --bpp, --max-bytes and --rate")
    if rate is not None:
        bpp = rate.bpp()
    return rate_for(width, height, bpp=bpp, max_bytes=max_bytes)


@app.command()
def compress(
    photo: Annotated[Path, typer.Argument(help="Any picture that Pillow reads; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    bpp: Annotated[
        float | None, typer.Option(help="At most so many bits per pixel, all bytes counted.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="At most so many bytes.")] = None,
    rate: Annotated[
        Preset | None,
        typer.Option(help="The paper's points: low = 0.03 bpp (the default), high = 0.05 bpp."),
    ] = None,
    objects: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_OBJECTS, help="Describe at most so many objects."),
    ] = None,
    semantics: Annotated[
        Path | None,
        typer.Option(help="Your own words and masks (JSON) instead of the measured ones."),
    ] = None,
    save_semantics: Annotated[
        Path | None, typer.Option(help="Also write the words and masks as JSON.")
    ] = None,
    reference: Annotated[
        Reference | None, typer.Option(help="Another reference codec than the profile's.")
    ] = None,
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec (cheng2020: required).")
    ] = None,
    reference_file: Annotated[
        Path | None,
        typer.Option(help="Carry this WebP, AVIF or JPEG XL file of the photo as reference image."),
    ] = None,
    text_coder: Annotated[
        TextCoder, typer.Option(help="huffman is the paper's.")
    ] = TextCoder.primed,
    mask_coder: Annotated[
        MaskCoder, typer.Option(help="runlength and jbig2 are the papers'.")
    ] = MaskCoder.context,
    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini",
    seed: Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")] = 0,
    force: Force = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say why rate control chose what it chose.")
    ] = False,
) -> None:
    """Turn a picture into a .sedic file."""
    from sedic.analysis import Description, sidecar
    from sedic.picture import load_picture

    for target in (output, save_semantics):
        if target is not None and target != STANDARD:
            refuse_overwrite(target, force=force)
    picture = load_picture(sys.stdin.buffer if photo == STANDARD else photo)
    height, width = picture.shape[:2]
    limit = size_limit(width, height, bpp, max_bytes, rate)
    description = None
    if semantics is not None:
        description = sidecar.load(semantics, width, height)
        # The caller's own words are not cut to the papers' budgets, only to what fits.
        limit = Rate(limit.max_bytes, MAX_OBJECTS, MAX_TEXT_BYTES, MAX_TEXT_BYTES)
    if objects is not None:
        limit = Rate(limit.max_bytes, objects, limit.detail_words, limit.overall_words)
    with busy("loading the codec") as say:
        from sedic.codec import Codec
        from sedic.reference import load

        chosen = load(reference.value, reference_weights) if reference else None
        if reference_file is not None:
            from sedic.reference.external import External

            chosen = External(read_input(reference_file, MAX_REFERENCE_BYTES))
        say("compressing")
        codec = Codec(profile, chosen, text_coder.value, mask_coder.value)
        done = codec.compress(picture, limit, description, seed)
    if save_semantics is not None:
        said = Description(done.image.overall, done.image.objects)
        sidecar.save(said, save_semantics, force=force)
    write_output(output, done.data, force=force)
    rate_reached = 8 * len(done.data) / (width * height)
    note(f"{printable(output)}: {len(done.data)} bytes, {rate_reached:.4f} bpp")
    if verbose:
        for reason in done.choice.reasons:
            note(f"  {reason}")


@app.command()
def decompress(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The picture: .png, .jpg, .webp, ...; - for PNG.")],
    preview: Annotated[
        bool,
        typer.Option("--preview", help="The reference image alone (all there is as yet)."),
    ] = False,
    profile_weights: Annotated[
        Path | None,
        typer.Option("--reference-weights", help="Weights of the reference codec, if not ours."),
    ] = None,
    force: Force = False,
) -> None:
    """Turn a .sedic file into a picture."""
    from sedic.coding.container import Container
    from sedic.picture import save_picture

    if output != STANDARD:
        refuse_overwrite(output, force=force)
    data = read_input(file, MAX_FILE)
    container = Container.parse(data)
    with busy("loading the codec") as say:
        from sedic.codec import Codec
        from sedic.reference import load

        chosen = load(container.reference_codec, profile_weights) if profile_weights else None
        say("decompressing")
        picture = Codec(reference=chosen).decompress(data)
    save_picture(picture, sys.stdout.buffer if output == STANDARD else output, force=force)
    note(f"{printable(output)}: {container.width}x{container.height}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also masks, and why the bytes are so spent.")
    ] = False,
) -> None:
    """Show what a .sedic file holds; every byte is accounted for."""
    from sedic.apps.show import as_json_text, as_table
    from sedic.coding.container import Container

    container = Container.parse(read_input(file, MAX_FILE))
    if as_json:
        typer.echo(as_json_text(container))
    else:
        as_table(container, verbose=verbose)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("demo"),
    photo: Annotated[
        list[Path] | None, typer.Option(help="Your own pictures instead of three samples.")
    ] = None,
    bpp: Annotated[float, typer.Option(help="Bits per pixel of the files.")] = 0.03,
) -> None:
    """Compress sample photographs and lay the results side by side."""
    from sedic.apps.demo import run

    run(out, photo or [], bpp)


@train_app.command("text")
def train_text(
    out: Annotated[Path, typer.Option(help="Folder for the table and its card.")] = Path(
        "runs/text"
    ),
    corpus: Annotated[
        list[str] | None,
        typer.Option(help='PATH:WEIGHT of JSON lines {"text": ...} instead of the default ones.'),
    ] = None,
) -> None:
    """Prime the text coder.

    By default on the shared image descriptions and on measured descriptions of the shared
    photographs, which are made first (half an hour).
    """
    from sedic.analysis.measure import describe_corpus
    from sedic.training import text
    from sedic.training.photos import shared_folder

    make_folder(out)
    with busy("reading") as say:
        if corpus:
            pairs = [item.rpartition(":") for item in corpus]
            if not all(path and weight.isdecimal() for path, _, weight in pairs):
                raise typer.BadParameter("--corpus takes PATH:WEIGHT, as in captions.jsonl:1")
            corpora = [(Path(path), int(weight)) for path, _, weight in pairs]
        else:
            data = shared_folder() / "data"
            measured = out / "measured.jsonl"
            if not measured.is_file():
                say("describing the shared photographs")
                describe_corpus([data / "photos"], measured)
            corpora = [(data / "captions" / "iiw.jsonl", 1), (measured, 1)]
        rate = text.build(corpora, out / "text.safetensors.xz", say)
    note(f"{out}: {rate:.3f} bits a character on held-out texts")
    note(PINNING)


@train_app.command("masks")
def train_masks(
    out: Annotated[Path, typer.Option(help="Folder for the table and its card.")] = Path(
        "runs/masks"
    ),
) -> None:
    """Prime the mask coder on the masks that are found in the shared photographs."""
    from sedic.training import masks
    from sedic.training.photos import shared_folder

    make_folder(out)
    photos = shared_folder() / "data" / "photos"
    with busy("describing photographs") as say:
        folders = sorted(path for path in photos.iterdir() if path.is_dir())
        masks.train(folders, out / "masks.safetensors", progress=lambda n: say(f"described {n}"))
    note(PINNING)


class Trainable(str, Enum):
    compact = "compact"
    cheng2020 = "cheng2020"


class Loss(str, Enum):
    perceptual = "perceptual"
    mse = "mse"


@train_app.command("reference")
def train_reference(
    out: Annotated[Path, typer.Option(help="Folder of the run; a run that is there goes on.")],
    network: Annotated[
        Trainable, typer.Option(help="cheng2020: the SEDIC paper's fine-tuning, needs --start.")
    ] = Trainable.compact,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with (a CompressAI checkpoint).")
    ] = None,
    loss: Annotated[
        Loss | None,
        typer.Option(help="perceptual = MSE + LPIPS-squeeze (compact's default); mse = MSE alone."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops in a step.")] = None,
    crop: Annotated[int | None, typer.Option(min=64, help="Side of a crop, pixels, 64s.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
) -> None:
    """Train the reference codec on the shared photographs.

    Ctrl-C loses nothing: the same command goes on. The weights and their model card end up in the
    run's folder, the curve in its log.jsonl.
    """
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import Progress

    from sedic.training.reference import Recipe, sedic_recipe, train

    if crop is not None and crop % 64:
        raise typer.BadParameter("--crop is a multiple of 64")
    recipe = Recipe() if network is Trainable.compact else sedic_recipe()
    if loss is not None:
        recipe = recipe.with_loss(loss.value)
    given: dict[str, Any] = {
        "steps": steps,
        "batch": batch,
        "crop": crop,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    recipe = replace(recipe, **{name: v for name, v in given.items() if v is not None})
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("starting")

        def progress(done: int, total: int, text: str) -> None:
            bars.update(bar, completed=done, total=total, description=text)

        weights = train(recipe, out, progress, start)
    note(f"{weights}: done")
    note(PINNING)


PINNING = "to ship it: copy it and its card to src/sedic/weights, and its sha256 to profiles/*.toml"


MAX_FILE = 1 << 25  # bytes of a .sedic file read at all


def note(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(text, err=True)


def busy(text: str) -> _Busy:
    """A spinner on standard error while work takes longer; silent when nobody watches."""
    return _Busy(text)


class _Busy:
    def __init__(self, text: str) -> None:
        from rich.console import Console

        self._status = Console(stderr=True).status(text)

    def __enter__(self) -> _Busy:
        self._status.start()
        return self

    def __call__(self, text: str) -> None:
        self._status.update(text)

    def __exit__(self, *_: object) -> None:
        self._status.stop()


def main() -> NoReturn:
    """Run the command line: exit code 1 with one line for what went wrong, 2 for wrong usage."""
    try:
        app(standalone_mode=True)
    except SedicError as error:
        note(f"sedic: {printable(error)}")
    except MemoryError:
        note("sedic: out of memory")
    except KeyboardInterrupt:
        note("sedic: interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
