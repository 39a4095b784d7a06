"""Training photographs: one reader, bad ones are named and left out, and no loop without an end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.describe.description import Description
from sedic.errors import SedicError
from sedic.lab.train import mask_table, photos, scenes, text_table
from sedic.lab.train.crops import Crops
from sedic.lab.train.reference_codec import whole_pictures
from sedic.lab.train.restorer import DescribedCrops
from sedic.picture import load_picture


def silent(_: int) -> None:
    pass


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Four good photographs; one is cut short, one is text, one is empty."""
    folder = tmp_path / "bsds"
    folder.mkdir()
    for number in range(4):
        part = samples.astronaut()[40 * number :, : 160 + number][:128]
        Image.fromarray(part).save(folder / f"good{number}.png")
    whole = (folder / "good0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.webp").touch()
    return folder


BAD = ("cut.png", "text.jpg", "empty.webp")


def test_bad_photographs_are_named_and_left_out(
    mixed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    read = photos.read_photographs(sorted(mixed.iterdir()), done.append)
    assert [photograph.path.name for photograph in read] == [f"good{n}.png" for n in range(4)]
    assert done == list(range(1, 8))
    assert len(caplog.messages) == 3
    for name in BAD:
        (line,) = [message for message in caplog.messages if name in message]
        assert line.startswith("left out: ") and "\n" not in line


def test_tables_are_made_of_the_rest(mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask_table.train([mixed], mixed.parent / "masks.safetensors")
    assert all(name in caplog.text for name in BAD)
    assert "4 photographs" in (mixed.parent / "masks.md").read_text()
    text_table.describe_photos([mixed], mixed.parent / "texts.jsonl")
    lines = (mixed.parent / "texts.jsonl").read_text().splitlines()
    assert len(lines) == 4 and all(json.loads(line)["text"] for line in lines)


def test_none_that_can_be_read_is_an_error(mixed: Path) -> None:
    with pytest.raises(SedicError, match="none of 3 photographs can be read"):
        photos.read_photographs([mixed / name for name in BAD], silent)


def test_training_reads_pictures_as_the_codec_does(tmp_path: Path) -> None:
    sixteen = tmp_path / "grey.png"
    Image.fromarray(np.full((64, 80), 32768, np.uint16)).save(sixteen)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(samples.astronaut()[:64, :96]).save(turned, exif=exif)
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (70, 70), (200, 0, 0, 0)).save(clear)
    read = photos.read_photographs([sixteen, turned, clear], silent)
    assert read[0].pixels.max() == 128
    assert read[1].pixels.shape == (96, 64, 3)
    assert (read[2].pixels == 255).all()
    for photograph in read:
        assert np.array_equal(photograph.pixels, load_picture(photograph.path))


@pytest.mark.parametrize("side", [120, 128, 136])
def test_a_crop_is_as_large_as_a_photograph_or_there_is_an_error(side: int) -> None:
    pictures = [np.zeros((128, 160, 3), np.uint8), np.zeros((64, 300, 3), np.uint8)]
    nothing = Description("", ())
    if side > 128:
        for make in (
            lambda: Crops(pictures, side, 2, 0),
            lambda: DescribedCrops(pictures, [nothing] * 2, side, 0),
        ):
            with pytest.raises(SedicError, match="no photograph has 136 pixels a side"):
                make()
        return
    crops = Crops(pictures, side, 2, 0)
    assert crops(3).pixels.shape == (2, side, side, 3)
    assert crops(3).sources == (0, 0)  # the other one is too small
    assert DescribedCrops(pictures, [nothing] * 2, side, 0)(5).pixels.shape == (side, side, 3)


def test_held_out_pictures_that_are_too_small_are_left_out(tmp_path: Path) -> None:
    sizes = {"a.png": (63, 200), "b.png": (64, 130), "c.png": (900, 80)}
    for name, size in sizes.items():
        Image.new("RGB", size[::-1], "red").save(tmp_path / name)
    paths = [tmp_path / name for name in sizes]
    assert [tuple(x.shape) for x in whole_pictures(paths, 8)] == [(1, 3, 64, 128), (1, 3, 768, 64)]
    with pytest.raises(SedicError, match="no photograph has 64 pixels a side"):
        whole_pictures(paths[:1], 8)


def test_a_damaged_scene_leaves_its_photograph_out(
    mixed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = photos.read_photographs([mixed / "good0.png", mixed / "good1.png"], silent)
    kept = mixed.parent / "scenes"
    scenes.describe_all(read, kept, silent)
    (kept / "bsds" / "good0.json").write_text("{")
    ((photograph, _),) = scenes.describe_all(read, kept, silent)
    assert photograph.name == "bsds/good1.png" and "good0.json" in caplog.text


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command, or the error it ends with."""
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, SedicError):
        return 1, str(result.exception)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def test_photographs_smaller_than_a_crop_end_in_one_line(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDIC_SHARED", str(shared / "cases" / "8" / "shared"))
    for command in ("reference", "vae", "restorer"):
        out = str(tmp_path / command)
        code, text = run("train", command, "--out", out, "--steps", "2", "--batch", "2")
        assert code == 1 and text == "no photograph has 192 pixels a side"


@pytest.mark.parametrize("command", ["masks", "text", "reference", "vae", "restorer"])
def test_an_empty_shared_folder_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("SEDIC_SHARED", str(tmp_path / "shared"))
    code, text = run("train", command, "--out", str(tmp_path / "out"))
    assert code == 1 and "no photographs in" in text and "\n" not in text
