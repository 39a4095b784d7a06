"""Files that the shipped ``mini`` wrote once, and what they decode to.

To make them anew on purpose, after a change of weights or of default settings:
``python tests/test_golden.py``. The old mark then goes into ``[[releases]]`` of the profile.
``python tests/test_golden.py pictures`` decodes the files that are there, after a change of the
decoder alone.

Pictures come from floating-point networks. A preview is the same to the bit on machines of the same
``arithmetic``, and within a tolerance on others (docs/FORMAT.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sedic import Decoder, Description, Encoder, Mask, ObjectLayer, Profile
from sedic.models.precision import picture_dtype
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
# How far pictures of another machine may be: mean and largest difference in grey levels.
PREVIEW_TOLERANCE = 0.5, 4
LAST_TOLERANCE = 1.0, 16
# Prints a hash of each preview.
PREVIEWS = """
import hashlib, sys
from pathlib import Path
from sedic import Decoder, Profile
decoder = Decoder(Profile.load("mini"))
for path in sys.argv[1:]:
    print(hashlib.sha256(decoder.preview(Path(path).read_bytes()).tobytes()).hexdigest())
"""


def arithmetic() -> dict[str, str]:
    """What the rounding of this machine's networks depends on."""
    return {
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "number format": str(picture_dtype()).removeprefix("torch."),
        "torch": torch.__version__.partition("+")[0],
    }


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
    expected = json.loads((FOLDER / "meaning.json").read_text())
    assert meaning(image) == expected[name]
    preview = decoder.preview(data)
    if arithmetic() == expected.get("made by"):
        assert np.array_equal(preview, load_picture(FOLDER / f"{name}-preview.png"))
    check_near(preview, FOLDER / f"{name}-preview.png", *PREVIEW_TOLERANCE)
    check_near(decoder.decompress(data, TILE), FOLDER / f"{name}.png", *LAST_TOLERANCE)


def test_previews_are_the_same_in_a_fresh_process_of_two_threads(mini: Profile) -> None:
    paths = [FOLDER / f"{name}.sedic" for name in FILES]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PREVIEWS, *map(str, paths)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        previews = [Decoder(mini).preview(path.read_bytes()) for path in paths]
    finally:
        torch.set_num_threads(threads)
    assert done.stdout.split() == [hashlib.sha256(one.tobytes()).hexdigest() for one in previews]


def check_near(
    picture: np.ndarray[Any, np.dtype[np.uint8]], path: Path, mean: float, largest: int
) -> None:
    """Assert that the picture is that of a file, but for differences of so many grey levels."""
    difference = np.abs(picture.astype(int) - load_picture(path).astype(int))
    assert difference.mean() <= mean and difference.max() <= largest


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
    for name, (limit, objects, method) in FILES.items():
        rate = Rate(limit, objects, 30, 50)
        done = Encoder(profile).compress(original(), rate, words(objects), method=method)
        (FOLDER / f"{name}.sedic").write_bytes(done.data)
    write_pictures()


def write_pictures() -> None:
    """Decode the files that are there."""
    decoder = Decoder(Profile.load("mini"))
    meanings: dict[str, Any] = {"made by": arithmetic()}
    for name in FILES:
        data = (FOLDER / f"{name}.sedic").read_bytes()
        meanings[name] = meaning(decoder.semantic_image(data))
        pictures = {"-preview": decoder.preview(data), "": decoder.decompress(data, TILE)}
        for end, picture in pictures.items():
            Image.fromarray(picture).save(FOLDER / f"{name}{end}.png", optimize=True)
    (FOLDER / "meaning.json").write_text(json.dumps(meanings, indent=1) + "\n")


if __name__ == "__main__":
    write_pictures() if sys.argv[1:] == ["pictures"] else write()
