"""What an object's words say of its surface, as strengths of the noise inside its mask.

A reference codec that makes texture of noise (``compact``) asks for two strengths at each place:
of coarse grain, several pixels wide, and of fine grain. "Smooth" makes both small, "rough" both
large; "fine" and "coarse" move strength from one to the other; "grainy" adds fine grain, "blurred"
takes it away. Words that are not of surfaces, and absent words, leave them at 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sedic.semantics import Mask, ObjectLayer, grid_size

MOST = 3.0  # a strength, however many words ask for more


class Touch(NamedTuple):
    """Factors of the two strengths."""

    coarse: float = 1.0
    fine: float = 1.0


_SMOOTH, _ROUGH = Touch(0.3, 0.3), Touch(1.7, 1.7)
_WORDS = {
    **dict.fromkeys(("smooth", "polished", "glossy", "silky", "plain"), _SMOOTH),
    **dict.fromkeys(("rough", "rugged", "bumpy", "shaggy", "coarse-grained"), _ROUGH),
    "smoother": Touch(0.7, 0.7),
    "rougher": Touch(1.3, 1.3),
    "faint": Touch(0.8, 0.8),
    "strong": Touch(1.4, 1.4),
    "fine": Touch(0.6, 1.3),
    "coarse": Touch(2.5, 0.2),
    **dict.fromkeys(("grainy", "gritty", "sandy"), Touch(1.0, 1.8)),
    "sharp": Touch(1.0, 1.15),
    "soft": Touch(0.6, 0.6),
    "blurred": Touch(0.2, 0.2),
}
_DEGREES = {"very": 1.5, "extremely": 2.0, "slightly": 0.5, "almost": 0.5, "rather": 0.75}
_NEGATIONS = {"not", "no", "without"}  # of the next word: it says nothing then


def touch(detail: str) -> Touch:
    """The strengths that a description asks for, each 0 to ``MOST``."""
    words = [word.strip(",;:.!?\"'()").lower() for word in detail.split(" ")]
    coarse = fine = 1.0
    for before, word in zip(["", *words], words, strict=False):
        if word in _WORDS and before not in _NEGATIONS:
            degree = _DEGREES.get(before, 1.0)
            coarse *= _WORDS[word].coarse ** degree
            fine *= _WORDS[word].fine ** degree
    return Touch(min(coarse, MOST), min(fine, MOST))


def strengths(
    objects: Iterable[ObjectLayer], width: int, height: int, realism: float
) -> float | npt.NDArray[np.float32]:
    """``realism`` times the strengths inside every object's mask: (2, rows, columns) float32 on the
    grid of masks, coarse and fine; or ``realism`` itself where no object says anything of it.

    From the largest mask to the smallest: where two overlap, the later one wins, as in Algorithm 1.
    """
    said = [(layer.mask, touch(layer.detail)) for layer in objects]
    said = [(mask, found) for mask, found in said if found != Touch() and mask.area]
    if not said or not realism:
        return realism
    columns, rows = grid_size(width, height)
    found = np.full((2, rows, columns), realism, np.float32)
    for mask, factors in sorted(said, key=_area, reverse=True):
        found[:, mask.array] = np.float32(realism) * np.array(factors, np.float32)[:, None]
    return found


def _area(said: tuple[Mask, Touch]) -> int:
    return said[0].area
