"""Training runs: they learn and end in weights that the codec loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.train.reference_codec import train
from sedic.lab.train.reference_recipe import ReferenceRecipe, sedic_recipe
from sedic.reference import cheng2020
from sedic.reference.cheng2020 import Cheng2020
from sedic.reference.cheng2020_network import Cheng2020Attention
from sedic.reference.compact import Compact


def silent(done: int, total: int, text: str) -> None:
    pass


RECIPE = ReferenceRecipe(
    steps=6,
    batch=2,
    crop=64,
    folders=("bsds",),
    steer_folders=("bsds",),
    steer_every=4,
    measure_every=6,
    save_every=3,
)


def test_a_run_leaves_weights_a_card_and_a_log(small_data: Path) -> None:
    weights = train(RECIPE, small_data / "run", silent)
    codec = Compact(weights)
    picture = samples.chelsea()[:64, :64]
    assert codec.decode(codec.prepare(picture)(28), 64, 64).shape == (64, 64, 3)
    card = weights.with_suffix(".md").read_text()
    assert codec.fingerprint.hex() in card and "bsds" in card and "LPIPS-squeeze (Caffe)" in card
    log = [json.loads(line) for line in (small_data / "run" / "log.jsonl").read_text().splitlines()]
    assert any("steered_bpp" in line for line in log) and any("held_out" in line for line in log)


def test_a_decoder_that_learns_alone_leaves_files_as_they_were(small_data: Path) -> None:
    start = train(RECIPE, small_data / "start", silent)
    alone = replace(RECIPE, decoder_only=True)
    weights = train(alone, small_data / "alone", silent, start)
    old, new = load_file(start), load_file(weights)
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    of_decoder = ("synthesis.", "log_ungain", "level_bias")
    assert changed and all(name.startswith(of_decoder) for name in changed)
    picture = samples.chelsea()[:64, :64]
    before, after = (Compact(path).prepare(picture)(28) for path in (start, weights))
    assert before == after
    with pytest.raises(SedicError, match="--start"):
        train(alone, small_data / "other", silent)


@pytest.mark.slow
def test_training_lowers_the_loss(small_data: Path) -> None:
    recipe = replace(RECIPE, steps=100, batch=4, steer_every=1_000, measure_every=50)
    train(recipe, small_data / "run", silent)
    log = [json.loads(line) for line in (small_data / "run" / "log.jsonl").read_text().splitlines()]
    first, last = (costs(recipe, line["held_out"]) for line in log if "held_out" in line)
    assert (last < first).all()


def costs(recipe: ReferenceRecipe, held_out: dict[str, list[float]]) -> np.ndarray:
    """Rate and distortion of held-out pictures at the measured anchors, weighted as in training."""
    bpp, lpips, psnr = (np.array(held_out[name]) for name in ("bpp", "lpips", "psnr"))
    rates = np.array(recipe.first_weights()[1::2]) * bpp
    return rates + recipe.lpips * lpips + recipe.mse * 10 ** (-psnr / 10)


def test_the_paper_s_fine_tuning_of_cheng2020(small_data: Path) -> None:
    start = small_data / "start.safetensors"
    save_file(Cheng2020Attention(16).state_dict(), start)
    recipe = replace(sedic_recipe(2), batch=1, crop=64, folders=("bsds",), steer_folders=("bsds",))
    assert recipe.mse == pytest.approx(0.00018 * 255**2) and recipe.learning_rate == 1e-4
    weights = train(recipe, small_data / "run", silent, start)
    assert any((load_file(weights)[k] != v).any() for k, v in load_file(start).items())
    codec = Cheng2020([weights])
    picture = samples.chelsea()[:64, :64]
    assert codec.decode(codec.prepare(picture)(0), 64, 64).shape == (64, 64, 3)
    with pytest.raises(SedicError, match="--start"):
        train(recipe, small_data / "other", silent)


def test_fine_tuned_cheng2020_codes_with_what_it_has_learnt(small_data: Path) -> None:
    torch.manual_seed(0)
    network = Cheng2020Attention(16)
    prior = network.entropy_bottleneck
    with torch.no_grad():  # the priors of z have moved since the tables were made
        network.update_tables()
        prior.biases[0].add_(1.0)
    start = small_data / "start.safetensors"
    save_file(network.state_dict(), start)
    recipe = replace(
        sedic_recipe(3),
        batch=1,
        crop=64,
        learning_rate=1e-3,
        folders=("bsds",),
        steer_folders=("bsds",),
    )
    weights = train(recipe, small_data / "run", silent, start)
    trained = cheng2020.load_cheng2020(weights).entropy_bottleneck
    old, new = (load_file(path)["entropy_bottleneck._quantized_cdf"] for path in (start, weights))
    assert old.shape != new.shape or (old != new).any()
    logits = trained._logits(trained.quantiles.double())
    assert (logits - trained.target).abs().max() < 1e-3
    assert (trained.quantiles - prior.quantiles).abs().max() > 0.1
    fresh = trained._new_tables()
    assert np.array_equal(trained.tables().weights, fresh.weights)
    codec = Cheng2020([weights])
    picture = samples.chelsea()[:128, :192]
    data = codec.prepare(picture)(0)
    decoded = codec.decode(data, 192, 128)
    assert decoded.shape == picture.shape
    assert np.array_equal(decoded, Cheng2020([weights]).decode(data, 192, 128))
