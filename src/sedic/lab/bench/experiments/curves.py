"""Rate-distortion-perception curves (SEDIC, Fig. 3 and 4): ours, and rivals at equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sedic.errors import SedicError
from sedic.lab.bench.experiments import Cell, KnownRows, Outcome
from sedic.lab.bench.experiments.rival_outcomes import largest_file, rival_outcomes
from sedic.lab.bench.experiments.subject import VALUES, Subject
from sedic.lab.bench.rivals import Rival

if TYPE_CHECKING:
    from sedic.picture import Picture

OURS, REFERENCE = "sedic", "sedic, reference image alone"


@dataclass(frozen=True)
class Curves:
    """``limits``: bits per pixel. ``objects``: for each number a curve of ours with at most so
    many objects, besides the curve with the paper's numbers.

    At every limit a rival may use as many bytes as the largest of our files of that picture. Its
    three picture sizes are three codecs here, and one curve in the report.
    """

    subject: Subject
    limits: Sequence[float]
    objects: Sequence[int] = ()
    rivals: Sequence[Rival] = ()
    name: str = "rd"
    values: tuple[str, ...] = (*VALUES, "quality")

    @property
    def ours(self) -> dict[str, int | None]:
        """Our curves by name, and the most objects of each; None: as the rate has it."""
        return {OURS: None} | {objects_name(count): count for count in self.objects}

    @property
    def points(self) -> dict[str, float]:
        """The limits by the text that names them in results."""
        return points_of(self.limits)

    @property
    def cells(self) -> tuple[Cell, ...]:
        codecs = (*self.ours, REFERENCE, *(rival.name for rival in self.rivals))
        return tuple((codec, point) for point in self.points for codec in codecs)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        """All codecs at the middle limit."""
        return at_middle(self.cells)

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        limits: dict[str, int | SedicError] = {}
        for point, limit in self.points.items():
            sizes = [
                row["bytes"]
                for (codec, row_point), row in rows.items()
                if row_point == point and codec in self.ours
            ]
            new = []
            for name, count in self.ours.items():
                cell, reference = (name, point), (REFERENCE, point) if name == OURS else None
                if cell in rows and (reference is None or reference in rows):
                    continue
                for outcome in self._ours(index, picture, (limit, count), cell, reference):
                    new.append(outcome)
                    yield outcome
            limits[point] = largest_file(sizes, new)
        yield from rival_outcomes(self.rivals, picture, limits, rows)

    def _ours(
        self,
        index: int,
        picture: Picture,
        budget: tuple[float, int | None],
        cell: Cell,
        reference: Cell | None,
    ) -> Iterator[Outcome]:
        try:
            rate = self.subject.rate(picture, *budget)
        except SedicError as error:
            for missed in filter(None, (cell, reference)):
                yield Outcome.of_error(missed, error)
            return
        yield from self.subject.coded(index, picture, rate, cell, reference)


def objects_name(count: int) -> str:
    """The name of our curve with at most so many objects."""
    return f"{OURS}, J = {count}" if count == 0 else f"{OURS}, J ≤ {count}"


def points_of(limits: Sequence[float]) -> dict[str, float]:
    """Limits in rising order, by how they are written."""
    return {f"{limit:g}": limit for limit in sorted(set(limits))}


def at_middle(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of the middle limit, which a report shows."""
    points = list(dict.fromkeys(point for _, point in cells))
    return tuple(cell for cell in cells if cell[1] == points[(len(points) - 1) // 2])
