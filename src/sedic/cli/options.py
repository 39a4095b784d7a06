"""Options and files that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from sedic import extras, files
from sedic.errors import LimitError, OutputError, UnsuitableInputError
from sedic.files import read_bounded, write_atomically
from sedic.parts import Table

if TYPE_CHECKING:
    from sedic.profile import Profile
    from sedic.reference import ReferenceCodec

STANDARD = Path("-")
MAX_FILE = 1 << 25  # bytes of a .sedic file read at all

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output if it exists.")]
Language = Annotated[
    str | None,
    typer.Option(
        "--language-model",
        help="The language model that the text is coded with: its name in `sedic models list`"
        " (smollm2-135m if not said), or its folder.",
    ),
]
Device = Annotated[
    str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, mps; auto is the fastest here.")
]
Dtype = Annotated[
    str, typer.Option(help="Their number format: float32, bfloat16, float16; auto is the fastest.")
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


def help_lines(table: Table) -> str:
    """The parts of a table with their lines of help."""
    return "; ".join(f"{part.name}: {part.summary}" for part in table)


def load_profile(
    source: str,
    *,
    language: str | None = None,
    reference: ReferenceCodec | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> Profile:
    """The profile of this name or TOML file, with the choices of the options."""
    from sedic.profile import Profile

    model = None
    if language is not None:
        with extras.named():
            from sedic.models.language import find_language_model

            model = find_language_model(language)
    return Profile.load(source, device=device, dtype=dtype, reference=reference, language=model)


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
    """Refuse, before any work, an output that cannot be written or that is one of the inputs."""
    if path != STANDARD:
        files.check_output(path, force=force, inputs=[p for p in inputs if p is not None])


def check_picture_output(path: Path, *, force: bool, inputs: tuple[Path | None, ...] = ()) -> None:
    """``check_output`` of a picture, whose suffix must name a format."""
    from sedic import picture

    if path != STANDARD:
        paths = [p for p in inputs if p is not None]
        picture.check_picture_output(path, force=force, inputs=paths)


# Seconds of one slow core for a megapixel, by whether it is a preview; only for a message.
_SECONDS = {False: 15.0, True: 1.5}


def check_work(width: int, height: int, max_pixels: int, *, preview: bool) -> None:
    """Raise ``LimitError``, with an estimate of the time, for more than ``max_pixels`` pixels.

    A file of 50 bytes may ask for a picture of 67 million pixels.
    """
    pixels = width * height
    if pixels > max_pixels:
        minutes = max(1, round(pixels / 1e6 * _SECONDS[preview] / 60))
        raise LimitError(
            f"the file asks for {width}x{height} pixels, about {minutes} min of work:"
            f" --max-pixels {pixels} allows it"
        )


def standard_input() -> BinaryIO:
    """The bytes of standard input; ``UnsuitableInputError`` where it is closed."""
    if sys.stdin is None:
        raise UnsuitableInputError("standard input is closed")
    return sys.stdin.buffer


def read_input(path: Path, limit: int) -> bytes:
    """All of a file or, for ``-``, of standard input.

    Raises ``SedicError`` where it cannot be read or has more than ``limit`` bytes.
    """
    if path != STANDARD:
        return read_bounded(path, limit)
    data = standard_input().read(limit + 1)
    if len(data) > limit:
        raise UnsuitableInputError(f"standard input: more than {limit} bytes")
    return data


def write_output(path: Path, data: bytes, *, force: bool) -> None:
    """Write to a file, atomically, or for ``-`` to standard output."""
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
    """Parse ``NAME=VALUE`` items; values are numbers where they can be, else texts."""
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
