"""Files that the shipped ``mini`` wrote once, and what they decode to.

To make them anew on purpose, after a change of weights or of default settings:
``python tests/test_golden.py``. The old mark then goes into ``[[releases]]`` of the profile.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sedic import Decoder, Description, Encoder, Mask, ObjectLayer, Profile
from sedic.picture import load_picture
from sedic.semantics import Rate, grid_size

FOLDER = Path(__file__).parent / "golden" / "mini"
SIZE = 320, 288
TILE = 256  # so that the picture takes several
# name: bytes at most, objects, method
FILES: dict[str, tuple[int, int, str]] = {
    "small": (200, 0, "sedic"),
    "middle": (420, 0, "sedic"),
    "large": (900, 0, "sedic"),
    "objects": (900, 2, "sedic"),
    "misc": (700, 2, "misc"),
    "image-text": (500, 0, "image-text"),
}
# The last picture of another machine may differ by rounding: mean and largest grey levels.
MEAN, LARGEST = 1.0, 40


def original() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A crop of the astronaut that scikit-image carries."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[: SIZE[1], 60 : 60 + SIZE[0]])


def words(objects: int) -> Description:
    """Fixed words and masks, so that no describer is part of these files."""
    columns, rows = grid_size(*SIZE)
    masks = [np.zeros((rows, columns), np.bool_) for _ in range(2)]
    masks[0][4:18, 14:28] = True
    masks[1][20:34, 8:36] = True
    layers = (
        ObjectLayer("face", "face, smiling, smooth", Mask.of(masks[0])),
        ObjectLayer("orange suit", "orange suit with coarse folds", Mask.of(masks[1])),
    )
    return Description("a woman in an orange suit in front of a flag", layers[:objects])


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_shipped_profile_mean_and_show_what_they_did(name: str, mini: Profile) -> None:
    data = (FOLDER / f"{name}.sedic").read_bytes()
    decoder = Decoder(mini)
    image = decoder.semantic_image(data)
    expected = json.loads((FOLDER / "meaning.json").read_text())[name]
    assert meaning(image) == expected
    near(decoder.preview(data), FOLDER / f"{name}-preview.png")
    near(decoder.decompress(data, TILE), FOLDER / f"{name}.png")


def near(picture: np.ndarray[Any, np.dtype[np.uint8]], path: Path) -> None:
    """The picture is that of a file, but for rounding."""
    difference = np.abs(picture.astype(int) - load_picture(path).astype(int))
    assert difference.mean() <= MEAN and difference.max() <= LARGEST


def meaning(image: Any) -> dict[str, Any]:
    """Words and masks as JSON."""
    return {
        "overall": image.overall,
        "objects": [[o.name, o.detail, o.mask.bits.hex()] for o in image.objects],
    }


def write() -> None:
    """Make all files anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    profile = Profile.load("mini")
    decoder = Decoder(profile)
    meanings = {}
    for name, (limit, objects, method) in FILES.items():
        rate = Rate(limit, objects, 30, 50)
        done = Encoder(profile).compress(original(), rate, words(objects), method=method)
        (FOLDER / f"{name}.sedic").write_bytes(done.data)
        meanings[name] = meaning(done.image)
        Image.fromarray(done.preview).save(FOLDER / f"{name}-preview.png", optimize=True)
        last = decoder.decompress(done.data, TILE)
        Image.fromarray(last).save(FOLDER / f"{name}.png", optimize=True)
    (FOLDER / "meaning.json").write_text(json.dumps(meanings, indent=1) + "\n")


if __name__ == "__main__":
    write()
