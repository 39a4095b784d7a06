"""Does a changed picture still show the same?"""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from sedic.describe.consistency import Consistency, compare
from sedic.errors import MissingWeightsError
from sedic.models import classifier

CAT, COFFEE = skimage.data.chelsea(), skimage.data.coffee()


@pytest.fixture(scope="module")
def network() -> classifier.Classifier:
    try:
        return classifier.load_classifier()
    except MissingWeightsError as error:
        pytest.skip(str(error))


def test_a_picture_agrees_with_itself(network: classifier.Classifier) -> None:
    found = compare(CAT, CAT, network)
    assert (found.same, found.overlap, found.distance) == (1, 1, 0)
    assert found.warning() is None


def test_another_picture_does_not(network: classifier.Classifier) -> None:
    found = compare(CAT, COFFEE, network)
    assert found.same == 0 and found.overlap < 0.5 and 0.8 < found.distance <= 1


def test_more_blur_is_farther(network: classifier.Classifier) -> None:
    def blurred(sigma: float) -> float:
        return compare(CAT, ndimage.gaussian_filter(CAT, (sigma, sigma, 0)), network).distance

    assert 0 < blurred(1) < blurred(8) <= 1
    swapped = compare(np.ascontiguousarray(CAT[::-1]), CAT, network).distance
    assert np.isclose(swapped, compare(CAT, np.ascontiguousarray(CAT[::-1]), network).distance)


def test_a_warning_needs_certainty_and_another_kind() -> None:
    def of(same: float, sure: float, related: bool) -> Consistency:
        return Consistency(same, 0.2, 0.9, "a red fox", "a ram", sure, related)

    assert of(0, 0.9, False).warning() == "the decoded picture may mislead: a red fox became a ram"
    assert of(1, 0.9, False).warning() is None
    assert of(0, 0.3, False).warning() is None
    assert of(0, 0.9, True).warning() is None
