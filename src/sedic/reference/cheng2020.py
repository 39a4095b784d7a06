"""The papers' reference codec: cheng2020-attn networks, one per rate, in our own bit stream.

The latents are y_hat = round(y - mean) + mean (SEDIC eq. 1), their symbols range-coded exactly
(``wavefront``). A payload is one byte, the level, and then the range-coded stream; the container
has the picture's size. Checkpoints come from CompressAI or from our training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sedic.errors import MissingWeightsError, SedicError
from sedic.files import printable
from sedic.models.convert import read_checkpoint
from sedic.models.precision import picture_dtype
from sedic.models.tiled_run import in_tiles
from sedic.picture import pad_to_multiple
from sedic.reference.cheng2020_network import Cheng2020Attention
from sedic.reference.fixed_point import ONE
from sedic.reference.wavefront import Wavefront
from sedic.semantics import (
    check_size,
)
from sedic.settings import REALISM

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import Realism

_BLOCK = 64  # picture pixels per cell of z, each way
_CELL = 16  # per cell of y
_TILE = 64  # cells of y a side: larger pictures go through g_a and g_s in tiles
_MARGIN = 11  # cells of y: the reach of g_s, and more than that of g_a


class _Level:
    """One network, ready to code: its transforms in ``dtype``, its entropy path exact."""

    def __init__(self, network: Cheng2020Attention, dtype: torch.dtype) -> None:
        self._network = network
        self._dtype = dtype

    @cached_property
    def _transforms(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        pair = deepcopy((self._network.g_a, self._network.g_s))
        return pair[0].to(self._dtype), pair[1].to(self._dtype)  # in place, channels stay

    @cached_property
    def _entropy(self) -> Wavefront:
        return Wavefront(self._network)

    def fingerprint(self) -> bytes:
        """SHA-256 of all weights and tables that decoding depends on."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.digest()

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> bytes:
        """``pixels`` (1, 3, height, width) uint8, sides multiples of 64."""
        analysis = self._transforms[0]

        def run(crop: Tensor) -> Tensor:
            scaled = (crop.float() / 255).to(self._dtype)
            latents: Tensor = analysis(scaled.to(memory_format=torch.channels_last))
            return latents.float()

        y = in_tiles(run, pixels, _TILE * _CELL, _MARGIN * _CELL)
        return self._entropy.encode(y, self._network.h_a(y))

    @torch.inference_mode()
    def decode(self, stream: bytes, rows: int, columns: int) -> Tensor:
        """(1, 3, 64 * ``rows``, 64 * ``columns``) uint8."""
        synthesis = self._transforms[1]

        def run(crop: Tensor) -> Tensor:
            latents = (crop / ONE).to(self._dtype)
            pixels: Tensor = synthesis(latents.to(memory_format=torch.channels_last))
            return (pixels.float() * 255).round_().clamp_(0, 255).to(torch.uint8)

        return in_tiles(run, self._entropy.decode(stream, rows, columns), _TILE, _MARGIN)


class Cheng2020:
    """A ``ReferenceCodec`` of one checkpoint per level, the smallest rate first.

    ``checkpoints``: ``.safetensors`` or CompressAI ``.pth``/``.pth.tar`` files, of which nothing
    but tensors is ever unpickled, or networks. ``dtype`` (float32 or bfloat16; by default what
    this machine computes best) is that of the transforms between picture and latents; the
    entropy path is exact whatever it is. Raises ``SedicError`` where a file cannot be read or is
    not a cheng2020-attn checkpoint.
    """

    name = "cheng2020"
    scale_floors: tuple[int, ...] = ()

    def __init__(
        self, checkpoints: Sequence[Path | Cheng2020Attention], dtype: torch.dtype | None = None
    ) -> None:
        if not 1 <= len(checkpoints) <= 256:
            raise SedicError("cheng2020 takes one to 256 checkpoints, one per rate")
        networks = [
            c if isinstance(c, Cheng2020Attention) else load_cheng2020(c) for c in checkpoints
        ]
        self._levels = [_Level(network, dtype or picture_dtype()) for network in networks]
        self.levels = len(networks)

    @cached_property
    def fingerprint(self) -> bytes:
        """32 bytes: sha256 over the levels' weights and tables, in order."""
        return hashlib.sha256(b"".join(level.fingerprint() for level in self._levels)).digest()

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        """The encoder of ``picture`` (height, width, 3) uint8: a function of the level."""
        height, width = picture.shape[:2]
        check_size(width, height)
        pixels = torch.from_numpy(pad_to_multiple(picture, _BLOCK)).permute(2, 0, 1)[None]
        return lambda level: bytes([level]) + self._levels[level].encode(pixels)

    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The decoded (height, width, 3) uint8 picture.

        Raises ``SedicError`` where the size is not allowed, the level is not one of ours or the
        stream is none that the range coder could have written; other damage gives a picture.
        """
        check_size(width, height)
        if not data or data[0] >= self.levels:
            raise SedicError("reference image: these bytes name no rate of the cheng2020 weights")
        rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
        pixels = self._levels[data[0]].decode(data[1:], rows, columns)
        return np.ascontiguousarray(pixels[0, :, :height, :width].permute(1, 2, 0).numpy())


def from_weights(weights: Path | None, dtype: torch.dtype | None = None) -> Cheng2020:
    """The codec with the checkpoint of one rate; ``MissingWeightsError`` without one."""
    if weights is None:
        raise MissingWeightsError(
            "cheng2020 has no weights of its own: name a CompressAI checkpoint with"
            " --reference-weights"
        )
    return Cheng2020([weights], dtype)


def load_cheng2020(path: Path) -> Cheng2020Attention:
    """The network of one checkpoint file; see ``Cheng2020``."""
    state = read_checkpoint(path)
    try:
        return Cheng2020Attention.of_state(state)
    except SedicError as error:
        raise SedicError(f"{printable(path)}: {error}") from error
