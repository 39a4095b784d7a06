"""Options and files that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedic.errors import OutputError, UnsuitableInputError
from sedic.files import printable, read_bounded, refuse_overwrite, write_atomically
from sedic.parts import Table

if TYPE_CHECKING:
    import torch

    from sedic.profile import Profile
    from sedic.reference import ReferenceCodec

STANDARD = Path("-")
MAX_FILE = 1 << 25  # bytes of a .sedic file read at all

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output if it exists.")]
Language = Annotated[
    Path | None,
    typer.Option(
        "--language-model", help="Folder of the language model that the text is coded with."
    ),
]
Device = Annotated[
    str | None, typer.Option(help="Where networks run: cpu, cuda, cuda:1, mps (default: fastest).")
]
Dtype = Annotated[
    str | None, typer.Option(help="Their number format: float32, bfloat16 or float16.")
]


def choice(table: Table, help: str) -> Any:
    """An option whose value is the name of a part of ``table``."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in table:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(table.names)}")
        return value

    return typer.Option(
        metavar="|".join(table.names),
        help=help,
        callback=check,
        autocompletion=lambda: list(table.names),
    )


def helps(table: Table) -> str:
    """The parts of a table with their lines of help."""
    return "; ".join(f"{part.name}: {part.summary}" for part in table)


def dtype_of(name: str | None) -> torch.dtype | None:
    """The torch number format of this name."""
    if name is None:
        return None
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise typer.BadParameter(f"--dtype {name}: one of {', '.join(known)}")
    return known[name]


def load_profile(
    source: str,
    *,
    language: Path | None = None,
    reference: ReferenceCodec | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> Profile:
    """The profile of a name or of a TOML file, with what the options say."""
    from sedic.profile import Profile

    model = None
    if language is not None:
        from sedic.models.language import LanguageModel

        model = LanguageModel(language)
    return Profile.load(
        source, device=device, dtype=dtype_of(dtype), reference=reference, language=model
    )


def reference_codec(name: str | None, weights: Path | None) -> ReferenceCodec | None:
    """The reference codec of this name with a caller's own weights; None without a name."""
    from sedic.parts import REFERENCE_CODECS

    if name is None:
        if weights is not None:
            raise typer.BadParameter("--reference-weights needs --reference to say whose they are")
        return None
    if weights is None and name == "compact":
        return None  # the profile's own
    codec: ReferenceCodec = REFERENCE_CODECS[name].make(weights=weights, dtype=None)
    return codec


def check_output(path: Path, *, force: bool, inputs: tuple[Path | None, ...] = ()) -> None:
    """Refuse, before any work, an output that cannot be written or that is an input."""
    if path == STANDARD:
        return
    refuse_overwrite(path, force=force)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"{printable(path)}: there is no folder {printable(parent)}")
    for source in inputs:
        same = False
        with suppress(OSError):
            same = source is not None and path.exists() and path.samefile(source)
        if same:
            raise OutputError(f"{printable(path)} is the input: name another output")


def check_picture_output(path: Path, *, force: bool, inputs: tuple[Path | None, ...] = ()) -> None:
    """``check_output`` of a picture, whose suffix must name a format."""
    from sedic.picture import check_format

    if path != STANDARD:
        check_format(path)
    check_output(path, force=force, inputs=inputs)


def read_input(path: Path, limit: int) -> bytes:
    """All of a file or, for ``-``, of standard input.

    Raises ``SedicError`` where it cannot be read or has more than ``limit`` bytes.
    """
    if path != STANDARD:
        return read_bounded(path, limit)
    if sys.stdin is None:
        raise UnsuitableInputError("standard input is closed")
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise UnsuitableInputError(f"standard input: more than {limit} bytes")
    return data


def write_output(path: Path, data: bytes, *, force: bool) -> None:
    """To a file, whole or not at all, or for ``-`` to standard output."""
    if path != STANDARD:
        write_atomically(path, data, force=force)
        return
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror or error}") from error


def settings_from(items: list[str]) -> dict[str, int | float | str]:
    """``NAME=VALUE`` items as the settings they name; what is no number is a word."""
    settings: dict[str, int | float | str] = {}
    for item in items:
        name, sign, text = item.partition("=")
        if not sign:
            raise typer.BadParameter("--setting takes NAME=VALUE, as in last_steps=8")
        value: int | float | str = text
        kinds: tuple[Callable[[str], int | float], ...] = (float, int)  # the stricter one last
        for kind in kinds:
            with suppress(ValueError):
                value = kind(text)
        settings[name.strip()] = value
    return settings
