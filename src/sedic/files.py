"""Reading files within limits, writing them atomically, and names that are safe to print."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sedic.errors import LimitError, OutputError, UnsuitableInputError


def printable(name: object) -> str:
    """A file name for a message: control and undecodable characters are escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in str(name)
    )


def read_bounded(path: Path, limit: int) -> bytes:
    """All of a file; ``UnsuitableInputError`` if it cannot be read, ``LimitError`` if it has more
    than ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnsuitableInputError(f"cannot read {printable(path)}: {_reason(error)}") from error
    if len(data) > limit:
        raise LimitError(f"{printable(path)}: more than {limit} bytes")
    return data


def refuse_overwrite(path: Path, *, force: bool) -> None:
    """Raise ``OutputError`` if ``path`` may not become a new regular file.

    An existing file needs ``force``; a folder, device or pipe is never replaced.
    """
    name = printable(path)
    try:
        if "\0" in str(path):
            raise OutputError(f"cannot write {name}: this is no file name")
        if path.is_dir():
            raise OutputError(f"{name} is a folder; name a file to write")
        if path.exists() and not path.is_file():
            raise OutputError(f"{name} is not a regular file; use - to write to a pipe")
        if path.exists() and not force:
            raise OutputError(f"{name} exists already; use --force to overwrite it")
    except OSError as error:
        raise OutputError(f"cannot write {name}: {_reason(error)}") from error


def check_output(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Raise ``OutputError`` now if ``new_file`` would later: call it before long work.

    Besides what ``refuse_overwrite`` looks at, the folder must exist and be writable, and ``path``
    must not be one of the ``inputs``, under whatever name and even with ``force``.
    """
    target = Path(path)
    name = printable(path)
    for source in inputs:
        with suppress(OSError, ValueError):  # a file that is not there cannot be replaced
            if target.samefile(source):
                raise OutputError(f"{name} would replace its own input; name another output")
    refuse_overwrite(target, force=force)
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {name}: there is no folder {printable(folder)}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {name}: the folder {printable(folder)} is read-only")


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which gets its name ``path`` only once all is written.

    Until then it has a hidden temporary name in the same folder, and it is gone if anything is
    raised. Raises ``OutputError`` where ``refuse_overwrite`` does, and if the file cannot be
    written.
    """
    refuse_overwrite(path, force=force)
    temporary = path.parent / f".sedic-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {printable(path)}: {_reason(error)}") from error
    finally:
        # It has its name already, or it is not wanted; in a folder that cannot be written to,
        # it was never made.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """``folder`` and those above it; ``OutputError`` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {printable(folder)}: {_reason(error)}"
        ) from error


def write_atomically(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write ``data`` to the file ``path``; where this raises ``OutputError``, nothing changed."""
    with new_file(path, force=force) as file:
        file.write(data)


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or printable(error)


def slug(title: str) -> str:
    """A part of a file name: small ASCII letters and digits with dashes between, never empty."""
    return re.sub(r"[^a-z0-9]+", "-", title.casefold())[:40].strip("-") or "object"
