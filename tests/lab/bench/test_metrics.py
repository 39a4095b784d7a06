from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench.metrics import (
    NAMES,
    Metric,
    Unavailable,
    load_inception,
    load_metric,
    score,
)

CAT = samples.chelsea()[:200, :200]


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))
    monkeypatch.setenv("SEDIC_SHARED", str(tmp_path / "none"))


def test_metrics_without_weights_are_named_with_the_reason(no_weights: None) -> None:
    found = [load_metric(name) for name in NAMES]
    metrics = [metric for metric in found if isinstance(metric, Metric)]
    missing = [metric for metric in found if isinstance(metric, Unavailable)]
    assert {m.name for m in metrics} >= {"PSNR", "GMSD", "HaarPSI", "Spectral peaks"}
    reasons = {m.name: m.reason for m in missing}
    for name in ("LPIPS-alex", "LPIPS-vgg", "LPIPS-squeeze", "DISTS", "CLIP image", "CLIP text"):
        assert "sedic models fetch" in reasons[name]
    assert str(missing[-1]).startswith(f"{missing[-1].name}: not available: ")
    assert "SEDIC_SHARED" in reasons["LPIPS-squeeze (Caffe)"]
    assert len(metrics) + len(missing) == len(NAMES)
    inception = load_inception()
    assert isinstance(inception, Unavailable) and "fetch inception-fid" in inception.reason


def test_scores_are_by_name(no_weights: None) -> None:
    metrics = [load_metric(name) for name in ("PSNR", "GMSD")]
    values, notes = score(metrics, CAT, CAT)
    assert values == {"PSNR": np.inf, "GMSD": 0} and notes == []
    assert all(metric.weights == "none" for metric in metrics)
    assert [metric.better for metric in metrics] == ["higher", "lower"]


def test_a_metric_that_cannot_measure_a_picture_leaves_a_note() -> None:
    metric = load_metric("MS-SSIM")
    if isinstance(metric, Unavailable):
        pytest.skip(str(metric))
    note = "MS-SSIM: not available: pictures of at least 176 pixels a side are needed"
    for side in (100, 161, 168, 175):
        assert score([metric], CAT[:side], CAT[:side]) == ({}, [note])
        assert score([metric], CAT[:, :side], CAT[:, :side]) == ({}, [note])
    assert score([metric], CAT[:176], CAT[:176]) == ({"MS-SSIM": 1}, [])
    assert score([metric], CAT[:, :177], CAT[:, :177]) == ({"MS-SSIM": 1}, [])


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ValueError("two\nlines"), "ValueError: two lines"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (MemoryError(), "out of memory"),
        (IndexError(), "IndexError"),
        (SedicError("there is no text"), "there is no text"),
        (None, "its result is not a number"),
    ],
)
def test_whatever_a_metric_raises_is_a_note_and_the_others_go_on(
    error: Exception | None, note: str
) -> None:
    def measure(decoded: object, original: object, text: str) -> float:
        if error is None:
            return float("nan")
        raise error

    psnr = load_metric("PSNR")
    assert isinstance(psnr, Metric)
    broken = Metric("broken", "higher", "none", measure)
    values, notes = score([broken, psnr], CAT, CAT)
    assert values == {"PSNR": np.inf} and notes == [f"broken: not available: {note}"]


def test_lpips_caffe_says_which_weights_it_used(shared: Path) -> None:
    metric = load_metric("LPIPS-squeeze (Caffe)")
    assert isinstance(metric, Metric)
    assert metric.weights.startswith("lpips_squeeze_caffe.safetensors sha256:")
    assert metric.measure(CAT, CAT, "") == 0 < metric.measure(255 - CAT, CAT, "")


def test_a_moved_metric_is_that_of_pictures_without_their_first_row_and_column(
    shared: Path,
) -> None:
    plain, moved = load_metric("LPIPS-squeeze (Caffe)"), load_metric("LPIPS-squeeze (Caffe) moved")
    assert isinstance(plain, Metric) and isinstance(moved, Metric)
    assert moved.measure(255 - CAT, CAT, "") == plain.measure(255 - CAT[1:, 1:], CAT[1:, 1:], "")


def test_the_wasserstein_distortion_forgives_other_texture(shared: Path) -> None:
    metric = load_metric("Wasserstein-squeeze (Caffe)")
    assert isinstance(metric, Metric)
    grain = np.random.default_rng(0).normal(128, 20, (2, 128, 128, 1)).repeat(3, -1)
    one, other = grain.clip(0, 255).astype(np.uint8)
    assert metric.measure(one, one, "") == 0
    assert 0 < metric.measure(other, one, "") < metric.measure(one // 64 + 126, one, "") / 3


def test_other_sizes_and_names_are_refused() -> None:
    with pytest.raises(SedicError, match="200x100 and the original 200x200"):
        score([], CAT[:100], CAT)
    with pytest.raises(SedicError, match="unknown metric"):
        load_metric("SSIMULACRA 9")
