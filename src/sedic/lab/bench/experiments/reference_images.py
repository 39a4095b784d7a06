"""The reference image alone: files without words, of several reference codecs or weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sedic.coding.container import Container
from sedic.describe.description import Description
from sedic.errors import SedicError
from sedic.lab.bench.experiments import Cell, KnownRows, Outcome
from sedic.lab.bench.experiments.curves import at_middle, points_of
from sedic.lab.bench.experiments.rival_outcomes import largest_file, rival_outcomes
from sedic.lab.bench.experiments.subject import VALUES, measures
from sedic.lab.bench.rivals import Rival
from sedic.semantics import MAX_NAME_WORDS, Rate

if TYPE_CHECKING:
    from sedic.encoder import Encoder
    from sedic.picture import Picture


@dataclass(frozen=True)
class ReferenceImages:
    """``encoders``: one of each reference codec, by the curve's name; ``limits``: bits per pixel.

    A rival may use as many bytes as the largest of our files of that picture at that limit.
    """

    encoders: Mapping[str, Encoder]
    limits: Sequence[float]
    rivals: Sequence[Rival] = ()
    name: str = "reference"
    values: tuple[str, ...] = (*VALUES, "quality")

    @property
    def cells(self) -> tuple[Cell, ...]:
        codecs = (*self.encoders, *(rival.name for rival in self.rivals))
        return tuple((codec, point) for point in points_of(self.limits) for codec in codecs)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        """All codecs at the middle limit."""
        return at_middle(self.cells)

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        limits: dict[str, int | SedicError] = {}
        for point, limit in points_of(self.limits).items():
            sizes = [rows[n, point]["bytes"] for n in self.encoders if (n, point) in rows]
            new = []
            for name, encoder in self.encoders.items():
                if (name, point) not in rows:
                    new.append(_coded(encoder, picture, limit, (name, point)))
                    yield new[-1]
            limits[point] = largest_file(sizes, new)
        yield from rival_outcomes(self.rivals, picture, limits, rows)


def _coded(encoder: Encoder, picture: Picture, limit: float, cell: Cell) -> Outcome:
    """The largest file without words within the limit, and its reference image."""
    height, width = picture.shape[:2]
    try:
        rate = Rate(max(1, int(limit * width * height / 8)), 0, MAX_NAME_WORDS, 0)
        compressed = encoder.compress(picture, rate, Description("", ()))
    except Exception as error:  # of whatever library
        return Outcome.of_error(cell, error)
    return Outcome(cell, compressed.preview, measures(Container.parse(compressed.data)))
