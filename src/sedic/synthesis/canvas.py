"""A picture on the latent grid: padded, in tiles, to latents and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sedic.models.interface import Networks
from sedic.picture import Picture, pad_to_multiple
from sedic.semantics import GRID, Mask
from sedic.synthesis.windows import Tiling


@dataclass(frozen=True)
class Canvas:
    """Where a picture of ``width`` x ``height`` pixels is made.

    It is padded by reflection at its right and bottom to sides that the UNet can halve, and cropped
    back. Pictures of more than ``tile``**2 pixels are encoded, denoised and decoded in tiles of
    about that side.
    """

    networks: Networks
    width: int
    height: int
    tile: int

    @cached_property
    def tiling(self) -> Tiling:
        """The windows of the latent."""
        multiple = self.networks.multiple
        rows, columns = (
            -(-pixels // (GRID * multiple)) * multiple for pixels in (self.height, self.width)
        )
        side = max(4, self.tile // (GRID * multiple)) * multiple
        return Tiling(rows, columns, side, multiple)

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(1, channels, rows, columns) of the latent."""
        tiling = self.tiling
        return 1, self.networks.channels, tiling.height, tiling.width

    def encode(self, picture: Picture) -> Tensor:
        """The latent of a (height, width, 3) uint8 picture, float32."""
        pixels = self._padded(picture)
        return self.tiling.run(
            lambda window: self.networks.encode(window.of(pixels, GRID).float() / 127.5 - 1)
        )

    def decode(self, z: Tensor) -> Picture:
        """The (height, width, 3) uint8 picture of a latent."""
        values = self.tiling.run(lambda window: self.networks.decode(window.of(z)), GRID)
        values = values[0, :, : self.height, : self.width].nan_to_num(0.0)
        pixels = values.add_(1).mul_(127.5).round_().clamp_(0, 255).to("cpu", torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().numpy()

    def condition(self, picture: Picture) -> Tensor:
        """What ``Networks.predict`` takes as the condition: the latent, or values in [0, 1]."""
        if self.networks.condition == "latent":
            return self.encode(picture)
        return self._padded(picture).to(self.networks.device).float() / 255

    def mask(self, mask: Mask) -> Tensor:
        """A mask of the picture's grid as booleans of the latent's height and width."""
        cells = mask.array
        missing = self.tiling.height - mask.height, self.tiling.width - mask.width
        padded = np.pad(cells, ((0, missing[0]), (0, missing[1])), mode="symmetric")
        return torch.from_numpy(padded).to(self.networks.device)

    def _padded(self, picture: Picture) -> Tensor:
        padded = pad_to_multiple(picture, GRID * self.networks.multiple)
        owned = np.require(padded, requirements=["C", "W"])  # torch warns of read-only arrays
        return torch.from_numpy(owned).permute(2, 0, 1)[None]
