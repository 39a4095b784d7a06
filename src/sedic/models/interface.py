"""The interface between synthesis and the networks of a profile.

``mini.MiniNetworks`` has modules of our own, ``diffusion.DiffusionNetworks`` the classes of
diffusers and transformers. ``synthesis/`` is the same for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Networks(Protocol):
    """An autoencoder, a text encoder, and a UNet with its ControlNet, ready to infer.

    All tensors out of here are float32; latents are at 1/8 of the picture.
    """

    @property
    def schedule(self) -> dict[str, Any]:
        """The configuration of a diffusers scheduler."""
        ...

    @property
    def condition(self) -> str:
        """The kind of the ControlNet's condition: "latent" (IRControlNet) or "picture" (tile)."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of all weights and the schedule, in hexadecimal (``fingerprint_of``)."""
        ...

    @property
    def unet(self) -> nn.Module:
        """The UNet, whose cross-attentions eq. 2 reads.

        They are the submodules named ``attn2`` of ``down_blocks``, ``mid_block`` and
        ``up_blocks``, with ``heads`` and the linear layers ``to_q`` and ``to_k``.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        ...

    @property
    def channels(self) -> int:
        """The channels of a latent."""
        ...

    @property
    def multiple(self) -> int:
        """Latents' sides must be multiples of this: each level of the UNet but the last halves."""
        ...

    def to(
        self, device: torch.device | str, dtype: torch.dtype, vae_dtype: torch.dtype | None = None
    ) -> Networks:
        """Move the networks and let them compute in ``dtype``; returns ``self``.

        ``vae_dtype``: what the autoencoder computes in, if not ``dtype``.
        """
        ...

    def encode(self, picture: Tensor) -> Tensor:
        """The scaled latent (1, c, h/8, w/8) of a picture (1, 3, h, w) in [-1, 1]."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """The picture (1, 3, h, w) of a scaled latent, about [-1, 1]."""
        ...

    def embed(self, text: str) -> Tensor:
        """The text encoder's last hidden state, (1, tokens, d).

        Padded to the encoder's length; of a text that is longer, as many whole words as fit.
        """
        ...

    def word_tokens(self, text: str, words: int) -> list[int]:
        """The positions in ``embed(text)`` of the first ``words`` words' tokens; at least one."""
        ...

    def predict(
        self, z: Tensor, t: int, context: Tensor, condition: Tensor, strength: float = 1.0
    ) -> Tensor:
        """The UNet's prediction for ``z`` (1, c, h, w) at timestep ``t``, one for each context.

        ``context`` (n, tokens, d); ``condition`` is a latent like ``z`` or a picture
        (1, 3, 8h, 8w) in [0, 1], as ``self.condition`` says; ``strength`` scales the ControlNet's
        residuals. Returns (n, c, h, w), in the sense of ``schedule["prediction_type"]``.
        """
        ...


def fingerprint_of(networks: Iterable[nn.Module], schedule: Mapping[str, Any]) -> str:
    """sha256 of the weights of ``networks`` and of their noise schedule, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(dict(schedule), sort_keys=True, default=str).encode())
    for network in networks:
        for name, value in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
