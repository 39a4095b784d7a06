"""Compares what a decoded picture and its original show, according to the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sedic.describe import names as table
from sedic.describe.activation import whole_view
from sedic.models.classifier import softmax

if TYPE_CHECKING:
    from sedic.models.classifier import Classifier
    from sedic.picture import Picture

_MIN_CHANCE = 0.5  # of the original's class, for a warning
_TOP = 5


@dataclass(frozen=True)
class Consistency:
    """The comparison of two pictures' classes.

    ``same``: 1.0 where both have the same most likely name, else 0.0; ``overlap``: the share of
    the five most likely names that both have, 0 to 1; ``distance``: the Jensen-Shannon distance of
    the chances of all classes, 0 (equal) to 1; ``before`` and ``after``: the most likely names,
    with an article, and ``sure`` the chance of the first; ``related``: whether one is a kind of the
    other or both have one kind.
    """

    same: float
    overlap: float
    distance: float
    before: str
    after: str
    sure: float
    related: bool

    def warning(self) -> str | None:
        """A line such as "... a fox became a sheep", where the original's class is fairly certain
        and the decoded picture's class is of another kind; else None."""
        if self.same or self.related or self.sure < _MIN_CHANCE:
            return None
        return f"the decoded picture may mislead: {self.before} became {self.after}"


def compare(original: Picture, decoded: Picture, classifier: Classifier) -> Consistency:
    """Compare the classes of two (height, width, 3) uint8 pictures.

    The classifier sees each whole picture once, with a short side of 224 pixels.
    """
    names = table.load_names()
    chances = np.stack([chances_of(picture, classifier) for picture in (original, decoded)])
    own = names.chances(chances) * np.equal(names.depth, 0)
    order = np.argsort(-own, axis=1, kind="stable")[:, :_TOP]
    first, second = int(order[0, 0]), int(order[1, 0])
    return Consistency(
        same=float(first == second),
        overlap=len({*order[0].tolist()} & {*order[1].tolist()}) / _TOP,
        distance=_distance(chances[0], chances[1]),
        before=names.with_article(first),
        after=names.with_article(second),
        sure=float(own[0, first]),
        related=bool({*names.line(first)[:2]} & {*names.line(second)[:2]}),
    )


def chances_of(picture: Picture, classifier: Classifier) -> npt.NDArray[np.float32]:
    """The chances (1000,) of the classes for a whole picture."""
    logits, _ = classifier.look(whole_view(picture)[None])
    return softmax(logits[0])


def _distance(p: npt.NDArray[np.float32], q: npt.NDArray[np.float32]) -> float:
    """The square root of the Jensen-Shannon divergence in bits (Endres and Schindelin 2003)."""
    pair = np.stack([p, q]).astype(np.float64)
    middle = pair.mean(axis=0)
    positive = pair > 0
    ratio = np.divide(pair, middle, out=np.ones_like(pair), where=positive)
    return float(np.sqrt(max(0.0, (pair * np.log2(ratio)).sum() / 2)))
