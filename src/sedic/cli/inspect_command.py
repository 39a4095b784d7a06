"""``sedic inspect``. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import busy, note
from sedic.cli.options import (
    MAX_FILE,
    Force,
    Language,
    check_picture_output,
    load_profile,
    read_input,
)
from sedic.files import printable


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
