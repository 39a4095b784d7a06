from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench.experiments.judge import Detections, agreement, judges, overlap
from sedic.lab.bench.metrics import Metric, Unavailable, score

PICTURE = samples.astronaut()[:96, :128]
OTHER = samples.coffee()[100:196, 100:228]


def detections(*found: tuple[int, float, float, float, float]) -> Detections:
    boxes = np.array([place for _, *place in found], np.float64).reshape(-1, 4)
    return Detections(boxes, np.array([label for label, *_ in found], np.int64))


def test_detections_agree_by_label_and_place() -> None:
    truth = detections((1, 0, 0, 0.5, 0.5), (2, 0.5, 0.5, 1, 1))
    assert agreement(truth, truth) == 1
    assert agreement(detections((1, 0, 0, 0.5, 0.4)), truth) == pytest.approx(2 / 3)
    assert agreement(detections((2, 0, 0, 0.5, 0.5)), truth) == 0  # another thing
    assert agreement(detections((1, 0.4, 0, 0.9, 0.5)), truth) == 0  # elsewhere
    twice = detections((1, 0, 0, 0.5, 0.5), (1, 0, 0, 0.5, 0.5))
    assert agreement(twice, detections((1, 0, 0, 0.5, 0.5))) == pytest.approx(2 / 3)
    assert agreement(detections(), detections()) == 1 and agreement(detections(), truth) == 0


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.randoms())
def test_equal_distributions_overlap_fully(weights: list[float], random: object) -> None:
    p = np.array(weights) / sum(weights)
    assert overlap(p, p) == pytest.approx(1)
    assert 0 <= overlap(p, np.roll(p, 1)) <= 1 + 1e-9


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny models with random weights."""
    from transformers import (
        ViTConfig,
        ViTForImageClassification,
        YolosConfig,
        YolosForObjectDetection,
    )

    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "patch_size": 8,
    }

    def save(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind) / f"tiny-{kind}"
        with torch.random.fork_rng():
            torch.manual_seed(0)
            if kind == "classifier":
                ViTForImageClassification(
                    ViTConfig(**small, image_size=32, num_labels=5, initializer_range=1.0)
                ).save_pretrained(folder)
                name, size = "ViTImageProcessor", '{"height": 32, "width": 32}'
            else:
                config = YolosConfig(
                    **small, image_size=[32, 32], num_detection_tokens=4, initializer_range=1.0
                )
                YolosForObjectDetection(config).save_pretrained(folder)
                name, size = "YolosImageProcessor", '{"shortest_edge": 32, "longest_edge": 64}'
        (folder / "preprocessor_config.json").write_text(
            f'{{"image_processor_type": "{name}", "size": {size}}}'
        )
        return folder

    return save


def test_a_classifier_from_a_folder_judges(saved: Callable[[str], Path]) -> None:
    metrics = judges(saved("classifier"))
    assert all(isinstance(metric, Metric) for metric in metrics), metrics
    same, common = (m for m in metrics if isinstance(m, Metric))
    assert same.name == "same class (tiny-classifier)" and "sha256:" in same.weights
    equal = score([same, common], PICTURE, PICTURE).values
    assert equal == pytest.approx({same.name: 1, common.name: 1})
    assert score([common], OTHER, PICTURE).values[common.name] < 0.999


def test_a_detector_from_a_folder_judges(saved: Callable[[str], Path]) -> None:
    (metric,) = judges(saved("detector"))
    assert isinstance(metric, Metric), metric
    assert score([metric], PICTURE, PICTURE).values == {"same objects (tiny-detector)": 1}


def test_what_cannot_judge_says_so(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="no such model"):
        judges(tmp_path / "nothing")
    (empty,) = judges(tmp_path)
    assert isinstance(empty, Unavailable) and "cannot load" in empty.reason
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    (onnx,) = judges(file)
    assert isinstance(onnx, Unavailable) and onnx.name == "judge model"
