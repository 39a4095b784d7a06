"""The embedded VAE: pictures to latents at 1/8 and back, small enough for a CPU.

It has the contract of diffusers' ``AutoencoderTiny``, which spends most of its time at full
resolution; this one works on patches: at 1/8 and 1/4, and at 1/2 only at the very end. A linear
map of 8x8 blocks, which begins its training as the low frequencies of a DCT, stands beside the
deep layers at both ends, so that its pictures are right from the first step on.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sedic.models.layers import block_basis, blocks

STRIDE = 8


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Pictures (b, 3, h, w) in [-1, 1], sides multiples of 8, to (b, latent, h/8, w/8) and back.

    After ``normalise`` latents have mean 0 and deviation 1 in every channel, so the scaling factor
    is 1.
    """

    encode_linear: nn.Sequential
    encode_deep: nn.Sequential
    decode_linear: nn.Sequential
    decode_deep: nn.Sequential

    HALO = 12  # latent positions: everything that one decoded pixel can see, and one latent

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 32,
        wide: int = 144,
        narrow: int = 64,
        fine: int = 32,
        encoder_blocks: tuple[int, int] = (2, 2),  # at 1/4, 1/8
        decoder_blocks: tuple[int, int, int] = (3, 4, 2),  # at 1/8, 1/4, 1/2
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        basis = block_basis(latent_channels, STRIDE)[:, :, None, None]
        self.encode_linear = nn.Sequential(
            nn.PixelUnshuffle(STRIDE), nn.Conv2d(3 * STRIDE**2, latent_channels, 1)
        )
        self.encode_deep = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, narrow, 3, padding=1),
            *blocks(narrow, encoder_blocks[0]),
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1),
            *blocks(wide, encoder_blocks[1]),
            nn.Conv2d(wide, latent_channels, 3, padding=1),
        )
        self.decode_linear = nn.Sequential(
            nn.Conv2d(latent_channels, 3 * STRIDE**2, 1), nn.PixelShuffle(STRIDE)
        )
        self.decode_deep = nn.Sequential(
            nn.Conv2d(latent_channels, wide, 3, padding=1),
            *blocks(wide, decoder_blocks[0]),
            nn.Conv2d(wide, 4 * narrow, 1),
            nn.PixelShuffle(2),
            *blocks(narrow, decoder_blocks[1]),
            nn.Conv2d(narrow, 4 * fine, 1),
            nn.PixelShuffle(2),
            *blocks(fine, decoder_blocks[2]),
            nn.Conv2d(fine, 12, 3, padding=1),
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

    def encode(self, x: Tensor) -> AutoencoderTinyOutput:
        """The latents of pictures."""
        return AutoencoderTinyOutput(latents=self.encode_linear(x) + self.encode_deep(x))

    def decode(self, z: Tensor) -> DecoderOutput:
        """The pictures of latents; may leave [-1, 1] a little."""
        return DecoderOutput(sample=self.decode_linear(z) + self.decode_deep(z))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures through the bottleneck."""
        return self.decode(self.encode(x).latents).sample

    @torch.no_grad()
    def normalise(self, mean: Tensor, deviation: Tensor) -> None:
        """Fold the latents' (latent,) statistics into the weights, so that they become 0 and 1.

        Pictures stay as they were, but at their rim, where convolutions see zeros.
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
