"""The embedded VAE: pictures to latents at 1/8 and back, small enough for a CPU.

Most autoencoders spend their time at full resolution. This one works at 1/8 and 1/4, and at 1/2
only in its last layers. At both ends a linear map of 8x8 blocks is added to the deep layers; its
initial weights are the low frequencies of a DCT, so its pictures are good from the first training
step on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sedic.models.convolution import Convolution3x3
from sedic.models.layers import block_basis, blocks

STRIDE = 8


@dataclass(frozen=True)
class PatchConfig:
    """Channel counts and depths; stored with the weights."""

    latent_channels: int = 32
    wide: int = 144  # at 1/8
    narrow: int = 64  # at 1/4
    fine: int = 32  # at 1/2
    encoder_blocks: tuple[int, int] = (2, 2)  # at 1/4, 1/8
    decoder_blocks: tuple[int, int, int] = (3, 4, 2)  # at 1/8, 1/4, 1/2


class PatchAutoencoder(nn.Module):
    """Pictures (b, 3, h, w) in [-1, 1], sides multiples of 8, to (b, latent, h/8, w/8) and back.

    After ``normalise`` latents have mean 0 and deviation 1 in every channel.
    """

    encode_linear: nn.Sequential
    encode_deep: nn.Sequential
    decode_linear: nn.Sequential
    decode_deep: nn.Sequential

    HALO = 12  # latent positions around a decoded pixel, or a latent, on which that depends

    def __init__(self, config: PatchConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or PatchConfig()
        latent = c.latent_channels
        basis = block_basis(latent, STRIDE)[:, :, None, None]
        self.encode_linear = nn.Sequential(
            nn.PixelUnshuffle(STRIDE), nn.Conv2d(3 * STRIDE**2, latent, 1)
        )
        self.encode_deep = nn.Sequential(
            nn.PixelUnshuffle(4),
            Convolution3x3(48, c.narrow),
            *blocks(c.narrow, c.encoder_blocks[0]),
            nn.Conv2d(c.narrow, c.wide, 3, stride=2, padding=1),
            *blocks(c.wide, c.encoder_blocks[1]),
            Convolution3x3(c.wide, latent),
        )
        self.decode_linear = nn.Sequential(
            nn.Conv2d(latent, 3 * STRIDE**2, 1), nn.PixelShuffle(STRIDE)
        )
        self.decode_deep = nn.Sequential(
            Convolution3x3(latent, c.wide),
            *blocks(c.wide, c.decoder_blocks[0]),
            nn.Conv2d(c.wide, 4 * c.narrow, 1),
            nn.PixelShuffle(2),
            *blocks(c.narrow, c.decoder_blocks[1]),
            nn.Conv2d(c.narrow, 4 * c.fine, 1),
            nn.PixelShuffle(2),
            *blocks(c.fine, c.decoder_blocks[2]),
            Convolution3x3(c.fine, 12),
            nn.PixelShuffle(2),
        )
        with torch.no_grad():
            for linear, weight in (
                (self.encode_linear[1], basis),
                (self.decode_linear[0], basis.transpose(0, 1)),
            ):
                _weight(linear).copy_(weight)
                _bias(linear).zero_()
            for last in (self.encode_deep[-1], self.decode_deep[-2]):
                _weight(last).mul_(0.1)

    def encode(self, x: Tensor) -> Tensor:
        """The latents of pictures."""
        return self.encode_linear(x) + self.encode_deep(x)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """The pictures of latents; may leave [-1, 1] a little."""
        return self.decode_linear(z) + self.decode_deep(z)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Pictures through the bottleneck."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def normalise(self, mean: Tensor, deviation: Tensor) -> None:
        """Change the weights so that latents with this ``mean`` and ``deviation``, (latent,) each,
        get mean 0 and deviation 1.

        Decoded pictures stay the same, except at their borders, where convolutions see zeros.
        """
        for last in (self.encode_linear[1], self.encode_deep[-1]):
            _weight(last).div_(deviation[:, None, None, None])
            _bias(last).div_(deviation)
        _bias(self.encode_deep[-1]).sub_(mean / deviation)
        for first in (self.decode_linear[0], self.decode_deep[0]):
            _bias(first).add_((_weight(first) * mean[:, None, None]).sum((1, 2, 3)))
            _weight(first).mul_(deviation[:, None, None])


def _weight(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight")


def _bias(layer: nn.Module) -> Tensor:
    return layer.get_parameter("bias")
