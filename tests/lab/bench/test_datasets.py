from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench import datasets
from sedic.lab.bench.datasets import open_dataset


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEDIC_DATASETS", str(tmp_path))
    monkeypatch.setenv("SEDIC_SHARED", str(tmp_path / "none"))
    return tmp_path


def test_kodak_is_whole_and_each_picture_is_known(shared: Path) -> None:
    kodak = open_dataset("kodak")
    assert len(kodak) == 24 and "sha256" in kodak.checked
    sample = next(iter(kodak))
    assert sample.name == "kodim01" and sample.load().shape == (512, 768, 3)


def test_a_changed_picture_is_noticed_and_the_next_one_still_loads(
    shared: Path, home: Path
) -> None:
    (home / "kodak").mkdir()
    for path in (shared / "data" / "kodak").glob("*.png"):
        (home / "kodak" / path.name).symlink_to(path)
    first = home / "kodak" / "kodim01.png"
    with Image.open(first) as image:
        pixels = np.asarray(image).copy()
    pixels[0, 0, 0] ^= 1
    first.unlink()
    Image.fromarray(pixels).save(first)
    kodak = iter(open_dataset("kodak"))
    with pytest.raises(SedicError, match="not the known ones"):
        next(kodak).load()
    next(kodak).load()


def test_what_is_missing_says_where_to_get_it(home: Path) -> None:
    with pytest.raises(SedicError, match=r"div2k is not in .*DIV2K_valid_HR\.zip"):
        open_dataset("div2k")
    (home / "div2k").mkdir()
    Image.fromarray(samples.chelsea()).save(home / "div2k" / "0801.png")
    with pytest.raises(SedicError, match=r"1 pictures in .*, not 100"):
        open_dataset("div2k")
    with pytest.raises(SedicError, match="unknown dataset"):
        open_dataset("imagenet")


def test_clic_is_scaled_and_cropped_to_a_square(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"count": 1, "square": 96, "get": "somewhere"}
    monkeypatch.setattr(datasets, "_known", lambda: {"clic2020": facts})
    (home / "clic2020").mkdir()
    tall = np.zeros((400, 200, 3), np.uint8)
    tall[100:300, :, 0] = 255  # the middle square is red
    Image.fromarray(tall).save(home / "clic2020" / "a.png")
    picture = next(iter(open_dataset("clic2020"))).load()
    assert picture.shape == (96, 96, 3) and picture[4:-4].min(0)[:, 0].min() > 250


def test_a_folder_gives_its_pictures_in_order_and_bad_ones_alone_fail(tmp_path: Path) -> None:
    cat = samples.chelsea()
    Image.fromarray(cat).save(tmp_path / "b.png")
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    Image.fromarray(cat[:32]).save(tmp_path / "c.png")
    Image.fromarray(np.repeat(cat[:, :, :1], 3, 2)).save(tmp_path / "d.png")
    (tmp_path / "notes.txt").write_text("no")
    found = list(open_dataset(f"folder:{tmp_path}"))
    assert [sample.name for sample in found] == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(found[1].load(), cat)
    for index, reason in ((0, "not a picture"), (2, "too small"), (3, "grey")):
        with pytest.raises(SedicError, match=reason):
            found[index].load()


def test_empty_and_absent_folders(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="no pictures"):
        open_dataset(f"folder:{tmp_path}")
    with pytest.raises(SedicError, match="no such folder"):
        open_dataset(f"folder:{tmp_path / 'x'}")
    with pytest.raises(SedicError, match="unknown dataset"):
        open_dataset("folder:")
