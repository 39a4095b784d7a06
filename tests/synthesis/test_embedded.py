"""The embedded restorer on photographs that it was not trained on: it pays for its bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sedic.decoder import Decoder
from sedic.encoder import Encoder
from sedic.lab.bench.fidelity import haarpsi
from sedic.lab.bench.lpips import LPIPS, weights_path
from sedic.lab.train import photos
from sedic.picture import Picture, load_picture
from sedic.profile import Profile
from sedic.semantics import Rate, SemanticImage
from sedic.synthesis.stages import restore

SIDE = 320
BYTES = 384  # 0.03 bpp


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[Picture]:
    """Held-out photographs, evenly chosen, their middles."""
    folder = shared / "data" / "photos"
    large = []
    for path in photos.find_photographs([folder / "wallpaper", folder / "coco"], held_out=True):
        photo = load_picture(path)
        top, left = ((side - SIDE) // 2 for side in photo.shape[:2])
        if min(top, left) >= 0:
            large.append(photo[top : top + SIDE, left : left + SIDE].copy())
    return large[:: max(1, len(large) // 6)][:6]


@pytest.fixture(scope="module")
def distance(shared: Path) -> LPIPS:
    return LPIPS(weights_path(shared))


def lpips(distance: LPIPS, a: Picture, b: Picture) -> float:
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (a, b))
    with torch.inference_mode():
        return float(distance(x, y))


def test_the_result_is_nearer_than_the_reference_it_starts_from(pictures: list[Picture]) -> None:
    """By HaarPSI, which was in no loss: LPIPS, which was in the reference's, gains nothing."""
    profile = Profile.load("mini")
    gains = []
    for picture in pictures:
        done = Encoder(profile).compress(picture, Rate(BYTES, 1, 20, 30))
        result = Decoder(profile).decompress(done.data)
        gains.append(haarpsi(result, picture) - haarpsi(done.preview, picture))
    assert np.mean(gains) > 0 and sum(gain > 0 for gain in gains) >= 4


@pytest.mark.slow
def test_words_of_another_picture_do_worse(pictures: list[Picture], distance: LPIPS) -> None:
    profile = Profile.load("mini")
    encoder, networks = Encoder(profile), profile.networks
    made = [encoder.compress(picture, Rate(2_000, 1, 20, 30)) for picture in pictures]

    settings = profile.settings("sedic")

    def shown(preview: Picture, image: SemanticImage) -> Picture:
        *_, last = restore(preview, image, networks, settings)
        return last.picture

    own, wrong = [], []
    for i, picture in enumerate(pictures):
        done, other = made[i], made[i - 1].image
        own.append(lpips(distance, shown(done.preview, done.image), picture))
        swapped = replace(done.image, overall=other.overall, objects=())
        wrong.append(lpips(distance, shown(done.preview, swapped), picture))
    assert np.mean(own) < np.mean(wrong)
