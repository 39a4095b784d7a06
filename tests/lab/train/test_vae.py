"""The VAE's training: it learns and ends in normalised weights with a card."""

from __future__ import annotations

import json
from pathlib import Path

from sedic.lab.train import photos
from sedic.lab.train.crops import Crops
from sedic.lab.train.vae import VaeRecipe, latent_statistics, train
from sedic.models import pack
from sedic.models.precision import placement

RECIPE = VaeRecipe(
    steps=6,
    batch=2,
    crop=64,
    folders=("bsds",),
    held_out_folders=("bsds",),
    measure_every=3,
    save_every=3,
)


def silent(done: int, total: int, text: str) -> None:
    pass


def test_a_run_leaves_normalised_weights_a_card_and_a_log(small_data: Path) -> None:
    weights = train(RECIPE, small_data / "run", silent)
    vae = pack.load_networks(weights, ("vae",))["vae"]
    read = photos.read_photographs(
        photos.find_photographs([small_data / "shared"], held_out=False), lambda _: None
    )
    crops = Crops([one.pixels for one in read], 64, 2, seed=0)
    mean, deviation = latent_statistics(vae, crops, placement("cpu"))
    assert mean.abs().max() < 0.01 and (deviation - 1).abs().max() < 0.01
    assert "bsds" in weights.with_suffix(".md").read_text()
    log = [json.loads(line) for line in (small_data / "run" / "log.jsonl").read_text().splitlines()]
    first, last = (line["held_out"] for line in log if "held_out" in line)
    assert last["psnr"] > first["psnr"] > 15
