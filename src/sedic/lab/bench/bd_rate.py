"""Bjøntegaard's delta rate: the mean difference in rate of two codecs at equal quality, in percent.

The logarithm of the rate is interpolated over the metric by monotone cubic pieces (PCHIP, as in
ITU-T's later practice; the polynomial of 2001 overshoots), and averaged over the range of the
metric that both curves reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from sedic.errors import SedicError

Curve = Sequence[tuple[float, float]]  # (bits per pixel, metric)

FEWEST = 2  # points of a curve


@dataclass(frozen=True)
class BDRate:
    """A BD-rate. ``percent``: how much more rate than the anchor's, negative for less.

    ``low`` and ``high`` bound the metric that both curves reach; ``overlap`` is that range's share
    of what either of them reaches, from 0 to 1.
    """

    percent: float
    low: float
    high: float
    overlap: float


def bd_rate(anchor: Curve, other: Curve, least_overlap: float = 0.1) -> BDRate:
    """The delta rate of ``other`` over ``anchor``, for metrics of either direction.

    ``SedicError``, saying why, if a curve has fewer than two points, a rate that is not above 0, a
    metric that does not rise or fall all the way with the rate, if the two go in opposite
    directions, or if their ranges overlap by less than ``least_overlap``.
    """
    (anchor_rates, anchor_values), (rates, values) = (
        _checked(curve, name) for curve, name in ((anchor, "the anchor"), (other, "the other"))
    )
    if (anchor_values[-1] > anchor_values[0]) != (values[-1] > values[0]):
        raise SedicError("no BD-rate: one curve's metric rises with the rate, the other's falls")
    low = max(min(anchor_values), min(values))
    high = min(max(anchor_values), max(values))
    reached = max(*anchor_values, *values) - min(*anchor_values, *values)
    overlap = max(0.0, high - low) / reached
    if overlap < least_overlap:
        raise SedicError(
            f"no BD-rate: the curves share {overlap:.0%} of the range that they reach"
            f" ({min(anchor_values):.4g} to {max(anchor_values):.4g} and {min(values):.4g} to"
            f" {max(values):.4g}); measure them where they overlap"
        )
    means = [
        _mean_log(r, v, low, high) for r, v in ((anchor_rates, anchor_values), (rates, values))
    ]
    return BDRate(100 * math.expm1(means[1] - means[0]), low, high, overlap)


def _checked(curve: Curve, name: str) -> tuple[list[float], list[float]]:
    points = sorted(curve)
    if len(points) < FEWEST:
        raise SedicError(f"no BD-rate: {name} curve has fewer than {FEWEST} points")
    rates, values = ([float(point[i]) for point in points] for i in (0, 1))
    if not all(map(math.isfinite, rates + values)) or rates[0] <= 0:
        raise SedicError(f"no BD-rate: {name} curve has a point without a rate or a metric")
    steps = np.diff(values)
    if not (np.all(np.diff(rates) > 0) and (np.all(steps > 0) or np.all(steps < 0))):
        raise SedicError(f"no BD-rate: {name} curve does not go one way all along its rates")
    return rates, values


def _mean_log(rates: list[float], values: list[float], low: float, high: float) -> float:
    order = np.argsort(values)
    curve = PchipInterpolator(np.array(values)[order], np.log(rates)[order])
    return float(curve.integrate(low, high)) / (high - low)
