"""How many denoising steps it takes (SEDIC, Fig. 5 and 6): object steps and last steps, apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sedic.lab.bench.experiments import Cell, KnownRows, Outcome
from sedic.lab.bench.experiments.subject import VALUES, Subject

if TYPE_CHECKING:
    from sedic.picture import Picture

SETTINGS = {"object steps": "object_steps", "last steps": "last_steps"}


@dataclass(frozen=True)
class Steps:
    """Varies one of two settings at a time; files are made at ``limit`` bits per pixel."""

    subject: Subject
    limit: float
    counts: Sequence[int]
    name: str = "steps"
    values: tuple[str, ...] = VALUES

    @property
    def cells(self) -> tuple[Cell, ...]:
        counts = sorted(set(self.counts))
        return tuple((name, str(count)) for name in SETTINGS for count in counts)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        return self.cells

    def outcomes(self, index: int, picture: Picture, rows: KnownRows) -> Iterator[Outcome]:
        subject = self.subject
        rate = subject.rate(picture, self.limit)
        for cell in self.cells:
            if cell not in rows:
                changed = {SETTINGS[cell[0]]: int(cell[1])}
                yield from subject.coded(index, picture, rate, cell, settings=changed)
