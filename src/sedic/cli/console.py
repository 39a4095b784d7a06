"""Lines and spinners for people, on standard error."""

from __future__ import annotations

import typer


def note(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(text, err=True)


def busy(text: str) -> _Busy:
    """A spinner on standard error while work takes longer; silent when nobody watches."""
    return _Busy(text)


class _Busy:
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
