"""Rate-distortion-perception curves (SEDIC, Fig. 3 and 4): ours, and rivals at equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sedic.errors import SedicError
from sedic.lab.bench.experiments import Cell, Done, Outcome
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
        largest: dict[str, int] = {}
        for point, limit in self.points.items():
            found = [
                float(str(row["bytes"]))
                for (codec, at), row in done.items()
                if at == point and codec in self.ours
            ]
            for name, count in self.ours.items():
                cell, reference = (name, point), (REFERENCE, point) if name == OURS else None
                if cell in done and (reference is None or reference in done):
                    continue
                rate = self.subject.rate(picture, limit, count)
                for outcome in self.subject.coded(index, picture, rate, cell, reference):
                    if outcome.picture is not None:
                        found.append(outcome.values["bytes"])
                    yield outcome
            largest[point] = int(max(found, default=0))

        def outcomes_of(rival: Rival) -> list[Outcome]:
            return list(self._rival(rival, picture, largest, done))

        # A rival's search runs one encoder after another, each on about one core.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for outcomes in pool.map(outcomes_of, self.rivals):
                yield from outcomes

    def _rival(
        self, rival: Rival, picture: Picture, largest: dict[str, int], done: Done
    ) -> Iterator[Outcome]:
        open_points = [point for point in self.points if (rival.name, point) not in done]
        try:
            coded = rival.code(picture, [largest[point] for point in open_points])
        except SedicError as error:
            for point in open_points:
                yield Outcome((rival.name, point), problem=str(error))
            return
        height, width = picture.shape[:2]
        for point, found in zip(open_points, coded, strict=True):
            cell = (rival.name, point)
            if found is None:
                yield Outcome(cell, problem=f"has no file of {largest[point]} bytes or less")
                continue
            size = len(found.data)
            rate = 8 * size / (width * height)
            values = {"bytes": float(size), "bpp": rate, "quality": float(found.quality)}
            yield Outcome(cell, found.picture, values)


def objects_name(count: int) -> str:
    """The name of our curve with at most so many objects."""
    return f"{OURS}, J = {count}" if count == 0 else f"{OURS}, J ≤ {count}"
