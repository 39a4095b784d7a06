"""Fixed-point twins of networks: close to the float network, and the same integers everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sedic.reference.fixed_point import (
    FRACTION,
    ONE,
    fixed,
    fixed_linear_map,
    shift_right,
    to_fixed,
)


def _network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1),
        nn.LeakyReLU(),
        nn.Sequential(nn.Conv2d(16, 64, 3, padding=1), nn.PixelShuffle(2)),
        nn.ReLU(),
        nn.Conv2d(16, 4, 1, bias=False),
    )


@torch.no_grad()
def test_close_to_the_float_network() -> None:
    network = _network().double()
    x = torch.randn(1, 8, 6, 5, dtype=torch.float64)
    exact = network(to_fixed(x) / ONE)
    integers = fixed(network)(to_fixed(x))
    assert torch.equal(integers, integers.round())
    assert (integers / ONE - exact).abs().max() < 4 / ONE


def test_a_part_of_the_input_gives_the_same_integers() -> None:
    """Sums of integers do not depend on how a library cuts up the work."""
    run = fixed(_network())
    x = torch.randint(-(1 << 24), 1 << 24, (1, 8, 40, 33)).double()
    whole = run(x)
    crop = run(x[..., 10:30, 8:25])
    assert torch.equal(whole[..., 24:56, 20:46], crop[..., 4:36, 4:30])


def test_largest_activations_and_weights_stay_exact() -> None:
    fan_in = 1 << 13
    weight = torch.full((1, fan_in), 1.0 - 2.0**-15)
    run = fixed_linear_map(weight, None, lambda x, w: x @ w.T)
    largest = torch.full((1, fan_in), float((1 << 24) - 1), dtype=torch.float64)
    assert run(largest).item() == (1 << 24) - 1
    largest[0, ::2] *= -1
    largest[0, 0] += 3
    assert run(largest).item() == 3


def test_sums_that_could_be_inexact_are_refused() -> None:
    with pytest.raises(ValueError, match="fan-in"):
        fixed_linear_map(torch.ones(1, (1 << 13) + 1), None, lambda x, w: x @ w.T)


@pytest.mark.parametrize("layer", [nn.Sigmoid(), nn.Sequential(nn.ReLU(), nn.Tanh())])
def test_layers_without_a_fixed_form_are_refused(layer: nn.Module) -> None:
    with pytest.raises(TypeError, match="no fixed-point form"):
        fixed(layer)


def test_rounding_is_to_the_nearest() -> None:
    values = torch.tensor([-6.0, -5, -3, -2, -1, 0, 1, 2, 5, 6], dtype=torch.float64)
    assert shift_right(values, 2).tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1, 2]
    assert to_fixed(torch.tensor([0.5, -1.0])).tolist() == [1 << FRACTION - 1, -1 << FRACTION]
