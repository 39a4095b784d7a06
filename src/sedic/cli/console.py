"""Messages and spinners on standard error."""

from __future__ import annotations

import sys

import typer


def note(text: str) -> None:
    """Write a line to standard error."""
    typer.echo(text, err=True)


def is_terminal() -> bool:
    """Whether standard error is a terminal. If not, no progress is drawn, and the modules for it
    need not be imported."""
    return sys.stderr is not None and sys.stderr.isatty()


def busy(text: str) -> _Busy:
    """A spinner on standard error during work; silent where that is no terminal."""
    return _Spinner(text) if is_terminal() else _Busy()


class _Busy:
    def __enter__(self) -> _Busy:
        return self

    def __call__(self, text: str) -> None:
        """Show the present step."""

    def __exit__(self, *_: object) -> None:
        pass


class _Spinner(_Busy):
    def __init__(self, text: str) -> None:
        from rich.console import Console

        self._status = Console(stderr=True).status(text)

    def __enter__(self) -> _Busy:
        self._status.start()
        return self

    def __call__(self, text: str) -> None:
        self._status.update(text)

    def __exit__(self, *_: object) -> None:
        self._status.stop()
