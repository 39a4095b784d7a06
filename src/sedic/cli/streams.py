"""What several commands take and give: files or, for ``-``, the standard streams."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedic.errors import SedicError
from sedic.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from sedic.models.language import LanguageModel

STANDARD = Path("-")
MAX_FILE = 1 << 25  # bytes of a .sedic file read at all

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing file.")]
Language = Annotated[
    str | None,
    typer.Option(
        "--language-model",
        help="The language model that the text is coded with: its name in `sedic models list`"
        " (smollm2-135m if not said), or its folder.",
    ),
]


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


def language_model(source: str | None) -> LanguageModel | None:
    """The language model of this name or in this folder; None where none was named."""
    if source is None:
        return None
    from sedic.models.language import find

    return find(source)
