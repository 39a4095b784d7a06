"""The restorer's training: it resumes exactly, ends in weights that decode files, and says what
words are worth."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from skimage import data as samples

from sedic.decoder import Decoder
from sedic.encoder import Encoder
from sedic.lab.train import photos, scenes
from sedic.lab.train.restorer import DescribedCrops, RestorerRecipe, train
from sedic.models import mini, pack
from sedic.models.patch_autoencoder import PatchAutoencoder, PatchConfig
from sedic.profile import Profile
from sedic.semantics import Rate

RECIPE = RestorerRecipe(
    steps=4,
    batch=2,
    crop=64,
    later=0.5,
    staged=0.5,
    folders=("bsds",),
    held_out_folders=("bsds",),
    measure_every=4,
    save_every=2,
)


def silent(done: int, total: int, text: str) -> None:
    pass


@pytest.fixture
def vae(tmp_path: Path) -> Path:
    path = tmp_path / "begin.safetensors"
    pack.save_networks(path, {"vae": PatchAutoencoder(PatchConfig(16, 16, 16, 16))})
    return path


def test_a_run_that_is_interrupted_ends_as_one_that_is_not(small_data: Path, vae: Path) -> None:
    whole = train(RECIPE, small_data / "whole", silent, vae)

    def stop(done: int, total: int, text: str) -> None:
        if total == RECIPE.steps and done == 2 and "loss" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, small_data / "parts", stop, vae)
    parts = train(RECIPE, small_data / "parts", silent, vae)
    for name in (whole.name, "vae.safetensors"):
        a, b = load_file(whole.with_name(name)), load_file(parts.with_name(name))
        assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_a_run_ends_in_networks_that_decode_a_file(small_data: Path, vae: Path) -> None:
    weights = train(RECIPE, small_data / "run", silent, vae)
    networks = mini.load_mini(weights.with_name("vae.safetensors"), weights)
    picture = samples.chelsea()[:128, :192]
    profile = Profile.load("mini", networks=networks)
    decoder = Decoder(profile)
    settings = {"object_steps": 1, "last_steps": 2, "object_cfg": 1, "last_cfg": 1, "iterations": 0}
    data = Encoder(profile).compress(picture, Rate(600, 1, 20, 20), settings=settings).data
    *_, last = decoder.stages(data)
    assert last.picture.shape == picture.shape
    # It began as the identity and has hardly moved.
    assert np.abs(last.picture.astype(int) - decoder.preview(data)).mean() < 40
    card = weights.with_suffix(".md").read_text()
    assert "bsds" in card and "object wrong" in card
    log = [json.loads(line) for line in (small_data / "run" / "log.jsonl").read_text().splitlines()]
    (measured,) = (line["held_out"] for line in log if "held_out" in line)
    assert {"reference", "whole", "silent", "object", "object wrong"} <= measured.keys()


def test_a_restorer_goes_on_from_another(small_data: Path, vae: Path) -> None:
    first = train(RECIPE, small_data / "first", silent, vae)
    still = replace(RECIPE, steps=1, learning_rate=0.0, measure_every=9)
    second = train(still, small_data / "second", silent, vae, first)
    a, b = load_file(first), load_file(second)
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    assert hashlib.sha256(first.read_bytes()).hexdigest() in second.with_suffix(".md").read_text()


def test_words_and_masks_belong_to_their_crop(small_data: Path) -> None:
    read = photos.read_photographs(
        photos.find_photographs([small_data / "shared"], held_out=False), lambda _: None
    )
    described = scenes.describe_all(read, small_data / "scenes", lambda _: None)
    again = scenes.describe_all(read, small_data / "scenes", lambda _: None)
    assert [scene for _, scene in described] == [scene for _, scene in again]
    descriptions = [scene for _, scene in described]
    crops = DescribedCrops([one.pixels for one, _ in described], descriptions, 64, seed=0)
    details = {layer.detail for scene in descriptions for layer in scene.objects}
    for i in range(20):
        crop = crops(i)
        assert np.array_equal(crop.pixels, crops(i).pixels)
        assert crop.pixels.shape == (64, 64, 3) and crop.detail in details
        assert crop.mask is not None and crop.mask.shape == (8, 8) and crop.mask.any()
    other = replace(crops, seed=1)
    assert any(not np.array_equal(crops(i).pixels, other(i).pixels) for i in range(5))
