"""Winograd's convolutions are torch's, but for rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sedic.models import convolution
from sedic.models.convolution import Convolution3x3, memory_format, uses_winograd

CPU = torch.device("cpu")


def layer(inputs: int, outputs: int, *, bias: bool = True) -> Convolution3x3:
    """One that infers."""
    with torch.random.fork_rng():
        torch.manual_seed(inputs)
        return Convolution3x3(inputs, outputs, bias=bias).requires_grad_(False)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (24, 16), (41, 67)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_result_is_that_of_a_plain_convolution(
    size: tuple[int, int], batch: int, bias: bool
) -> None:
    convolution = layer(16, 24, bias=bias)
    x = torch.randn(batch, 16, *size)
    plain = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
    for given in (x, x.to(memory_format=torch.channels_last)):
        assert torch.allclose(convolution(given), plain, atol=1e-4)


def test_a_large_input_is_computed_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    convolution_layer, x = layer(8, 8), torch.randn(2, 8, 50, 20)
    whole = convolution_layer(x)
    monkeypatch.setattr(convolution, "_WHOLE", 0)
    for rows in (1, 3, 49, 50):
        monkeypatch.setattr(convolution, "_BAND", rows * 2 * 8 * 20)
        assert torch.allclose(convolution_layer(x), whole, atol=1e-4)


def test_guidance_takes_gradients_through_it() -> None:
    convolution = layer(8, 8)
    x, weights = torch.randn(2, 1, 8, 12, 20)
    x.requires_grad_()
    plain = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (convolution(x), plain)]
    assert torch.allclose(*gradients, atol=1e-4)


def test_other_formats_and_weights_in_training_are_torchs_own() -> None:
    x = torch.randn(1, 8, 12, 20)
    trained = layer(8, 8).requires_grad_()
    assert torch.equal(trained(x), F.conv2d(x, trained.weight, trained.bias, padding=1))
    half = layer(8, 8).bfloat16()
    assert not uses_winograd(CPU, torch.bfloat16)
    assert not uses_winograd(torch.device("cuda"), torch.float32)
    assert memory_format(CPU, torch.bfloat16) == torch.channels_last
    assert half(x.bfloat16()).dtype == torch.bfloat16
