"""Saves decoded pictures with their provenance, and prints the provenance of pictures."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sedic.cli.options import STANDARD
from sedic.errors import OutputError

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.provenance import Provenance
    from sedic.semantics import Carried

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*")


def write_decoded(
    picture: Picture,
    output: Path,
    provenance: Provenance,
    carried: Carried,
    *,
    caption: bool,
    force: bool,
) -> None:
    """Save a decoded picture with the EXIF and the colour profile that the file carried.

    Its provenance is written as XMP and, for ``caption``, drawn below the picture.
    """
    from sedic.picture import save_picture
    from sedic.provenance import with_caption

    if caption:
        picture = with_caption(picture, provenance)
    if output == STANDARD and sys.stdout is None:
        raise OutputError("standard output is closed")
    target = sys.stdout.buffer if output == STANDARD else output
    save_picture(
        picture, target, force=force, xmp=provenance.to_xmp(), exif=carried.exif, icc=carried.icc
    )


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as a picture file does."""
    return data.startswith(_PICTURES)


def print_provenance(data: bytes, *, as_json: bool) -> None:
    """Print the provenance of a picture file. Raises ``DamagedFileError`` where it is damaged."""
    from sedic.provenance import read_provenance

    provenance = read_provenance(io.BytesIO(data))
    if as_json:
        typer.echo(json.dumps(None if provenance is None else asdict(provenance), indent=2))
    elif provenance is None:
        typer.echo("a picture; it does not say that sedic made it")
    else:
        typer.echo("\n".join(provenance.lines()))
