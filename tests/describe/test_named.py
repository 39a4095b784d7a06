"""The named description: what is there, verified twice, said within the budget."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from sedic.describe import names as table
from sedic.describe import words
from sedic.describe.description import DescriberResult
from sedic.describe.named import NamedDescriber
from sedic.errors import MissingWeightsError, UnsuitableInputError
from sedic.models import classifier
from sedic.semantics import Rate, grid_size

RATE = Rate(2000)
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def describer() -> NamedDescriber:
    try:
        classifier.checkpoint()
    except MissingWeightsError as error:
        pytest.skip(str(error))
    return NamedDescriber()


@pytest.fixture(scope="module")
def cat(describer: NamedDescriber) -> DescriberResult:
    return describer.describe(skimage.data.chelsea(), RATE)


def test_a_cat_is_a_cat_and_the_mask_is_not_its_nose(cat: DescriberResult) -> None:
    said = cat.description
    assert said.objects and said.objects[0].name.endswith("cat")
    mask = said.objects[0].mask
    assert (mask.width, mask.height) == grid_size(451, 300)
    assert mask.area > 0.3 * mask.width * mask.height
    assert said.objects[0].name in said.overall


def test_only_known_words(cat: DescriberResult) -> None:
    known = words.words() | set(" ".join(table.load_names().words).split())
    said = cat.description.text.replace(",", "").split()
    assert set(said) <= known


def test_budgets_are_kept(describer: NamedDescriber) -> None:
    small = Rate(500, max_objects=1, detail_words=6, overall_words=12)
    found = describer.describe(skimage.data.chelsea(), small).description
    assert len(found.objects) <= 1 and len(found.overall.split()) <= 12
    assert all(len(layer.detail.split()) <= 6 for layer in found.objects)
    none = describer.describe(skimage.data.chelsea(), Rate(500, max_objects=0))
    assert not none.description.objects and "cat" in none.description.overall


@pytest.mark.parametrize("shape", [(1, 1), (31, 200), (32, 32), (40, 900)])
def test_nothing_is_named_in_noise(describer: NamedDescriber, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = describer.describe(noise, RATE)
    assert found.description.overall
    grid = grid_size(shape[1], shape[0])
    assert all((o.mask.width, o.mask.height) == grid for o in found.description.objects)


def test_rejected_names_are_notes(describer: NamedDescriber) -> None:
    found = describer.describe(skimage.data.astronaut(), RATE)
    assert all(note.count("\n") == 0 for note in found.notes)
    for note in found.notes:
        name = note.split(":")[0]
        assert name in table.load_names().words and "dropped as hallucination" in note
        assert all(layer.name != name for layer in found.description.objects)


def test_without_the_package_it_measures_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "PACKAGE", "no-such-classifier")
    found = NamedDescriber().describe(skimage.data.chelsea(), RATE)
    assert "no-such-classifier" in found.notes[0] and "only measured" in found.notes[0]
    assert found.description.overall


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
                                 np.zeros((4, 4, 3), np.float32)])  # fmt: skip
def test_what_is_no_picture_is_refused(bad: Picture) -> None:
    with pytest.raises(UnsuitableInputError):
        NamedDescriber().describe(bad, RATE)


def test_a_decoded_picture_that_shows_something_else_is_told(describer: NamedDescriber) -> None:
    cat, coffee = skimage.data.chelsea(), skimage.data.coffee()
    assert describer.misled(cat, cat) is None
    line = describer.misled(coffee, cat)
    assert line is not None and line.startswith("the decoded picture may mislead: ")
