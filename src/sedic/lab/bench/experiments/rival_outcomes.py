"""Rival codecs at the sizes of our files, for every experiment that has rivals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sedic.errors import SedicError
from sedic.lab.bench.experiments import KnownRows, Outcome, UnreachableError
from sedic.lab.bench.rivals import Rival

if TYPE_CHECKING:
    from sedic.picture import Picture

Limits = Mapping[str, int | SedicError]  # of every point: bytes, or why there is no limit


def largest_file(old: Sequence[object], new: Sequence[Outcome]) -> int | SedicError:
    """The bytes of our largest file at one point: what a rival may use there.

    ``old``: the ``bytes`` of earlier rows; ``new``: outcomes of this run. Where one of our files
    failed, that is an error, so that rivals are tried again with it.
    """
    if any(outcome.problem for outcome in new):
        return SedicError("a file of ours, whose size it may have, failed")
    sizes = [*old, *(outcome.values.get("bytes") for outcome in new)]
    numbers = [size for size in sizes if isinstance(size, int | float)]
    if not numbers:
        return UnreachableError("there is no file of ours whose size it may have")
    return int(max(numbers))


def rival_outcomes(
    rivals: Sequence[Rival], picture: Picture, limits: Limits, rows: KnownRows
) -> Iterator[Outcome]:
    """Every rival's best file within the limit of every point that is not ``rows``."""

    def outcomes_of(rival: Rival) -> list[Outcome]:
        return list(_outcomes(rival, picture, limits, rows))

    # A rival's search runs one encoder after another, each on about one core.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcomes in pool.map(outcomes_of, rivals):
            yield from outcomes


def _outcomes(rival: Rival, picture: Picture, limits: Limits, rows: KnownRows) -> Iterator[Outcome]:
    limits_within: dict[str, int] = {}
    for point, limit in limits.items():
        if (rival.name, point) in rows:
            continue
        if isinstance(limit, SedicError):
            yield Outcome.of_error((rival.name, point), limit)
        else:
            limits_within[point] = limit
    try:
        coded = rival.code(picture, limits_within.values())
    except Exception as error:  # of whatever library
        for point in limits_within:
            yield Outcome.of_error((rival.name, point), error)
        return
    height, width = picture.shape[:2]
    for (point, limit), best in zip(limits_within.items(), coded, strict=True):
        cell = (rival.name, point)
        if best is None:
            yield Outcome(cell, unreachable=f"has no file of {limit} bytes or less")
            continue
        size = len(best.data)
        rate = 8 * size / (width * height)
        values = {"bytes": float(size), "bpp": rate, "quality": float(best.quality)}
        yield Outcome(cell, best.picture, values)
