"""A training run that is interrupted and started again ends as one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from sedic.lab.train import reference_codec, vae

SMALL: dict[str, Any] = {"steps": 6, "batch": 2, "crop": 64, "folders": ("bsds",), "save_every": 3}
RUNS = {
    "reference": (
        reference_codec.train,
        reference_codec.ReferenceRecipe(
            **SMALL, steer_folders=("bsds",), steer_every=4, measure_every=6
        ),
    ),
    "vae": (vae.train, vae.VaeRecipe(**SMALL, held_out_folders=("bsds",), measure_every=3)),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_interrupted_ends_as_one_that_is_not(name: str, small_data: Path) -> None:
    train: Any
    train, recipe = RUNS[name]

    def silent(done: int, total: int, text: str) -> None:
        pass

    def stop(done: int, total: int, text: str) -> None:
        if total == recipe.steps and done == 3:
            raise KeyboardInterrupt

    whole = train(recipe, small_data / "whole", silent)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, small_data / "parts", stop)
    parts = train(recipe, small_data / "parts", silent)
    a, b = load_file(whole), load_file(parts)
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
