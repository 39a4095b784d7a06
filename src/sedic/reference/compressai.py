"""A reference codec with the methods that CompressAI's models have, for evaluation scripts.

``compress(x)`` gives ``{"strings": [[bytes, ...]], "shape": (height, width)}`` and
``decompress(strings, shape)`` gives ``{"x_hat": x}``, with x of shape (batch, 3, height, width),
values 0 to 1. CompressAI itself is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sedic.errors import UnsuitableInputError
from sedic.models.precision import own_torch_state
from sedic.reference import ReferenceCodec


class Adapter(torch.nn.Module):
    """``codec`` at ``level`` (0 is its smallest rate), as a module.

    Its one parameter is a dummy, from which evaluation scripts take the device; pictures are
    returned on that device. A string has the bytes of a ``.sedic`` file's reference image.
    """

    def __init__(self, codec: ReferenceCodec, level: int = 0) -> None:
        super().__init__()
        if not 0 <= level < codec.levels:
            raise UnsuitableInputError(f"level {level}: {codec.name} has 0 to {codec.levels - 1}")
        self.codec, self.level = codec, level
        self.place = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

    def update(self, scale_table: Any = None, force: bool = False) -> bool:
        """Nothing to do: the tables of a reference codec are integers that come with it."""
        return False

    def compress(self, x: torch.Tensor) -> dict[str, Any]:
        """One string for each picture of the batch; samples are rounded to 8 bits."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise UnsuitableInputError("pictures are a tensor (batch, 3, height, width), 0 to 1")
        pixels = (x.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
        strings = []
        with own_torch_state():
            for picture in pixels.permute(0, 2, 3, 1).contiguous().numpy():
                strings.append(self.codec.prepare(picture)(self.level))
        return {"strings": [strings], "shape": tuple(x.shape[2:])}

    def decompress(
        self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """The pictures of ``compress``; raises ``SedicError`` for damaged strings."""
        if len(strings) != 1 or len(shape) != 2:
            raise UnsuitableInputError("give the strings and the shape that compress returned")
        height, width = (int(side) for side in shape)
        with own_torch_state():
            pictures = [self.codec.decode(string, width, height) for string in strings[0]]
        stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        return {"x_hat": stacked.to(self.place.device).float() / 255}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """``x_hat`` only: a reference codec has no likelihoods."""
        coded = self.compress(x)
        return self.decompress(coded["strings"], coded["shape"])
