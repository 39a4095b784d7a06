"""The contribution of an object's words and mask: each is exchanged for another object's.

Only the object's own region is judged: what is measured is the original with that region cut out
of the decoded picture, so a number here is as many times smaller as the region is than the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sedic.coding.container import Container
from sedic.lab.bench.experiments import Cell, KnownRows, Outcome, UnreachableError
from sedic.lab.bench.experiments.subject import VALUES, Subject, measures
from sedic.semantics import (
    GRID,
    Mask,
    ObjectLayer,
)

if TYPE_CHECKING:
    from sedic.picture import Picture

OBJECTS = 2
AS_SENT = "as sent"
REFERENCE = "reference image alone"
SWAPS = (
    AS_SENT,
    "the other object's words",
    "the other object's mask",
    "no words of its own",
    REFERENCE,
)


@dataclass(frozen=True)
class Swaps:
    """``limit``: bits per pixel of the whole file; the points are the objects, by their number."""

    subject: Subject
    limit: float
    name: str = "swaps"
    values: tuple[str, ...] = VALUES

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple((name, str(i + 1)) for i in range(OBJECTS) for name in SWAPS)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        return self.cells

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        subject = self.subject
        open_cells = [cell for cell in self.cells if cell not in rows]
        try:
            whole = subject.whole(index, picture, self.limit, OBJECTS)
            layers = whole.image.objects
            if len(layers) < OBJECTS:
                raise UnreachableError(f"{len(layers)} of {OBJECTS} objects: nothing to exchange")
        except Exception as error:  # of whatever library
            yield from (Outcome.of_error(cell, error) for cell in open_cells)
            return
        for cell in open_cells:
            name, i = cell[0], int(cell[1]) - 1
            own, other = layers[i], layers[1 - i]
            if name == REFERENCE:
                values = measures(Container.parse(whole.data))
                yield Outcome(cell, within(own.mask, whole.preview, picture), values)
                continue
            changed = list(layers)
            changed[i] = exchanged(name, own, other)
            data = subject.file(whole.data, replace(whole.image, objects=tuple(changed)))
            outcome = subject.decoded(data, cell)
            if outcome.picture is not None:
                outcome = replace(outcome, picture=within(own.mask, outcome.picture, picture))
            yield outcome


def exchanged(how: str, own: ObjectLayer, other: ObjectLayer) -> ObjectLayer:
    """The object ``own`` after the swap ``how``, one of ``SWAPS``, with ``other``."""
    if how == "the other object's words":
        return replace(own, name=other.name, detail=other.detail)
    if how == "the other object's mask":
        return replace(own, mask=other.mask)
    if how == "no words of its own":  # a file must name an object somehow
        return replace(own, name="object", detail="object")
    return own


def within(mask: Mask, inside: Picture, outside: Picture) -> Picture:
    """``inside`` where the mask is, ``outside`` elsewhere."""
    height, width = outside.shape[:2]
    region = mask.array.repeat(GRID, 0).repeat(GRID, 1)[:height, :width]
    return np.where(region[..., None], inside, outside)
