"""The command line. Imports stay light: ``sedic --help`` must not load torch."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sedic.cli.batch import batch
from sedic.cli.bench import bench_app
from sedic.cli.compress import compress
from sedic.cli.console import busy, note
from sedic.cli.decompress import decompress
from sedic.cli.desktop import desktop_app, thumbnail, view
from sedic.cli.find import find
from sedic.cli.models import models_app
from sedic.cli.options import (
    MAX_FILE,
    Force,
    Language,
    check_output,
    check_picture_output,
    load_profile,
    read_input,
    write_output,
)
from sedic.cli.packets import packets_app
from sedic.cli.process import run_and_leave
from sedic.cli.train import train_app
from sedic.cli.web import web
from sedic.errors import SedicError
from sedic.files import printable

app = typer.Typer(
    help="Pictures as 100 bytes to a few kilobytes of meaning, and back.\n\n"
    "sedic compress photo.jpg photo.sedic --bpp 0.03\n\n"
    "sedic decompress photo.sedic photo.png\n\n"
    "sedic inspect photo.sedic\n\n"
    'sedic edit photo.sedic other.sedic --object 1 --detail "grass, very rough"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(compress)
app.command()(decompress)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sedic import __version__

        typer.echo(f"sedic {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of all commands."""


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
    profile: Annotated[
        str | None,
        typer.Option(help="The profile to read it with, if not the one that the file names."),
    ] = None,
    language: Language = None,
    force: Force = False,
) -> None:
    """Show what a .sedic file holds, byte by byte, or what a decoded picture says of itself."""
    from sedic.cli.decoded import is_picture, print_provenance
    from sedic.cli.inspection import as_json_text, print_table
    from sedic.coding.container import Container

    if png is not None:
        check_picture_output(png, force=force, inputs=(file, original))
    data = read_input(file, MAX_FILE)
    if is_picture(data):
        print_provenance(data, as_json=as_json)
        return
    owner = load_profile(profile or Container.parse(data).profile, language=language)
    if as_json:
        typer.echo(as_json_text(data, owner))
    else:
        print_table(data, owner, verbose=verbose)
    if png is None:
        return
    from sedic.cli.sheet import sheet_of
    from sedic.picture import load_picture, save_picture

    with busy("decompressing"):
        original_pixels = load_picture(original) if original is not None else None
        sheet = sheet_of(data, owner, original_pixels)
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
    from sedic.coding.container import Container
    from sedic.editing import edit as change
    from sedic.editing import shows

    numbers = number or []
    if len(numbers) != len(detail or []):
        raise typer.BadParameter("every --object needs a --detail, and the other way round")
    if len(set(numbers)) != len(numbers):
        raise typer.BadParameter("an object is named by two --object options")
    check_output(output, force=force, inputs=(file,))
    details = dict(zip(numbers, detail or [], strict=True))
    before = read_input(file, MAX_FILE)
    container = Container.parse(before)
    owner = load_profile(container.profile, language=language)
    data = change(before, owner, overall=overall, details=details, dropped=drop_object or [])
    write_output(output, data, force=force)
    rate = 8 * len(data) / (container.width * container.height)
    note(f"{printable(output)}: {len(data)} bytes, {rate:.4f} bpp")
    if data != before and not shows(before, data, owner):
        note(
            f"  the file says something else now, but its picture hardly changes: with profile"
            f" {owner.name} only words of surfaces act, inside an object's mask (smooth, very"
            " rough, grainy, coarse, fine)"
        )


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("demo"),
    photo: Annotated[
        list[Path] | None, typer.Option(help="Your own pictures instead of three samples.")
    ] = None,
    bpp: Annotated[float, typer.Option(help="Bits per pixel of the files.")] = 0.03,
    force: Force = False,
) -> None:
    """Compress sample photographs and lay the results side by side."""
    from sedic.cli.demo import run

    run(out, photo or [], bpp, force=force)


app.command()(find)
app.add_typer(packets_app, name="packets")
app.command()(batch)
app.command()(web)
app.command()(view)
app.command()(thumbnail)
app.add_typer(desktop_app, name="desktop")
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(bench_app, name="bench")


def main() -> NoReturn:
    """Run the command line: exit code 1 with one line for what went wrong, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know only ASCII
    code = 1
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == 130:
            _say("sedic: interrupted; nothing that is unfinished was kept")
    except SedicError as error:
        _say(f"sedic: {printable(error)}")
    except MemoryError:
        _say("sedic: out of memory; when decompressing, a smaller --tile needs less")
    except KeyboardInterrupt:
        code = 130
        _say("sedic: interrupted; nothing that is unfinished was kept")
    except BrokenPipeError:
        pass
    except OSError as error:  # such as a full disk behind standard output
        _say(f"sedic: cannot write the output: {error.strerror or error}")
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # a closed pipe, a full disk, no stream
        code = code or 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def program() -> NoReturn:
    """Run ``main`` and end the process: the entry point of the command ``sedic``."""
    run_and_leave(main)


def _say(text: str) -> None:
    """A line on standard error, if there is one."""
    with suppress(OSError, ValueError, AttributeError):
        note(text)
