"""``sedic demo``. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.options import Force


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
