"""A look without the thing: the name goes with the thing, and stays where something else goes."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from sedic.describe import names as table
from sedic.describe.activation import Sighting, find_sightings
from sedic.describe.names import Names
from sedic.describe.occlusion import remains
from sedic.errors import MissingWeightsError
from sedic.models import classifier

CAT = skimage.data.chelsea()


@pytest.fixture(scope="module")
def network() -> classifier.Classifier:
    try:
        return classifier.load_classifier()
    except MissingWeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def seen(network: classifier.Classifier) -> tuple[Sighting, Names]:
    names = table.load_names()
    found = find_sightings(CAT, network, names).confirmed
    return next(one for one in found if names.words[one.node].endswith("cat")), names


def test_without_the_cat_there_is_no_cat(
    network: classifier.Classifier, seen: tuple[Sighting, Names]
) -> None:
    everything_but_a_rim = np.zeros((30, 45), np.bool_)
    everything_but_a_rim[1:-1, 1:-1] = True
    assert remains(CAT, everything_but_a_rim, seen[0], network, seen[1]) < 0.2


def test_without_a_corner_of_the_wall_it_is_still_there(
    network: classifier.Classifier, seen: tuple[Sighting, Names]
) -> None:
    corner = np.zeros((30, 45), np.bool_)
    corner[:4, :4] = True
    assert remains(CAT, corner, seen[0], network, seen[1]) > 0.8


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (300, 451)])
def test_regions_of_any_shape_and_none_at_all(
    shape: tuple[int, int], network: classifier.Classifier, seen: tuple[Sighting, Names]
) -> None:
    assert remains(CAT, np.zeros(shape, np.bool_), seen[0], network, seen[1]) > 0.9
    assert 0 <= remains(CAT, np.ones(shape, np.bool_), seen[0], network, seen[1]) < 0.5
