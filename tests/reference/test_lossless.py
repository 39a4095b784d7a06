"""Pictures that are simple enough to be coded without any loss."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sedic import Decoder, Description, Encoder, Profile, Rate
from sedic.coding.container import Container
from sedic.reference.external import External
from sedic.reference.lossless import lossless_file

SAID = Description("a plain picture")


def drawing() -> np.ndarray:
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 30, 120, 90), fill=(20, 80, 200))
    draw.line((0, 0, 299, 199), fill="black", width=3)
    return np.array(image)


@pytest.mark.parametrize("colour", [(200, 30, 90), (255, 255, 255), (0, 0, 0), (17, 230, 4)])
@pytest.mark.parametrize("size", [(256, 384), (1, 1), (7, 5), (1, 8192)])
def test_a_flat_colour_is_a_file_of_a_few_bytes(
    colour: tuple[int, int, int], size: tuple[int, int]
) -> None:
    picture = np.broadcast_to(np.uint8(colour), (*size, 3)).copy()
    file = lossless_file(picture, 64)
    assert file is not None and len(file) <= 44
    assert (External().decode(file, size[1], size[0]) == picture).all()


@pytest.mark.parametrize("method", ["sedic", "misc", "image-text"])
def test_simple_pictures_come_back_as_they_were(mini: Profile, method: str) -> None:
    grey = np.full((120, 90, 3), 99, np.uint8)
    for picture, limit in ((drawing(), 350), (np.full_like(drawing(), 255), 100), (grey, 100)):
        done = Encoder(mini).compress(picture, Rate(limit), SAID, method=method)
        assert len(done.data) <= limit and "without any loss" in done.notes[-1]
        assert (Decoder(mini).decompress(done.data) == picture).all()
        assert (done.preview == picture).all()


def test_photographs_are_given_up_at_once() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
    began = time.process_time()
    assert lossless_file(noise, 2000) is None
    assert time.process_time() - began < 1
    assert lossless_file(drawing(), 100) is None  # too little room for it


def test_another_reference_codec_and_bare_files_are_left_as_they_are(mini: Profile) -> None:
    flat = np.full((64, 96, 3), 99, np.uint8)
    chosen = Profile.load("mini", reference=External())
    data = Encoder(chosen).compress(flat, Rate(900), SAID).data
    assert Decoder(chosen).settings(data).amount > 0
    bare = Encoder(mini).compress(flat, Rate(900), SAID, bare=True)
    assert Container.parse_bare(bare.data, "mini", "compact").reference_codec == "compact"
