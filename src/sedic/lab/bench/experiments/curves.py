"""Rate-distortion-perception curves (SEDIC, Fig. 3 and 4): ours, and rivals at equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sedic.errors import SedicError
from sedic.lab.bench.experiments import Cell, Done, Outcome, UnreachableError
from sedic.lab.bench.experiments.subject import VALUES, Subject
from sedic.lab.bench.rivals import Coder, Rival, sizes

if TYPE_CHECKING:
    from sedic.picture import Picture

OURS, REFERENCE = "sedic", "sedic, reference image alone"


@dataclass(frozen=True)
class Curves:
    """``limits``: bits per pixel; ``objects``: at most so many for a curve each, none: the paper's.

    In every point a rival may use as many bytes as our largest file of that picture there; its
    three sizes are codecs of their own here, and one in the report.
    """

    subject: Subject
    limits: Sequence[float]
    objects: Sequence[int] = ()
    coders: Sequence[Coder] = ()
    name: str = "rd"
    values: tuple[str, ...] = (*VALUES, "quality")
    rivals: tuple[Rival, ...] = field(init=False)

    def __post_init__(self) -> None:
        rivals = tuple(rival for coder in self.coders for rival in sizes(coder))
        object.__setattr__(self, "rivals", rivals)

    @property
    def ours(self) -> dict[str, int | None]:
        """Our curves and the objects that each may have."""
        return {OURS: None} | {objects_name(count): count for count in self.objects}

    @property
    def points(self) -> dict[str, float]:
        """Limits as they are written."""
        return {f"{limit:g}": limit for limit in sorted(set(self.limits))}

    @property
    def cells(self) -> tuple[Cell, ...]:
        codecs = (*self.ours, REFERENCE, *(rival.name for rival in self.rivals))
        return tuple((codec, point) for point in self.points for codec in codecs)

    @property
    def shown(self) -> tuple[Cell, ...]:
        """All codecs at the middle limit."""
        middle = list(self.points)[(len(self.points) - 1) // 2]
        return tuple(cell for cell in self.cells if cell[1] == middle)

    def outcomes(self, index: int, picture: Picture, done: Done) -> Iterator[Outcome]:
        largest: dict[str, int | SedicError] = {}
        for point, limit in self.points.items():
            sizes = [
                row["bytes"]
                for (codec, at), row in done.items()
                if at == point and codec in self.ours
            ]
            failed = False
            for name, count in self.ours.items():
                cell, reference = (name, point), (REFERENCE, point) if name == OURS else None
                if cell in done and (reference is None or reference in done):
                    continue
                for outcome in self._ours(index, picture, (limit, count), cell, reference):
                    sizes.append(outcome.values.get("bytes"))
                    failed = failed or bool(outcome.problem)
                    yield outcome
            known = [size for size in sizes if isinstance(size, int | float)]
            if known and not failed:
                largest[point] = int(max(known))
            elif failed:
                largest[point] = SedicError("a file of ours, whose size it may have, failed")
            else:
                largest[point] = UnreachableError("there is no file of ours whose size it may have")

        def outcomes_of(rival: Rival) -> list[Outcome]:
            return list(self._rival(rival, picture, largest, done))

        # A rival's search runs one encoder after another, each on about one core.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for outcomes in pool.map(outcomes_of, self.rivals):
                yield from outcomes

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

    def _rival(
        self, rival: Rival, picture: Picture, largest: Mapping[str, int | SedicError], done: Done
    ) -> Iterator[Outcome]:
        limits: dict[str, int] = {}
        for point, limit in largest.items():
            if (rival.name, point) in done:
                continue
            if isinstance(limit, SedicError):
                yield Outcome.of_error((rival.name, point), limit)
            else:
                limits[point] = limit
        try:
            coded = rival.code(picture, limits.values())
        except Exception as error:  # of whatever library
            for point in limits:
                yield Outcome.of_error((rival.name, point), error)
            return
        height, width = picture.shape[:2]
        for (point, limit), best in zip(limits.items(), coded, strict=True):
            cell = (rival.name, point)
            if best is None:
                yield Outcome(cell, unreachable=f"has no file of {limit} bytes or less")
                continue
            size = len(best.data)
            rate = 8 * size / (width * height)
            values = {"bytes": float(size), "bpp": rate, "quality": float(best.quality)}
            yield Outcome(cell, best.picture, values)


def objects_name(count: int) -> str:
    """The name of our curve with at most so many objects."""
    return f"{OURS}, J = {count}" if count == 0 else f"{OURS}, J ≤ {count}"
