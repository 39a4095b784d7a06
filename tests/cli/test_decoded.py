"""What ``decompress`` writes, from whole files, bare files and beginnings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.decoder import Decoder
from sedic.describe.description import Description
from sedic.encoder import Encoder
from sedic.errors import SedicError
from sedic.picture import load_picture
from sedic.profile import Profile
from sedic.provenance import read_provenance
from sedic.semantics import Rate

PICTURE = samples.chelsea()[:128, :160]
PROFILE = Profile.load("mini")
WORDS = Description("a tabby cat looks up")
WHOLE = Encoder(PROFILE).compress(PICTURE, Rate(300), WORDS).data
BARE = Encoder(PROFILE).compress(PICTURE, Rate(300), WORDS, bare=True).data


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "whole.sedic").write_bytes(WHOLE)
    (tmp_path / "bare.sedic").write_bytes(BARE)
    (tmp_path / "begun.sedic").write_bytes(WHOLE[:150])
    return tmp_path


def test_a_decoded_picture_says_what_it_is(folder: Path) -> None:
    out = folder / "a.png"
    run("decompress", folder / "whole.sedic", out, "--preview")
    made = read_provenance(out)
    assert made is not None
    assert made.file_bytes == len(WHOLE)
    assert made.profile == "mini"
    assert made.words == ("a tabby cat looks up",)
    shown = run("inspect", out)
    assert f"from a file of {len(WHOLE)} bytes" in shown
    assert "a tabby cat looks up" in shown
    Image.fromarray(PICTURE).save(folder / "photo.png")
    assert "does not say" in run("inspect", folder / "photo.png")


def test_the_words_can_stand_under_the_picture(folder: Path) -> None:
    out = folder / "a.png"
    run("decompress", folder / "whole.sedic", out, "--preview", "--caption")
    seen = load_picture(out)
    assert seen.shape[0] > PICTURE.shape[0]
    assert np.array_equal(seen[: PICTURE.shape[0]], Decoder(PROFILE).preview(WHOLE))


def test_a_bare_file_is_read_when_told_so(folder: Path) -> None:
    with pytest.raises(SedicError):
        run("decompress", folder / "bare.sedic", folder / "a.png", "--preview")
    run("decompress", folder / "bare.sedic", folder / "a.png", "--preview", "--bare")
    assert load_picture(folder / "a.png").shape == PICTURE.shape


def test_a_beginning_is_shown_with_partial_alone(folder: Path) -> None:
    with pytest.raises(SedicError, match="cut short"):
        run("decompress", folder / "begun.sedic", folder / "a.png", "--preview")
    run("decompress", folder / "begun.sedic", folder / "a.png", "--preview", "--partial")
    assert load_picture(folder / "a.png").shape == PICTURE.shape


def test_what_was_asked_for_travels_from_photo_to_picture(folder: Path) -> None:
    said = Image.Exif()
    said[0x010F], said[0x0112] = "Maker", 6
    said.get_ifd(0x8825)[1] = "N"
    cut_out = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)])
    cut_out[:, :60, 3] = 0
    Image.fromarray(cut_out).save(folder / "photo.png", exif=said)
    (folder / "words.json").write_text('{"overall": "A cat.", "objects": []}')
    own = "--semantics", folder / "words.json", "--max-bytes", 300
    made = folder / "made.sedic"
    output = run("compress", folder / "photo.png", made, "--keep", "exif, gps", "--alpha", *own)
    assert "white" not in output and made.stat().st_size <= 300
    facts = json.loads(run("inspect", made, "--json"))
    assert facts["carried"] == {"alpha": True, "exif": 2, "gps": True, "icc": 0, "ground": None}
    assert sum(facts["parts"].values()) == facts["bytes"] == made.stat().st_size
    assert "EXIF of 2 entries, with GPS" in run("inspect", made)
    run("decompress", made, folder / "back.png", "--preview")
    with Image.open(folder / "back.png") as image:
        assert (image.mode, image.size) == ("RGBA", (128, 160))
        assert (image.getexif()[0x010F], image.getexif()[0x0112]) == ("Maker", 1)
    assert read_provenance(folder / "back.png") is not None
    plain = run("compress", folder / "photo.png", folder / "plain.sedic", *own)
    assert "laid over white; --alpha keeps them" in plain
    wrong = CliRunner().invoke(app, ["compress", "a", "b", "--keep", "place"])
    assert wrong.exit_code == 2
