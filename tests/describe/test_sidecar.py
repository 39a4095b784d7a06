"""Sidecars: what is saved comes back, and no file, however odd, does more than raise SedicError."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sedic.describe.description import Description
from sedic.describe.sidecar import load_description, save_description, to_json
from sedic.errors import DamagedFileError, SedicError, UnsuitableInputError
from sedic.semantics import (
    MAX_TEXT_BYTES,
    Mask,
    ObjectLayer,
    grid_size,
)

WIDTH, HEIGHT = 100, 60  # a grid of 13 x 8


def scene(**changes: Any) -> dict[str, Any]:
    item = {"name": "dog", "detail": "dog on grass", "mask": {"size": [8, 13], "counts": [4, 100]}}
    return {"overall": "a dog", "objects": [{**item, **changes}]}


def write(folder: Path, content: object) -> Path:
    path = folder / "scene.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def load_one(folder: Path, **changes: Any) -> ObjectLayer:
    return load_description(write(folder, scene(**changes)), WIDTH, HEIGHT).objects[0]


@given(st.lists(st.booleans(), min_size=13 * 8, max_size=13 * 8).filter(any))
@settings(max_examples=40)
def test_a_saved_description_loads_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, bits: list[bool]
) -> None:
    mask = Mask.of(np.array(bits).reshape(8, 13))
    layer = ObjectLayer("red dog", "red dog with a tail", mask)
    original = Description("ein Hund, größer", (layer,))
    path = tmp_path_factory.mktemp("scene") / "scene.json"
    save_description(original, path)
    assert load_description(path, WIDTH, HEIGHT) == original


def test_run_lengths_go_down_the_columns_as_in_coco(tmp_path: Path) -> None:
    mask = load_one(tmp_path, mask={"size": [8, 13], "counts": [4, 6, 94]}).mask.array
    expected = np.zeros((8, 13), bool)
    expected[4:8, 0] = expected[0:2, 1] = True
    np.testing.assert_array_equal(mask, expected)


def test_compressed_run_lengths(tmp_path: Path) -> None:
    # 4, 6, 90, 2, 2 by hand: 4 "4", 6 "6", 90 = 26 + 2*32 "j2", then differences 2-6 and 2-90:
    # -4 is 28 without a following character "L"; -88 is 8 + 29*32, "X" (with bit 5) and "M".
    mask = load_one(tmp_path, mask={"size": [8, 13], "counts": "46j2LXM"}).mask.array
    same = load_one(tmp_path, mask={"size": [8, 13], "counts": [4, 6, 90, 2, 2]}).mask.array
    np.testing.assert_array_equal(mask, same)


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_png_masks_of_any_resolution(tmp_path: Path, scale: int) -> None:
    picture = np.zeros((HEIGHT * scale // 2, WIDTH * scale // 2), np.uint8)
    rows, columns = picture.shape
    picture[: rows // 2, columns // 2 :] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    mask = load_one(tmp_path, mask="mask.png").mask.array
    assert mask.shape == (8, 13)
    # 30 of 60 rows are 3.75 cells; from column 50 of 100 on are the cells after 6.25.
    np.testing.assert_array_equal(mask.any(axis=1), np.arange(8) < 4)
    np.testing.assert_array_equal(mask.any(axis=0), np.arange(13) >= 6)


def test_a_mask_too_small_for_the_grid_keeps_its_strongest_cell(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[17:20, 33:35] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    mask = load_one(tmp_path, mask="mask.png").mask.array
    assert np.argwhere(mask).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("name", "detail", "expected"),
    [
        ("dog", "dog on grass", ("dog", "dog on grass")),
        ("dog", "a big dog", ("dog", "dog, a big dog")),
        ("Dog", "dog, big and brown", ("dog", "dog, big and brown")),
        ("very big old dog", "very big old dog here", ("very big old", "very big old dog here")),
        (" brown\n dog ", "brown\tdog\u2028asleep", ("brown dog", "brown dog asleep")),
        ("dog", "", ("dog", "dog")),
        ("dog,", "dog,", ("dog", "dog,")),
        ("\ud800", "x", ("?", "?, x")),
    ],
)
def test_texts_are_brought_into_form(
    tmp_path: Path, name: str, detail: str, expected: tuple[str, str]
) -> None:
    found = load_one(tmp_path, name=name, detail=detail)
    assert (found.name, found.detail) == expected


def test_long_texts_are_cut_between_words(tmp_path: Path) -> None:
    found = load_one(tmp_path, detail="dog " + "größer " * 1000)
    assert MAX_TEXT_BYTES - 9 < len(found.detail.encode()) <= MAX_TEXT_BYTES
    assert set(found.detail.split(" ")) == {"dog", "größer"}


@pytest.mark.parametrize(
    "mask",
    [
        None,
        7,
        {},
        {"size": [8, 13]},
        {"size": [8], "counts": [104]},
        {"size": [8, 13.0], "counts": [4, 100]},
        {"size": [True, 104], "counts": [4, 100]},
        {"size": [-8, -13], "counts": [4, 100]},
        {"size": [16383, 16383], "counts": [4, 16383 * 16383 - 4]},
        {"size": [8, 13], "counts": [4, 101]},
        {"size": [8, 13], "counts": [4, 99]},
        {"size": [8, 13], "counts": [-4, 108]},
        {"size": [8, 13], "counts": [4, "100"]},
        {"size": [8, 13], "counts": [104]},
        {"size": [8, 13], "counts": "o" * 40},
        {"size": [8, 13], "counts": "46j"},
        {"size": [8, 13], "counts": "ä"},
        {"size": [13, 8], "counts": [4, 100]},
        "absent.png",
        "../outside.png",
        "/etc/hostname",
        "bad\0name.png",
        "scene.json",
        ".",
    ],
)
def test_bad_masks_are_refused(tmp_path: Path, mask: object) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    Image.new("L", (13, 8), 255).save(tmp_path / "outside.png")
    with pytest.raises(SedicError, match=r"^[^\n]+$"):
        load_one(folder, mask=mask)


def square(kind: str) -> Image.Image:
    """A 100 x 60 mask whose inside, in any of the ways to say so, is columns 24 to 47 of all."""
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[:, 24:48] = True
    if kind == "16 bits":  # outside is 1.5 % of white
        return Image.fromarray(np.where(inside, 65_535, 1_000).astype(np.uint16))
    if kind == "16 bits, dim":  # inside is just above half
        return Image.fromarray(np.where(inside, 32_768, 32_767).astype(np.uint16))
    if kind == "alpha":
        return Image.fromarray(
            np.dstack([np.full((HEIGHT, WIDTH, 3), 255), 255 * inside]).astype("u1")
        )
    if kind == "dark cut-out":
        return Image.fromarray(np.dstack([np.zeros((HEIGHT, WIDTH, 3)), 255 * inside]).astype("u1"))
    if kind == "grey with alpha":
        return Image.fromarray(
            np.dstack([np.full((HEIGHT, WIDTH), 9), 255 * inside]).astype("u1"), "LA"
        )
    if kind == "1 bit":
        return Image.fromarray(inside)
    if kind == "palette":
        image = Image.fromarray(inside.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 255, 255, 255])
        return image
    if kind == "palette with a transparent entry":
        image = square("palette")
        image.info["transparency"] = 0
        return image
    if kind == "colour":
        return Image.fromarray(
            np.where(inside[..., None], [250, 255, 240], [10, 0, 90]).astype("u1")
        )
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        *("16 bits", "16 bits, dim", "alpha", "dark cut-out", "grey with alpha", "1 bit"),
        *("palette", "palette with a transparent entry", "colour"),
    ],
)
def test_masks_of_every_kind_have_the_same_inside(tmp_path: Path, kind: str) -> None:
    square(kind).save(tmp_path / "mask.png")
    mask = load_one(tmp_path, mask="mask.png").mask.array
    expected = np.zeros((8, 13), bool)
    expected[:, 3:6] = True
    np.testing.assert_array_equal(mask, expected)


def test_masks_in_other_formats(tmp_path: Path) -> None:
    for name in ("mask.tif", "mask.webp", "mask.jpg", "mask.bmp", "mask.gif"):
        square("1 bit").convert("L").save(tmp_path / name)
        assert load_one(tmp_path, mask=name).mask.area == 8 * 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"overall": "a",\n "objects" []}', r"line 2, column 12"),
        ("[]", r"must be \{\"overall\".*not a list"),
        ('{"objects": []}', r'must have "overall", a text'),
        ('{"overall": 3, "objects": []}', r'"overall" must be a text, not a number'),
        ('{"overall": "", "objects": {}}', r'"objects" must be a list, not an object'),
        ('{"overall": "", "objects": ["dog"]}', r'object 1 must be an object with "name"'),
        (
            '{"overall": "", "objects": [{"name": null}]}',
            r'object 1: "name" must be a text, not null',
        ),
        ('{"overall": "", "objects": [{"name": "a"}]}', r'object 1 must have "detail"'),
        (
            '{"overall": "", "objects": [{"name": "a", "detail": "", "mask": []}]}',
            r'object 1: "mask" must be a file name or \{"size": .*, not a list',
        ),
        (
            '{"overall": "", "objects": [{"name": "a", "detail": "", "mask": "no.png"}]}',
            r"object 1: mask: .*no\.png: there is no such file",
        ),
    ],
)
def test_errors_name_the_file_the_place_and_what_was_expected(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "my scene.json"
    path.write_text(content)
    with pytest.raises(UnsuitableInputError, match=problem) as caught:
        load_description(path, WIDTH, HEIGHT)
    assert str(caught.value).startswith(str(path)) and str(caught.value).isprintable()


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    square("1 bit").save(tmp_path / "mask.png")
    data = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(
        DamagedFileError, match=r"scene\.json: object 1: mask: .*mask\.png: is damaged"
    ):
        load_one(tmp_path, mask="mask.png")


def test_a_mask_with_nothing_inside_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(UnsuitableInputError, match="brighter than half"):
        load_one(tmp_path, mask="mask.png")


def test_a_pipe_as_a_mask_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mask.png")
    with pytest.raises(UnsuitableInputError, match="not a file"):
        load_one(tmp_path, mask="mask.png")


def test_a_description_as_bytes_is_what_save_writes(tmp_path: Path) -> None:
    description = load_description(write(tmp_path, scene()), WIDTH, HEIGHT)
    save_description(description, tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == to_json(description)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    Image.new("L", (13, 8), 255).save(tmp_path / "outside.png")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(SedicError, match="folder"):
        load_one(folder, mask="link.png")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b'{"overall": 1}', b"1" * 5000]
)
def test_files_that_are_no_scene(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scene.json"
    path.write_bytes(content)
    with pytest.raises(SedicError):
        load_description(path, WIDTH, HEIGHT)


def test_an_absent_file_and_too_many_objects(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot read"):
        load_description(tmp_path / "absent.json", WIDTH, HEIGHT)
    many = scene()
    many["objects"] *= 8
    with pytest.raises(SedicError, match="at most 7"):
        load_description(write(tmp_path, many), WIDTH, HEIGHT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(
    key=st.sampled_from(["overall", "objects", "name", "detail", "mask", "size", "counts"]),
    value=json_values | st.lists(st.integers(-3, 110), max_size=9),
)
@settings(max_examples=150, deadline=None)
def test_any_value_anywhere_gives_a_description_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    content = scene()
    item = content["objects"][0]
    parent = next(part for part in (content, item, item["mask"]) if key in part)
    parent[key] = value
    path = write(tmp_path_factory.mktemp("scene"), content)
    try:
        description = load_description(path, WIDTH, HEIGHT)
    except SedicError as error:
        assert "\n" not in str(error)
        return
    for found in description.objects:
        assert (found.mask.width, found.mask.height) == grid_size(WIDTH, HEIGHT)
