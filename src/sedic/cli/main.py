"""The command line. Imports stay light: ``sedic --help`` must not load torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sedic.cli.bench import bench_app
from sedic.cli.compress import compress
from sedic.cli.console import busy, note
from sedic.cli.models import models_app
from sedic.cli.process import run_and_leave
from sedic.cli.streams import (
    MAX_FILE,
    STANDARD,
    Force,
    Language,
    language_model,
    read_input,
    write_output,
)
from sedic.cli.train import train_app
from sedic.errors import SedicError
from sedic.files import printable, refuse_overwrite

app = typer.Typer(
    help="Pictures as one to three kilobytes of meaning, and back.\n\n"
    "sedic compress photo.jpg photo.sedic --bpp 0.03\n\n"
    "sedic decompress photo.sedic photo.png\n\n"
    "sedic inspect photo.sedic\n\n"
    'sedic edit photo.sedic other.sedic --object 1 --detail "blue car, dusty"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(compress)
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(bench_app, name="bench")


@app.command()
def decompress(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The picture: .png, .jpg, .webp, ...; - for PNG.")],
    preview: Annotated[
        bool,
        typer.Option("--preview", help="The reference image alone, at once and without networks."),
    ] = False,
    progress_dir: Annotated[
        Path | None, typer.Option(help="Also write the picture after every stage to this folder.")
    ] = None,
    until_stage: Annotated[
        int | None, typer.Option(min=0, help="Stop after this stage; 0 is the reference image.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=256,
            help="Pictures larger than a square of this side (1024 pixels) are restored in tiles of"
            " about that size: smaller ones need less memory.",
        ),
    ] = None,
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec, if not ours.")
    ] = None,
    language: Language = None,
    force: Force = False,
) -> None:
    """Turn a .sedic file into a picture, object by object."""
    from sedic.coding.container import Container
    from sedic.picture import save_picture

    if preview and (progress_dir is not None or until_stage is not None):
        raise typer.BadParameter("--preview has no stages")
    if output != STANDARD:
        refuse_overwrite(output, force=force)
    data = read_input(file, MAX_FILE)
    container = Container.parse(data)
    with busy("loading the codec"):
        from sedic.codec import Codec
        from sedic.reference import load

        chosen = load(container.reference_codec, reference_weights) if reference_weights else None
        codec = Codec(reference=chosen, language=language_model(language))
    if preview:
        picture = codec.preview(data)
    else:
        from sedic.cli.progress import last_picture

        stages = codec.stages(data, tile)
        picture = last_picture(stages, until_stage, progress_dir, force=force)
    save_picture(picture, sys.stdout.buffer if output == STANDARD else output, force=force)
    note(f"{printable(output)}: {container.width}x{container.height}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also masks, and why the bytes are so spent.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option(help="Also write a sheet: masks with names, reference, decoded picture."),
    ] = None,
    original: Annotated[
        Path | None, typer.Option(help="The original picture, for the sheet.")
    ] = None,
    language: Language = None,
    force: Force = False,
) -> None:
    """Show what a .sedic file holds; every byte is accounted for."""
    from sedic.cli.inspection import as_json_text, as_table
    from sedic.coding.container import Container

    data = read_input(file, MAX_FILE)
    container = Container.parse(data)
    words = language_model(language)
    if as_json:
        typer.echo(as_json_text(container, words))
    else:
        as_table(container, words, verbose=verbose)
    if png is None:
        return
    from sedic.cli.sheet import sheet_of
    from sedic.codec import Codec
    from sedic.picture import load_picture, save_picture

    refuse_overwrite(png, force=force)
    with busy("decompressing"):
        seen = load_picture(original) if original is not None else None
        sheet = sheet_of(data, Codec(language=words), seen)
    save_picture(sheet, png, force=force)
    note(f"{printable(png)}: written")


@app.command()
def edit(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    number: Annotated[
        list[int] | None,
        typer.Option("--object", help="The object, as `inspect` counts, that --detail is for."),
    ] = None,
    detail: Annotated[
        list[str] | None,
        typer.Option(
            help="What the object is now: it begins with its name. A new name of at most three"
            " words ends at a comma. Repeat --object and --detail for more."
        ),
    ] = None,
    drop_object: Annotated[
        list[int] | None, typer.Option(help="Leave this object out; repeat for more.")
    ] = None,
    overall: Annotated[
        str | None, typer.Option(help='The whole picture in other words; "" for none.')
    ] = None,
    language: Language = None,
    force: Force = False,
) -> None:
    """Change the words of a .sedic file; the original picture is not needed."""
    from sedic.cli.edit import edit as edited
    from sedic.coding.container import Container

    if len(number or []) != len(detail or []):
        raise typer.BadParameter("every --object needs a --detail, and the other way round")
    if output != STANDARD:
        refuse_overwrite(output, force=force)
    details = dict(zip(number or [], detail or [], strict=True))
    container = Container.parse(read_input(file, MAX_FILE))
    data = edited(container, overall, details, drop_object or [], language_model(language))
    write_output(output, data, force=force)
    rate = 8 * len(data) / (container.width * container.height)
    note(f"{printable(output)}: {len(data)} bytes, {rate:.4f} bpp")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("demo"),
    photo: Annotated[
        list[Path] | None, typer.Option(help="Your own pictures instead of three samples.")
    ] = None,
    bpp: Annotated[float, typer.Option(help="Bits per pixel of the files.")] = 0.03,
) -> None:
    """Compress sample photographs and lay the results side by side."""
    from sedic.cli.demo import run

    run(out, photo or [], bpp)


def main() -> NoReturn:
    """Run the command line: exit code 1 with one line for what went wrong, 2 for wrong usage."""
    run_and_leave(_run)


def _run() -> NoReturn:
    try:
        app(standalone_mode=True)
    except SedicError as error:
        note(f"sedic: {printable(error)}")
    except MemoryError:
        note("sedic: out of memory; when decompressing, a smaller --tile needs less")
    except KeyboardInterrupt:
        note("sedic: interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
