"""Semantic consistency as metrics: does the classifier see the same in the decoded picture?"""

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
    seen = _looker()
    weights = f"{classifier.checkpoint().name} sha256:{classifier.SHA256[:16]}"
    return (lambda decoded, original, _: float(getattr(seen(decoded, original), field))), weights


@cache
def _looker() -> Callable[[Picture, Picture], Consistency]:
    network = classifier.load()
    kept: tuple[Picture, Picture, Consistency] | None = None

    def look(decoded: Picture, original: Picture) -> Consistency:
        nonlocal kept
        if kept is None or kept[0] is not decoded or kept[1] is not original:
            kept = decoded, original, compare(original, decoded, network)
        return kept[2]

    return look
