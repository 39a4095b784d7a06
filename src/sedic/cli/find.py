"""``sedic find``. Imports stay light."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import note
from sedic.errors import UnsuitableInputError
from sedic.files import printable


def find(
    folder: Annotated[Path, typer.Argument(help="A folder of .sedic files, or one file.")],
    words: Annotated[str, typer.Argument(help='What to look for, as in "red macaw".')],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for pipes.")
    ] = False,
) -> None:
    """Find files by their words. No picture is decoded.

    A file must have every word, in any order; capitals and plurals do not matter. Decoded words are
    cached in the user's cache folder. The exit code is 1 if no file is found, as grep's.
    """
    from sedic.search import Match, files_in, search, words_of
    from sedic.word_cache import WordCache, default_path

    if not words_of(words):
        raise UnsuitableInputError("give at least one word to look for")
    if not folder.exists():
        raise UnsuitableInputError(f"there is no {printable(folder)}")
    count = 0
    with WordCache(default_path()) as cache:
        for result in search(files_in(folder), words, cache=cache):
            if not isinstance(result, Match):
                note(f"{printable(result.path)}: {printable(result.problem)}")
                continue
            count += 1
            if as_json:
                facts = {
                    "file": str(result.path),
                    "score": result.score,
                    "where": result.where,
                    "overall": result.overall,
                    "objects": list(result.names),
                }
                typer.echo(json.dumps(facts))
            else:
                typer.echo(f"{printable(result.path)}: {result.where}")
    if not count:
        raise typer.Exit(1)
