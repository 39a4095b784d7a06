"""The embedded restorer: its networks, loading them, and their initial weights for training.

The networks have the layers of Stable Diffusion with a ControlNet and are three hundred times
smaller. The UNet predicts the clean latent itself (``prediction_type`` "sample"), which works with
few steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sedic.errors import DamagedFileError
from sedic.models import pack
from sedic.models.clip_tokenizer import LENGTH, Merges, Tokenizer, leading_tokens
from sedic.models.convolution import memory_format
from sedic.models.interface import fingerprint_of
from sedic.models.near_words import readable
from sedic.models.patch_autoencoder import PatchAutoencoder
from sedic.models.small_text import TextConfig, TextEncoder
from sedic.models.small_unet import ControlNet, UNet, UNetConfig

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "sample",
    "timestep_spacing": "trailing",  # with four steps 999, 749, 499, 249: none is wasted near 0
}


@dataclass
class MiniNetworks:
    """Implements ``interface.Networks``, whose docstrings say what each method does."""

    vae: PatchAutoencoder
    text_encoder: TextEncoder
    tokenizer: Tokenizer
    unet: UNet
    controlnet: ControlNet
    schedule: dict[str, Any] = field(default_factory=lambda: dict(SCHEDULE))
    condition: str = "latent"

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all weights and the schedule, in hexadecimal."""
        networks = self.vae, self.text_encoder, self.unet, self.controlnet
        return fingerprint_of(networks, self.schedule)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return self.unet.conv_in.weight.dtype

    @property
    def channels(self) -> int:
        """The channels of a latent."""
        return self.vae.config.latent_channels

    @property
    def multiple(self) -> int:
        """Latents' sides must be multiples of this: each level of the UNet but the last halves."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    def to(
        self, device: torch.device | str, dtype: torch.dtype, vae_dtype: torch.dtype | None = None
    ) -> MiniNetworks:
        """Move the networks, convolutions in the fastest order of values; returns ``self``."""
        device = torch.device(device)
        order = memory_format(device, dtype)
        for network in (self.unet, self.controlnet):
            network.to(device, dtype, memory_format=order)  # type: ignore[call-overload]
        order = memory_format(device, vae_dtype or dtype)
        self.vae.to(device, vae_dtype or dtype, memory_format=order)  # type: ignore[call-overload]
        self.text_encoder.to(device, dtype)
        return self

    def encode(self, picture: Tensor) -> Tensor:
        """The latent (1, c, h/8, w/8) of a picture (1, 3, h, w) in [-1, 1]."""
        return self.vae.encode(picture.to(self.device, self.dtype)).float()

    def decode(self, latent: Tensor) -> Tensor:
        """The picture (1, 3, h, w) of a latent, about [-1, 1]."""
        return self.vae.decode(latent.to(self.dtype)).float()

    @property
    def _length(self) -> int:
        return min(LENGTH, self.text_encoder.config.max_position_embeddings)

    def embed(self, text: str) -> Tensor:
        """The text encoder's last hidden state, (1, tokens, d).

        Words outside its vocabulary are read as near ones (``near_words``).
        """
        padded = self.tokenizer.padded(self._readable(text), self._length)
        ids = torch.tensor([padded], device=self.device)
        return self.text_encoder(ids).float()  # type: ignore[no-any-return]

    def word_tokens(self, text: str, words: int) -> list[int]:
        """Where ``embed(text)`` has the tokens of the first ``words`` words; at least one."""
        return leading_tokens(
            lambda part: self.tokenizer.ids(self._readable(part)), text, words, self._length
        )

    def _readable(self, text: str) -> str:
        return readable(text, self.tokenizer.knows)

    def predict(
        self, z: Tensor, t: int, context: Tensor, condition: Tensor, strength: float = 1.0
    ) -> Tensor:
        """The clean latent that the UNet predicts from ``z``, once for each context."""
        device, dtype = self.device, self.dtype
        z, condition = (
            x.to(device, dtype).expand(len(context), -1, -1, -1) for x in (z, condition)
        )
        context = context.to(device, dtype)
        control = self.controlnet(torch.cat((z, condition), 1), t, context, strength)
        return self.unet(z, t, context, control).float()  # type: ignore[no-any-return]


def load_mini(vae: Path, restorer: Path, dtype: torch.dtype = torch.float32) -> MiniNetworks:
    """The embedded networks from their two files, on the CPU.

    ``DamagedFileError`` where they are something else.
    """
    stored = pack.load_networks(restorer, ("unet", "controlnet", "text_encoder"), dtype)
    merges = stored.pop("merges", None)
    try:
        return MiniNetworks(
            vae=pack.load_networks(vae, ("vae",), dtype)["vae"],
            tokenizer=_tokenizer(merges),
            **stored,
        )
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{restorer} does not hold a restorer") from error


def load_tokenizer(restorer: Path) -> Tokenizer:
    """The tokenizer of the embedded text encoder alone."""
    try:
        return _tokenizer(pack.values(restorer).get("merges"))
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{restorer} does not hold a restorer") from error


def _tokenizer(merges: Any) -> Tokenizer:
    return Tokenizer([(str(a), str(b)) for a, b in merges])


def fresh_restorer(latent: int, merges: Merges) -> dict[str, nn.Module]:
    """UNet, ControlNet and text encoder with random weights, for latents of so many channels.

    The restorer begins as the identity: its clean latent is the condition.
    """
    unet = UNet(UNetConfig(in_channels=latent, out_channels=latent))
    controlnet = ControlNet(UNetConfig(in_channels=2 * latent))
    text_encoder = TextEncoder(TextConfig(vocab_size=len(Tokenizer(merges))))
    _begin_as_identity(unet, controlnet, latent)
    return {"unet": unet, "controlnet": controlnet, "text_encoder": text_encoder}


@torch.no_grad()
def _begin_as_identity(unet: Any, controlnet: Any, latent: int) -> None:
    """Set weights such that the networks' output is their condition.

    The condition passes the ControlNet's first convolution and its zero convolution into the UNet's
    outermost skip. From there x and -x go to the last layer, where silu(x) - silu(-x) = x. The
    other channels get large values, so that the last normalisation divides all pictures by about
    the same number.
    """
    middle, gain = 1, 1.7  # gain: about what the last normalisation divides by
    channels = unet.conv_in.weight.shape[0]
    groups = unet.config.norm_num_groups
    # Spread evenly over the groups of the last normalisation.
    spread = [(k % groups) * (channels // groups) + k // groups for k in range(2 * latent)]
    last = unet.up_blocks[-1].resnets[-1]
    skip = last.conv_shortcut.weight.shape[1] - channels
    last.conv2.weight[spread] = 0
    last.conv2.bias[spread] = 0
    last.conv_shortcut.weight.mul_(6)
    last.conv_shortcut.weight[spread] = 0
    last.conv_shortcut.bias[spread] = 0
    unet.conv_out.weight.mul_(0.02)
    unet.conv_out.bias.zero_()
    for i in range(latent):
        for network in (controlnet, unet):
            network.conv_in.weight[i] = 0
            network.conv_in.bias[i] = 0
        controlnet.conv_in.weight[i, latent + i, middle, middle] = 1
        controlnet.controlnet_down_blocks[0].weight[i, i, 0, 0] = 1
        for sign, channel in ((1, spread[i]), (-1, spread[latent + i])):
            last.conv_shortcut.weight[channel, skip + i, 0, 0] = sign
            unet.conv_out.weight[i, channel, middle, middle] = sign * gain
