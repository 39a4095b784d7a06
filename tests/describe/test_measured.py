"""The measured description: true of pictures whose truth is known, plausible on photographs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sedic.describe import words
from sedic.describe.description import Description, shorten
from sedic.describe.measured import describe
from sedic.errors import SedicError
from sedic.semantics import (
    Mask,
    ObjectLayer,
    grid_size,
)

Picture = npt.NDArray[np.uint8]


def plain(rgb: tuple[int, int, int], rows: int = 256, columns: int = 384) -> Picture:
    return np.full((rows, columns, 3), rgb, np.uint8)


def grey(values: npt.NDArray[np.floating]) -> Picture:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def disc(rgb: tuple[int, int, int], y: int, x: int, radius: int) -> Picture:
    picture = plain((128, 128, 128))
    rows, columns = np.indices(picture.shape[:2])
    picture[np.hypot(rows - y, columns - x) < radius] = rgb
    return picture


def photograph(name: str) -> Picture:
    return np.ascontiguousarray(getattr(skimage.data, name)()[..., :3])


@pytest.fixture(scope="module")
def astronaut() -> Description:
    return describe(photograph("astronaut"))


def check(description: Description, picture: Picture) -> None:
    """What every measured description promises."""
    height, width = picture.shape[:2]
    said = " ".join(description.text.split("\n")).replace(",", "").split()
    assert set(said) <= words.words()
    assert len(description.overall.split()) <= 50
    cover = np.zeros(grid_size(width, height)[::-1], int)
    for found in description.objects:
        assert len(found.detail.split()) <= 30
        assert 0.005 < found.mask.array.mean() < 0.6
        assert ndimage.label(found.mask.array)[1] == 1
        cover += found.mask.array
    assert cover.max(initial=0) <= 1


@pytest.mark.parametrize(
    ("rgb", "colour"),
    [
        ((205, 30, 30), "vivid red"),
        ((30, 60, 170), "blue"),
        ((20, 70, 25), "dark green"),
        ((250, 225, 20), "vivid yellow"),
        ((245, 245, 245), "white"),
        ((90, 58, 34), "brown"),
    ],
)
def test_a_disc_is_found_where_it_is_and_named_by_its_colour(
    rgb: tuple[int, int, int], colour: str
) -> None:
    picture = disc(rgb, y=70, x=90, radius=50)
    description = describe(picture)
    check(description, picture)
    assert len(description.objects) == 1
    found = description.objects[0]
    assert found.name == f"{colour} object"
    assert "and round" in found.detail
    assert found.detail.endswith("at the top left")
    rows, columns = np.indices(found.mask.array.shape) * 8 + 3.5
    truth = np.hypot(rows - 70, columns - 90) < 50
    assert (found.mask.array & truth).sum() > 0.85 * (found.mask.array | truth).sum()


@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (120, 40, 40), (128, 128, 128)])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (40, 30), (257, 129)])
def test_one_colour_of_any_size_has_no_objects_and_a_true_sentence(
    rgb: tuple[int, int, int], size: tuple[int, int]
) -> None:
    picture = plain(rgb, *size)
    description = describe(picture)
    check(description, picture)
    assert description.objects == ()
    assert "no detail" in description.overall
    assert "and" not in description.overall.split()


@pytest.mark.parametrize(
    ("slant", "lines"),
    [
        ((0, 1), "vertical lines"),
        ((1, 0), "horizontal lines"),
        ((0.7, 0.7), "lines rising to the right"),
        ((0.7, -0.7), "lines falling to the right"),
    ],
)
def test_stripes_have_their_direction(slant: tuple[float, float], lines: str) -> None:
    rows, columns = np.indices((256, 384))
    phase = slant[0] * rows + slant[1] * columns
    phrases = describe(grey(128 + 60 * np.sin(phase / 2.5))).overall.split(", ")
    assert lines in phrases
    assert "a regular pattern" in phrases


def test_a_grid_has_both_directions() -> None:
    rows, columns = np.indices((256, 384)) // 16 % 2
    assert "vertical and horizontal lines" in describe(grey(60.0 + 120 * (rows ^ columns))).overall


def test_noise_is_fine_and_blurred_noise_is_coarse() -> None:
    noise = np.random.default_rng(1).normal(0, 40, (256, 384))
    assert "very fine detail" in describe(grey(128 + noise)).overall
    slow = ndimage.gaussian_filter(noise, 5) * 15
    assert "very coarse detail" in describe(grey(128 + slow)).overall


def test_faint_noise_is_grain() -> None:
    noise = np.random.default_rng(1).normal(0, 6, (256, 384))
    assert "grainy" in describe(grey(128 + noise)).overall
    assert "grainy" not in describe(plain((128, 128, 128))).overall


def test_sharpness_follows_the_blur() -> None:
    order = [word for _, word in words.SHARPNESS]
    photo = photograph("astronaut").astype(float)
    said = []
    for sigma in (0.0, 1.0, 2.0, 4.0):
        blurred = ndimage.gaussian_filter(photo, (sigma, sigma, 0)).astype(np.uint8)
        phrase = describe(blurred, max_objects=0).overall.split(", ")[1]
        said.append(order.index(phrase.split(" with ")[0]))
    assert said[0] < said[1] < said[2] == len(order) - 1
    assert said[3] == said[2]


def test_layout_says_what_is_above_and_below() -> None:
    picture = plain((150, 195, 235))
    picture[128:] = (40, 75, 35)
    overall = describe(picture).overall
    assert "pale blue with smooth shading at the top" in overall
    assert "dark green with smooth shading at the bottom" in overall
    assert "lighter at the top" in overall


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_photographs(name: str) -> None:
    picture = photograph(name)
    description = describe(picture)
    check(description, picture)
    assert description.objects
    assert describe(picture) == description


def test_the_astronaut_wears_a_suit_between_red_and_orange(astronaut: Description) -> None:
    suit = next(found for found in astronaut.objects if found.mask.array[45, 10])
    assert "partly orange" in suit.detail and suit.name == "red object"


def test_the_coffee_stands_in_the_middle() -> None:
    first = describe(photograph("coffee")).objects[0]
    y, x = (axis.mean() for axis in np.nonzero(first.mask.array))
    assert 0.25 < y / first.mask.array.shape[0] < 0.75
    assert 0.25 < x / first.mask.array.shape[1] < 0.75


@given(
    objects=st.integers(0, 3),
    detail_words=st.integers(3, 40),
    overall_words=st.integers(0, 60),
)
@settings(deadline=None)
def test_budgets_are_kept_and_cut_between_phrases(
    astronaut: Description, objects: int, detail_words: int, overall_words: int
) -> None:
    short = shorten(astronaut, objects, detail_words, overall_words)
    assert len(short.objects) == min(objects, len(astronaut.objects))
    texts = [(short.overall, astronaut.overall, overall_words)]
    for part, whole in zip(short.objects, astronaut.objects, strict=False):
        texts.append((part.detail, whole.detail, detail_words))
        assert (part.name, part.mask) == (whole.name, whole.mask)
    for text, full, budget in texts:
        assert len(text.split()) <= budget
        assert full.startswith(text)
        assert (
            full[len(text) :][:1] in ("", ",") or full[len(text) :].startswith(" with ") or not text
        )
    again = shorten(short, objects, detail_words, overall_words)
    assert again == short


def test_describe_cuts_to_its_budgets() -> None:
    picture = photograph("coffee")
    assert describe(picture, 1, 20, 30) == shorten(describe(picture), 1, 20, 30)


def test_free_text_is_cut_between_words() -> None:
    text = "one two three four five six seven eight nine ten"
    assert shorten(Description(text), 0, 3, 7).overall == "one two three four five six seven"


@pytest.mark.parametrize("words", [1, 3, 4, 30])
@pytest.mark.parametrize("name", ["dog", "dog with hat", "a, b c"])
def test_a_detail_keeps_its_name_whatever_its_budget(name: str, words: int) -> None:
    found = ObjectLayer(
        name, f"{name} running fast over green grass", Mask.of(np.ones((2, 2), bool))
    )
    detail = shorten(Description("", (found,)), 1, words, 0).objects[0].detail
    assert detail == (found.detail if words == 30 else name)


def test_large_pictures_are_described_like_small_ones() -> None:
    small = disc((30, 60, 170), y=128, x=192, radius=60)
    large = np.kron(small, np.ones((8, 8, 1), np.uint8))
    description = describe(large)
    check(description, large)
    assert [found.name for found in description.objects] == ["blue object"]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_arrays_that_are_no_pictures(picture: Picture) -> None:
    with pytest.raises(SedicError):
        describe(picture)


def test_the_package_imports_nothing_heavy() -> None:
    heavy = "'numpy' in sys.modules or 'skimage' in sys.modules"
    code = f"import sys, sedic.describe.description; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
