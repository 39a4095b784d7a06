"""A shared folder that is small enough to train on in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from skimage import data as samples

from sedic.lab.train import photos


@pytest.fixture
def small_data(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with a few photographs, some of them held out, and the real LPIPS weights."""
    folder = tmp_path / "shared" / "data" / "photos" / "bsds"
    folder.mkdir(parents=True)
    (tmp_path / "shared" / "weights").symlink_to(shared / "weights")
    picture = samples.astronaut()
    for number in range(150):
        path = folder / f"{number}.png"
        if number < 12 or photos.is_held_out(path):
            top, left = number * 2, number * 3 % 200
            Image.fromarray(picture[top : top + 130, left : left + 130]).save(path)
    monkeypatch.setenv("SEDIC_SHARED", str(tmp_path / "shared"))
    assert photos.find_photographs([folder], held_out=True)
    return tmp_path
