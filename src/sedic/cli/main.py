"""The command line. Imports stay light: ``sedic --help`` must not load torch."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from sedic.cli.command_table import Commands
from sedic.cli.console import note
from sedic.cli.process import run_and_leave
from sedic.errors import SedicError
from sedic.files import printable

app = typer.Typer(
    cls=Commands,
    help="Pictures as 100 bytes to a few kilobytes of meaning, and back.\n\n"
    "sedic compress photo.jpg photo.sedic --bpp 0.03\n\n"
    "sedic decompress photo.sedic photo.png\n\n"
    "sedic inspect photo.sedic\n\n"
    'sedic edit photo.sedic other.sedic --object 1 --detail "grass, very rough"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sedic import __version__

        typer.echo(f"sedic {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of all commands."""


def main() -> NoReturn:
    """Run the command line: exit code 1 with one line for what went wrong, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know only ASCII
    code = 1
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == 130:
            _say("sedic: interrupted; nothing that is unfinished was kept")
    except SedicError as error:
        _say(f"sedic: {printable(error)}")
    except MemoryError:
        _say("sedic: out of memory; when decompressing, a smaller --tile needs less")
    except KeyboardInterrupt:
        code = 130
        _say("sedic: interrupted; nothing that is unfinished was kept")
    except BrokenPipeError:
        pass
    except OSError as error:  # such as a full disk behind standard output
        _say(f"sedic: cannot write the output: {error.strerror or error}")
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # a closed pipe, a full disk, no stream
        code = code or 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def program() -> NoReturn:
    """Run ``main`` and end the process: the entry point of the command ``sedic``."""
    run_and_leave(main)


def _say(text: str) -> None:
    """A line on standard error, if there is one."""
    with suppress(OSError, ValueError, AttributeError):
        note(text)
