"""Semantic consistency as metrics."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from sedic.lab.bench.metrics import Unavailable, load_metric, score

NAMES = ("same class", "top five", "class distance")


def test_the_three_metrics_say_what_changed() -> None:
    metrics = [load_metric(name) for name in NAMES]
    if isinstance(metrics[0], Unavailable):
        pytest.skip(str(metrics[0]))
    cat = skimage.data.chelsea()
    assert score(metrics, cat, cat) == ({"same class": 1, "top five": 1, "class distance": 0}, [])
    values, notes = score(metrics, np.ascontiguousarray(cat.transpose(1, 0, 2)[::-1][:300, :451]),
                          cat[:300, :300][:, :300])  # fmt: skip
    assert not notes and 0 < values["class distance"] <= 1
    assert all(
        "efficientnet-lite0-57934424.pth sha256:579344248a93e230" in m.weights for m in metrics
    )
