"""Training photographs are read by the one reader of pictures, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sedic.errors import DamagedFileError
from sedic.picture import load_picture

ROWS, COLUMNS = np.mgrid[0:24, 0:40]
COLOUR = np.stack([ROWS * 9, COLUMNS * 6, 255 - ROWS], -1).astype(np.uint8)


def test_photographs_are_upright_opaque_and_of_eight_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.full((9, 9), 32_768, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([COLOUR, ROWS * 10]).astype(np.uint8)).save(tmp_path / "clear.webp")
    assert load_picture(tmp_path / "turned.png").shape == (40, 24, 3)
    assert (load_picture(tmp_path / "deep.png") == 128).all()
    assert (load_picture(tmp_path / "clear.webp")[0] == 255).all()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_photograph_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "p7.png"
    Image.fromarray(COLOUR).save(path)
    path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])
    with pytest.raises(DamagedFileError, match=r"p7\.png"):
        load_picture(path)
    path.write_bytes(b"no photograph")
    with pytest.raises(DamagedFileError, match=r"p7\.png"):
        load_picture(path)
