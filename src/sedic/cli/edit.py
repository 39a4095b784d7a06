"""``sedic edit``. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import note
from sedic.cli.options import (
    MAX_FILE,
    Force,
    Language,
    check_output,
    load_profile,
    read_input,
    write_output,
)
from sedic.files import printable


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
