"""The papers' experiments: pictures through codecs, everything measured, row by row on disk.

An experiment says what its cells are and makes their pictures; ``run`` measures them and keeps
what is known, so that a run that is stopped goes on where it was. Whatever fails, in our code or in
a library's, is a note or an error in its row, and the other rows go on.
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

from sedic.errors import LimitError, SedicError
from sedic.failures import is_out_of_memory, reason, translated
from sedic.files import make_folder, printable
from sedic.lab.bench.metrics import Metric, Scores, score
from sedic.lab.bench.results import Results, Row

if TYPE_CHECKING:
    from sedic.lab.bench.datasets import Dataset
    from sedic.picture import Picture

KEYS = ("picture", "codec", "point")
Cell = tuple[str, str]  # the codec or variant, and the point of its curve
KnownRows = Mapping[Cell, Row]  # what is known of one picture already
Progress = Callable[[int, int, str], None]  # cells done, cells in all, what is being done
PictureHook = Callable[["Picture", str, Cell], None]

ORIGINAL = "original"
SHOWN_SIDE = 768  # pixels, the longer side of pictures that are kept for the report


class UnreachableError(SedicError):
    """A cell has no numbers, and trying it again would not change that."""


@dataclass(frozen=True)
class Outcome:
    """The result of one picture in one cell: a decoded picture, or the reason why there is none.

    ``problem``: what failed; the cell is tried again in the next run. ``unreachable``: why the cell
    has no numbers; it counts as done.
    """

    cell: Cell
    picture: Picture | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    text: str = ""  # what the file says; CLIP compares it with the decoded picture
    problem: str = ""
    unreachable: str = ""

    @classmethod
    def of_error(cls, cell: Cell, error: Exception) -> Outcome:
        """The outcome of a cell that ended in ``error``, ours or a library's."""
        final = isinstance(error, (UnreachableError, LimitError)) and not is_out_of_memory(error)
        return cls(cell, unreachable=reason(error)) if final else cls(cell, problem=reason(error))


class Experiment(Protocol):
    """What is measured: codecs or variants at points, the cells, for every picture."""

    @property
    def name(self) -> str:
        """The name of its command."""

    @property
    def values(self) -> tuple[str, ...]:
        """The columns of results that are not metrics."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells; the same for every picture."""

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        """The cells whose pictures the report shows."""

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        """Outcomes of picture ``index`` in the cells that are not ``rows``, in any order."""


@dataclass(frozen=True)
class Gallery:
    """The folder of decoded pictures for the report, of the first ``count`` pictures."""

    folder: Path
    count: int


def run(
    experiment: Experiment,
    dataset: Dataset,
    metrics: list[Metric],
    results: Results,
    gallery: Gallery,
    progress: Progress,
    hook: PictureHook | None = None,
) -> None:
    """Measure the cells of every picture that are not in ``results`` yet.

    ``hook`` is called with every picture, original and decoded, its name and its cell.
    A picture or a cell that fails leaves a row that says why, and is tried again in the next run;
    one that is unreachable is not. One picture is in memory at a time.
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
        except Exception as error:  # of whatever library
            results.append_error((sample.name, "", ""), reason(error))
            continue
        in_gallery = index < gallery.count
        if in_gallery:
            _keep(picture, gallery.folder, sample.name, (ORIGINAL, ""))
        count = len(known)
        measure = _measure(metrics, picture, sample.name, hook)
        outcomes = _isolated(experiment, index, picture, known)
        for outcome, scores in _measured(outcomes, measure):
            key = (sample.name, *outcome.cell)
            if outcome.picture is not None and scores is not None:
                notes = scores.notes
                if in_gallery and outcome.cell in experiment.shown_cells:
                    notes += _keep(outcome.picture, gallery.folder, sample.name, outcome.cell)
                results.append(key, {**outcome.values, **scores.values}, notes)
            elif outcome.unreachable:
                results.append(key, {}, [outcome.unreachable])
            else:
                results.append_error(key, outcome.problem)
            count += 1
            progress(before + count, total, f"{sample.name}: {outcome.cell[0]}")
    progress(total, total, "done")


def _isolated(
    experiment: Experiment, index: int, picture: Picture, known: KnownRows
) -> Iterator[Outcome]:
    """The experiment's outcomes; where it breaks off, a problem for every cell that is missing."""
    missing = [cell for cell in experiment.cells if cell not in known]
    try:
        for outcome in experiment.outcomes(index, picture, known):
            if outcome.cell in missing:
                missing.remove(outcome.cell)
                yield outcome
    except Exception as error:  # of whatever library
        yield from (Outcome.of_error(cell, error) for cell in missing)


def _measure(
    metrics: list[Metric], original: Picture, name: str, hook: PictureHook | None
) -> Callable[[Picture, Outcome], Scores]:
    one_by_one = Lock()

    def look(picture: Picture, cell: Cell) -> list[str]:
        if hook is None:
            return []
        try:
            with one_by_one, translated("FID and KID"):
                hook(picture, name, cell)
        except SedicError as error:
            return [str(error)]
        return []

    of_original = look(original, (ORIGINAL, ""))

    def measure(decoded: Picture, outcome: Outcome) -> Scores:
        notes = of_original or look(decoded, outcome.cell)
        scores = score(metrics, decoded, original, outcome.text)
        return Scores(scores.values, scores.notes + notes)

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
    if future is None:
        return outcome, None
    try:
        return outcome, future.result()
    except Exception as error:  # a decoded picture of another size, say
        return Outcome.of_error(outcome.cell, error), None


def _keep(picture: Picture, folder: Path, name: str, cell: Cell) -> list[str]:
    """Keep a picture for the report, at most ``SHOWN_SIDE`` pixels a side; a note if it fails."""
    from PIL import Image

    path = kept_picture_path(folder, name, cell)
    try:
        with translated(f"{printable(path)} cannot be written"):
            make_folder(folder)
            image = Image.fromarray(picture)
            image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
            image.save(path, "WEBP", quality=90, method=4)
    except SedicError as error:
        return [str(error)]
    return []


def kept_picture_path(folder: Path, name: str, cell: Cell) -> Path:
    """Where a picture for the report is kept."""
    words = (re.sub(r"[^\w.-]+", "-", part).strip("-.") for part in (name, *cell))
    mark = zlib.crc32(
        "\n".join((name, *cell)).encode()
    )  # keeps names apart that differ only in characters left out
    return folder / f"{'_'.join(filter(None, words))}_{mark:08x}.webp"
