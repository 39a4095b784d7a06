"""Parsing of options, progress and messages of the commands of ``sedic bench``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from sedic.cli.console import note
from sedic.errors import SedicError
from sedic.files import printable


def names_of(text: str | None, known: Iterable[str], what: str) -> list[str]:
    """Parse names with commas between, in any case; None: all ``known`` names."""
    if text is None:
        return list(known)
    return [one_of(name.strip(), known, what) for name in text.split(",") if name.strip()]


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """The known name that equals ``name`` in any case; ``SedicError`` if none does."""
    for candidate in known:
        if candidate.casefold() == name.casefold():
            return candidate
    raise SedicError(f"unknown {what} {printable(name)!r}; one of {', '.join(known)}")


def numbers_of(text: str, low: float, high: float, option: str) -> list[float]:
    """Parse numbers with commas between, each from ``low`` to ``high``."""
    try:
        numbers = [float(item) for item in text.split(",") if item.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers with commas between") from error
    if not all(low <= number <= high for number in numbers):
        raise typer.BadParameter(f"{option}: {low:g} to {high:g}")
    return numbers


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["sedic", *sys.argv[1:]])


def tell(folder: Path) -> None:
    """Print the path of the report."""
    note(f"{printable(folder / 'index.html')}: written")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        *(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=1800) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(done: int, total: int, text: str) -> None:
            bars.update(bar, completed=done, total=total, description=text)

        yield progress


@contextmanager
def stopping() -> Iterator[Callable[[], None]]:
    """Catch Ctrl-C. Yields a function for after the report: it ends the program after Ctrl-C."""
    interrupted = False

    def end() -> None:
        if interrupted:
            note("stopped: the same command goes on")
            raise typer.Exit(130)

    try:
        yield end
    except KeyboardInterrupt:
        interrupted = True
