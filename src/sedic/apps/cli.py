"""The command line. Imports stay light: ``sedic --help`` must not load torch."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sedic.apps.console import busy, note
from sedic.apps.train import train_app
from sedic.files import printable, read_bounded, refuse_overwrite, write_atomically
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
app.add_typer(train_app, name="train")

STANDARD = Path("-")
MAX_FILE = 1 << 25  # bytes of a .sedic file read at all

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
    if path != STANDARD:
        return read_bounded(path, limit)
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise SedicError(f"standard input: more than {limit} bytes")
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
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec, if not ours.")
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

        chosen = load(container.reference_codec, reference_weights) if reference_weights else None
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
