"""Lettering: quoted as it is read, attached to what it is written on, never more than plain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from sedic.describe.description import shorten
from sedic.describe.lettering import LONGEST, Line, plain, quoting, region_of
from sedic.describe.named import NamedDescriber
from sedic.errors import MissingWeightsError
from sedic.models import classifier
from sedic.semantics import MAX_NAME_WORDS, ObjectLayer, Rate

CORNERS = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.5], [0.25, 0.5]])


@given(st.text(max_size=60))
def test_only_plain_text_is_quoted(text: str) -> None:
    said = plain(text)
    assert len(said) <= LONGEST and '"' not in said and "," not in said
    assert said == " ".join(said.split()) and said.isprintable()
    assert plain(said) == said


def test_what_says_too_little_is_left_out() -> None:
    assert plain("7") == plain("- !") == plain("") == plain("x" * 99) == ""
    assert plain(" 14255\n") == "14255" and plain('S"T,O;P') == "S T O P"


def test_a_short_quotation_is_part_of_the_name() -> None:
    assert quoting("sail", "14255") == ('sail reading "14255"', 'sail reading "14255"')
    assert quoting("fire engine", "M 3") == ("fire engine", 'fire engine reading "M 3"')


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.integers(1, 40), st.integers(1, 40))
def test_a_line_has_a_place_wherever_its_corners_are(
    values: list[float], rows: int, columns: int
) -> None:
    region = region_of(Line("x", np.array(values).reshape(4, 2)), (rows, columns))
    assert region.shape == (rows, columns) and region.any()


def test_the_place_is_that_of_the_corners() -> None:
    region = region_of(Line("x", CORNERS), (8, 8))
    expected = np.zeros((8, 8), np.bool_)
    expected[2:4, 2:6] = True
    np.testing.assert_array_equal(region, expected)


@pytest.fixture(scope="module")
def read_cat() -> tuple[ObjectLayer, ...]:
    try:
        classifier.checkpoint()
    except MissingWeightsError as error:
        pytest.skip(str(error))

    def read(picture: npt.NDArray[np.uint8]) -> list[Line]:
        elsewhere = np.array([[0.0, 0.9], [0.1, 0.9], [0.1, 1.0], [0.0, 1.0]])
        return [Line("12345", CORNERS), Line("XY", elsewhere)]

    describer = NamedDescriber(read=read)
    return describer.describe(skimage.data.chelsea(), Rate(2000)).description.objects


def test_lettering_on_a_thing_is_said_of_it(read_cat: tuple[ObjectLayer, ...]) -> None:
    quoted = [layer for layer in read_cat if '"12345"' in layer.detail]
    assert len(quoted) == 1 and "cat" in quoted[0].name


def test_quoted_names_survive_every_budget(read_cat: tuple[ObjectLayer, ...]) -> None:
    from sedic.describe.description import Description

    layer = next(found for found in read_cat if '"' in found.name or '"' in found.detail)
    short = ObjectLayer('boat reading "14255"', 'boat reading "14255" in red, sharp', layer.mask)
    for words in range(MAX_NAME_WORDS, 9):
        kept = shorten(Description("", (short,)), 1, words, 0).objects[0]
        assert '"14255"' in kept.detail
