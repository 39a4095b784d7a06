"""Semantic consistency as metrics: whether the classifier gives the decoded picture's class."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from sedic.describe.consistency import Consistency, compare
from sedic.models import classifier

if TYPE_CHECKING:
    from sedic.picture import Picture

Measure = Callable[["Picture", "Picture", str], float]  # decoded, original, text


def measures(field: str) -> tuple[Measure, str]:
    """A function that measures ``field`` of ``Consistency``, and the weights it uses.

    ``MissingWeightsError`` without the classifier's package. Results of the last pair of
    pictures are kept, so that the classifier runs once for several metrics.
    """
    compare_once = _looker()
    weights = f"{classifier.checkpoint().name} sha256:{classifier.SHA256[:16]}"
    return (
        lambda decoded, original, _: float(getattr(compare_once(decoded, original), field))
    ), weights


@cache
def _looker() -> Callable[[Picture, Picture], Consistency]:
    network = classifier.load_classifier()
    last: tuple[Picture, Picture, Consistency] | None = None

    def look(decoded: Picture, original: Picture) -> Consistency:
        nonlocal last
        if last is None or last[0] is not decoded or last[1] is not original:
            last = decoded, original, compare(original, decoded, network)
        return last[2]

    return look
