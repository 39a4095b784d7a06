from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from sedic.models.interface import Networks
from sedic.synthesis.guidance import attention_maps, descend, energy, gradient_of

# MuLan's maps in the parity mock: the middle one, the first three up, the last three down.
MIDDLE = ("mid", 0)
OTHERS = (("up", 0), ("up", 1), ("up", 2), ("down", 3), ("down", 4), ("down", 5))
TOKEN = 3


class Mulan:
    """The golden numbers' mock: attention maps that are a known function of x."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.io = load_file(folder / "io.safetensors")
        self.sides = json.loads((folder / "meta.json").read_text())["map_side"]

    def maps(self, x: Tensor, middle: bool) -> list[Tensor]:
        def one(part: str, i: int) -> Tensor:
            query = F.adaptive_avg_pool2d(x, self.sides[part][i]).flatten(2).mT
            weight, bias = (self.io[f"mock.{part}.{i}.{k}"].to(x) for k in ("wq", "bias"))
            return torch.softmax(query @ weight + bias, -1)

        return [one(*name) for name in ((MIDDLE,) if middle else ()) + OTHERS]

    def energy(self, mask: str, x: Tensor) -> Tensor:
        """Eq. 2 as MuLan has it: where a mask vanishes ("box" on the 2x2 map), a constant 1."""
        cells = self.io[f"mask.{mask}"][0, 0] > 0
        if mask == "gray":
            return energy(self.maps(x, middle=True), cells, [TOKEN])
        return (1 + 6 * energy(self.maps(x, middle=False), cells, [TOKEN])) / 7


@pytest.fixture(scope="module")
def mulan(shared: Path) -> Mulan:
    return Mulan(shared / "parity" / "attention_guidance")


@pytest.mark.parametrize("mask", ["box", "gray"])
def test_the_energy_and_its_gradient_are_mulans(mulan: Mulan, mask: str) -> None:
    x = mulan.io["in.x"]
    expected = mulan.io[f"ours64.{mask}.E"]
    assert abs(mulan.energy(mask, x) - expected) < 1e-6
    assert abs(mulan.energy(mask, x.double()) - expected) < 1e-9
    gradient = gradient_of(partial(mulan.energy, mask), x.double())
    assert gradient is not None
    assert (gradient - mulan.io[f"ours64.{mask}.grad_E"]).abs().max() < 1e-9


@pytest.mark.parametrize("mask", ["box", "gray"])
@pytest.mark.parametrize(("case", "eta"), [("first", 77.0), ("later", 11.0)])
def test_five_iterations_are_mulans(mulan: Mulan, mask: str, case: str, eta: float) -> None:
    gradient = partial(gradient_of, partial(mulan.energy, mask))
    moved, _ = descend(mulan.io["in.x"], gradient, eta, 5)
    expected = mulan.io[f"case.{mask}.{case}.gw110.step0.loss_in100000.x_after_guidance"]
    assert (moved - expected).abs().max() < 1e-5


def test_guidance_stops_at_the_threshold(mulan: Mulan) -> None:
    """MuLan's energies of the golden run: 0.767, 0.756, 0.745, ... with eta 77."""
    asked: list[float] = []

    def energy_at(x: Tensor) -> Tensor:
        value = mulan.energy("box", x)
        asked.append(float(value.detach()))
        return value

    moved, reached = descend(
        mulan.io["in.x"], lambda x: gradient_of(energy_at, x, threshold=0.75), 77.0, 5
    )
    printed = json.loads((mulan.folder / "meta.json").read_text())["cases"]
    expected = printed["box.first.gw110.step0.loss_in100000"]["energies_printed"][:3]
    assert reached and asked == pytest.approx(expected, abs=1e-6)
    assert mulan.energy("box", moved) < 0.75
    _, reached = descend(mulan.io["in.x"], lambda x: gradient_of(energy_at, x), 77.0, 5)
    assert not reached


def test_a_mask_that_vanishes_keeps_its_strongest_cell(mulan: Mulan) -> None:
    """MuLan's energy is a constant 1 here, and its five iterations do nothing."""
    small = mulan.io["mask.small"][0, 0] > 0
    assert small.any()
    gradient = gradient_of(
        lambda x: energy(mulan.maps(x, middle=True), small, [TOKEN]), mulan.io["in.x"]
    )
    assert gradient is not None and gradient.abs().max() > 1e-4

    mask = torch.zeros(8, 12, dtype=torch.bool)
    mask[3, 9] = True  # nearest sampling of 2x3 cells takes (0, 0), (0, 4), (0, 8), (4, 0), ...
    attention = torch.full((2, 6, 4), 0.01)
    attention[:, 2] = 0.9  # row 0, column 2: where (3, 9) lies
    assert energy([attention], mask, [0]) < 0.01


def test_grids_are_not_square_and_tokens_are_averaged() -> None:
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[:, :2] = True
    here, there = torch.zeros(2, 24, 5), torch.zeros(2, 24, 5)
    here.view(2, 4, 6, 5)[:, :, :2, 1] = 0.5
    here.view(2, 4, 6, 5)[:, :, 4:, 2] = 0.5
    there.view(2, 4, 6, 5)[:, :, :, 1:3] = 0.1
    assert energy([here], mask, [1]) < 1e-6
    assert abs(energy([here], mask, [2]) - 1) < 1e-6
    assert abs(energy([here], mask, [1, 2]) - 0.5) < 1e-6
    assert abs(energy([here, there], mask, [1]) - (2 / 3) ** 2 / 2) < 1e-6
    with pytest.raises(ValueError, match="halving"):
        energy([here[:, :23]], mask, [1])


@pytest.mark.parametrize(("levels", "count"), [(2, 4), (4, 7)])
def test_maps_of_a_real_unet(
    tiny_networks: Callable[..., Networks], levels: int, count: int
) -> None:
    networks = tiny_networks(levels=levels)
    z, context = torch.randn(1, 4, 16, 24), networks.embed("red bus")
    predict = partial(networks.predict, t=500, context=context, condition=z)
    before = predict(z)
    maps = attention_maps(networks.unet, lambda: predict(z))
    assert len(maps) == count
    for attention in maps:
        assert attention.shape[2] == context.shape[1]
        assert torch.allclose(attention.sum(2), torch.ones(attention.shape[:2]), atol=1e-5)
    assert torch.equal(predict(z), before)  # nothing stays on the network

    mask = torch.zeros(16, 24, dtype=torch.bool)
    mask[4:12, 2:9] = True

    def measured(x: Tensor) -> Tensor:
        return energy(attention_maps(networks.unet, lambda: predict(x)), mask, [1, 2])

    moved, _ = descend(z, partial(gradient_of, measured), 50.0, 3)
    assert measured(moved) < measured(z)


def test_nothing_stays_on_the_network_after_a_failure(
    tiny_networks: Callable[..., Networks],
) -> None:
    unet = tiny_networks().unet
    with pytest.raises(ZeroDivisionError):
        attention_maps(unet, lambda: 1 / 0)
    assert not any(part._forward_pre_hooks for part in unet.modules())
