"""Translates exceptions of libraries into ``SedicError``, one line each.

with translated("MS-SSIM"):
    measure(a, b)  # ValueError: ... -> SedicError: MS-SSIM: ValueError: ...
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sedic.errors import OutOfMemoryError, SedicError
from sedic.files import printable

_LONGEST = 300  # characters of a reason
# Parts of messages with which torch, and libraries below it, report it in a plain RuntimeError.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any library means that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return any(phrase in text for phrase in _OUT_OF_MEMORY)


def reason(error: BaseException) -> str:
    """The message of an exception on one line, after its type unless that is a ``SedicError``."""
    text = printable(" ".join(str(error).split()))[:_LONGEST]
    if isinstance(error, SedicError):
        return text
    if is_out_of_memory(error):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def check_memory(error: BaseException, subject: str) -> None:
    """Raise ``OutOfMemoryError`` if ``error`` means that memory ran out; for ``except`` blocks."""
    if is_out_of_memory(error) and not isinstance(error, OutOfMemoryError):
        raise OutOfMemoryError(f"{subject}: out of memory") from error


@contextmanager
def translated(
    subject: str, kind: type[SedicError] = SedicError, advice: str = ""
) -> Iterator[None]:
    """Raise every exception but a ``SedicError`` as ``kind``, or as ``OutOfMemoryError``.

    The message is ``subject: reason``; where memory ran out, ``advice`` follows.
    ``KeyboardInterrupt`` and ``SystemExit`` are not translated.
    """
    try:
        yield
    except (SedicError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # libraries in Rust panic with exceptions of that kind
        if is_out_of_memory(error):
            hint = f"; {advice}" if advice else ""
            raise OutOfMemoryError(f"{subject}: out of memory{hint}") from error
        raise kind(f"{subject}: {reason(error)}") from error


@contextmanager
def memory_checked(subject: str, advice: str = "") -> Iterator[None]:
    """Raise ``OutOfMemoryError`` where memory runs out; other exceptions pass as they are."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        hint = f"; {advice}" if advice else ""
        raise OutOfMemoryError(f"{subject}: out of memory{hint}") from error
