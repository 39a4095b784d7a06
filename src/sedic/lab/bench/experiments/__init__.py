"""The papers' experiments: pictures through codecs, everything measured, row by row on disk.

An experiment says what its cells are and makes their pictures; ``run`` measures them and keeps
what is known, so that a run that is stopped goes on where it was.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from sedic.errors import SedicError
from sedic.files import make_folder, printable
from sedic.lab.bench.metrics import Metric, Scores, score
from sedic.lab.bench.results import Results, Row

if TYPE_CHECKING:
    from sedic.lab.bench.datasets import Dataset
    from sedic.picture import Picture

KEYS = ("picture", "codec", "point")
Cell = tuple[str, str]  # the codec or variant, and the point of its curve
Done = Mapping[Cell, Row]  # what is known of one picture already
Progress = Callable[[int, int, str], None]  # cells done, cells in all, what is being done
See = Callable[["Picture", str, Cell], None]

ORIGINAL = "original"
SHOWN_SIDE = 768  # pixels, the longer side of pictures that are kept for the report


@dataclass(frozen=True)
class Outcome:
    """What became of one picture in one cell: a picture that was decoded, or a problem."""

    cell: Cell
    picture: Picture | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    text: str = ""  # that the decoded picture should still agree with
    problem: str = ""


class Experiment(Protocol):
    """Cells to fill for every picture."""

    @property
    def name(self) -> str:
        """Of the command."""

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that it measures itself, besides the metrics."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every picture's."""

    @property
    def shown(self) -> tuple[Cell, ...]:
        """Those whose pictures the report shows."""

    def outcomes(self, index: int, picture: Picture, done: Done) -> Iterator[Outcome]:
        """The cells of picture ``index`` of the dataset that are not ``done``, in any order."""


def run(
    experiment: Experiment,
    dataset: Dataset,
    metrics: list[Metric],
    results: Results,
    folder: Path,
    shown: int,
    progress: Progress,
    see: See | None = None,
) -> None:
    """Fill ``results``; decoded pictures of the first ``shown`` pictures are kept in ``folder``.

    ``see`` is told of every picture, original and decoded, what it is of and in which cell.
    A picture or a cell that fails leaves a row that says why, and is tried again in the next run.
    One picture is in memory at a time.
    """
    total = len(dataset) * len(experiment.cells)
    for index, sample in enumerate(dataset):
        before = index * len(experiment.cells)
        rows = {
            (str(row["codec"]), str(row["point"])): row
            for row in results.rows
            if row["picture"] == sample.name and not row["error"]
        }
        known = {cell: row for cell, row in rows.items() if cell in experiment.cells}
        progress(before + len(known), total, sample.name)
        if len(known) == len(experiment.cells):
            continue
        try:
            picture = sample.load()
        except SedicError as error:
            results.append_error((sample.name, "", ""), error)
            continue
        if index < shown:
            keep(picture, folder, sample.name, (ORIGINAL, ""))
        count = len(known)
        measure = _measure(metrics, picture, sample.name, see)
        for outcome, scores in _measured(experiment.outcomes(index, picture, known), measure):
            key = (sample.name, *outcome.cell)
            if outcome.cell in known:
                continue
            if outcome.picture is None or scores is None:
                results.append_error(key, outcome.problem)
            else:
                if index < shown and outcome.cell in experiment.shown:
                    keep(outcome.picture, folder, sample.name, outcome.cell)
                results.append(key, {**outcome.values, **scores.values}, scores.notes)
            count += 1
            progress(before + count, total, f"{sample.name}: {outcome.cell[0]}")
    progress(total, total, "done")


def _measure(
    metrics: list[Metric], original: Picture, name: str, see: See | None
) -> Callable[[Picture, Outcome], Scores]:
    one_by_one = Lock()
    if see is not None:
        see(original, name, (ORIGINAL, ""))

    def measure(found: Picture, outcome: Outcome) -> Scores:
        if see is not None:
            with one_by_one:
                see(found, name, outcome.cell)
        return score(metrics, found, original, outcome.text)

    return measure


def _measured(
    outcomes: Iterator[Outcome], measure: Callable[[Picture, Outcome], Scores]
) -> Iterator[tuple[Outcome, Scores | None]]:
    """Outcomes in their order with their scores, measured while the next ones are being made."""
    waiting: list[tuple[Outcome, Future[Scores] | None]] = []
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as measuring:
        for outcome in outcomes:
            future = None
            if outcome.picture is not None:
                future = measuring.submit(measure, outcome.picture, outcome)
            waiting.append((outcome, future))
            if len(waiting) > workers:
                yield _settled(*waiting.pop(0))
        for pair in waiting:
            yield _settled(*pair)


def _settled(outcome: Outcome, future: Future[Scores] | None) -> tuple[Outcome, Scores | None]:
    return outcome, None if future is None else future.result()


def keep(picture: Picture, folder: Path, name: str, cell: Cell) -> None:
    """A picture for the report, at most ``SHOWN_SIDE`` pixels a side."""
    from PIL import Image

    make_folder(folder)
    image = Image.fromarray(picture)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    path = kept(folder, name, cell)
    try:
        image.save(path, "WEBP", quality=90, method=4)
    except OSError as error:
        raise SedicError(f"cannot write {printable(path)}: {error.strerror or error}") from error


def kept(folder: Path, name: str, cell: Cell) -> Path:
    """Where ``keep`` puts a picture."""
    words = (re.sub(r"[^\w.-]+", "-", part).strip("-.") for part in (name, *cell))
    mark = zlib.crc32("\n".join((name, *cell)).encode())  # names may differ in what is left out
    return folder / f"{'_'.join(filter(None, words))}_{mark:08x}.webp"
