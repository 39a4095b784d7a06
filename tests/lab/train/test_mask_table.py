"""Priming the mask coder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from sedic.coding.bilevel import decode_plane, fresh_weights
from sedic.coding.masks import TEMPLATE, encode_planes
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError
from sedic.lab.train.mask_table import prime, train
from sedic.picture import save_picture


def disc(row: int, column: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[0:48, 0:64]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def test_primed_weights_make_similar_masks_cheaper() -> None:
    primed = prime([[disc(10 + k, 20 + k, 6 + k), disc(30, 50 - k, 5)] for k in range(10)])
    assert primed.dtype == np.uint16
    assert primed.min() >= 1
    sizes = []
    for start in (fresh_weights(TEMPLATE), primed.astype(np.int64)):
        encoder = RangeEncoder()
        encode_planes(encoder, [disc(25, 30, 9)], start.copy())
        data = encoder.finish()
        again = decode_plane(RangeDecoder(data), 48, 64, TEMPLATE, start.copy())
        np.testing.assert_array_equal(again, disc(25, 30, 9))
        sizes.append(len(data))
    assert sizes[1] < 0.7 * sizes[0]


def test_training_writes_weights_and_their_card(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(3):
        picture = np.full((128, 160, 3), 200, np.uint8)
        picture[30:80, 40 + 10 * k : 110] = (180, 20, 20)
        save_picture(picture, photos / f"{k}.png")
    outputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    done: list[int] = []
    for out in outputs:
        train([photos], out, count=2, progress=done.append)
    assert done == [1, 2, 1, 2]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert load_file(outputs[0])["weights"].shape == (2 << len(TEMPLATE), 2)
    card = outputs[0].with_suffix(".md").read_text()
    assert hashlib.sha256(outputs[0].read_bytes()).hexdigest() in card


def test_without_masks_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="no masks"):
        prime([[], []])
    with pytest.raises(SedicError, match="no photographs"):
        train([tmp_path], tmp_path / "a.safetensors")
