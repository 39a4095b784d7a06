from __future__ import annotations

import math

import numpy as np
import pytest

from sedic.errors import SedicError
from sedic.lab.bench.bd_rate import bd_rate

# PSNR of two codecs at four rates each (kbit/s), the example that Bjøntegaard calculators ship.
ANCHOR = [(686.76, 40.28), (309.58, 37.18), (157.11, 34.24), (85.95, 31.42)]
OTHER = [(893.34, 40.39), (407.8, 37.21), (204.93, 34.17), (112.75, 31.24)]


def hermite(points: list[tuple[float, float]], at: np.ndarray) -> np.ndarray:
    """Log rate over the metric by Fritsch and Carlson's monotone cubics, written out."""
    points = sorted((value, math.log(rate)) for rate, value in points)
    x, y = map(np.array, zip(*points, strict=True))
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    inner = [
        0.0
        if slope[i - 1] * slope[i] <= 0
        else 3
        * (h[i - 1] + h[i])
        / ((2 * h[i] + h[i - 1]) / slope[i - 1] + (h[i] + 2 * h[i - 1]) / slope[i])
        for i in range(1, len(h))
    ]

    def end(h0: float, h1: float, s0: float, s1: float) -> float:
        d = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
        return 0.0 if d * s0 <= 0 else 3 * s0 if s0 * s1 <= 0 and abs(d) > abs(3 * s0) else d

    d = [end(h[0], h[1], slope[0], slope[1]), *inner, end(h[-1], h[-2], slope[-1], slope[-2])]
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    d = np.array(d)
    return (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + y[i + 1] * t * t * (3 - 2 * t)
        + h[i] * (d[i] * t * (1 - t) ** 2 - d[i + 1] * t * t * (1 - t))
    )


def test_the_usual_example() -> None:
    at = np.linspace(31.42, 40.28, 200_001)
    difference = np.mean(hermite(OTHER, at) - hermite(ANCHOR, at))
    result = bd_rate(ANCHOR, OTHER)
    assert result.percent == pytest.approx(100 * (math.exp(difference) - 1), abs=0.01)
    assert 30 < result.percent < 36  # the polynomial of 2001 says about the same
    assert (result.low, result.high) == (31.42, 40.28) and result.overlap > 0.95


@pytest.mark.parametrize("sign", [1, -1])  # a metric that rises with the rate, and one that falls
def test_a_fifth_fewer_bytes_at_every_quality_is_minus_twenty_percent(sign: int) -> None:
    anchor = [(rate, sign * math.log(rate)) for rate in (0.01, 0.02, 0.04, 0.08)]
    other = [(0.8 * rate, value) for rate, value in anchor]
    assert bd_rate(anchor, other).percent == pytest.approx(-20)
    assert bd_rate(other, anchor).percent == pytest.approx(25)
    assert bd_rate(anchor, list(reversed(anchor))).percent == pytest.approx(0)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ([(0.1, 50.0), (0.2, 60.0)], "share 0%"),
        ([(100.0, 40.0), (200.0, 100.0)], "share 0%"),
        ([(100.0, 35.0)], "fewer than 2"),
        ([(100.0, 35.0), (200.0, 34.0), (300.0, 36.0)], "does not go one way"),
        ([(100.0, 35.0), (100.0, 36.0)], "does not go one way"),
        ([(100.0, 40.0), (200.0, 35.0)], "opposite|falls"),
        ([(0.0, 35.0), (1.0, 36.0)], "without a rate"),
        ([(1.0, math.nan), (2.0, 36.0)], "without a rate"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(
    other: list[tuple[float, float]], reason: str
) -> None:
    with pytest.raises(SedicError, match=reason):
        bd_rate(ANCHOR, other)
