"""LPIPS as a loss: frozen, in half precision, on the pictures of training."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor

from sedic.evaluation.lpips import LPIPS, weights_path

_WORTH_COMPILING = 1_000  # steps: it takes a minute


class Perception:
    """The distance of pictures (b, 3, h, w) in [-0.5, 0.5], as (b,) float32; differentiable."""

    def __init__(self, shared: Path, steps: int = 0) -> None:
        """``steps``: how many times it will be asked; compiling pays after some hundreds."""
        self._lpips = LPIPS(weights_path(shared)).to(torch.bfloat16)
        self._lpips.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if steps >= _WORTH_COMPILING and shutil.which("g++"):  # half the time
            self._lpips.maps = torch.compile(self._lpips.maps)  # type: ignore[method-assign]

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        half = torch.bfloat16
        return self._lpips((a + 0.5).to(half), (b + 0.5).to(half)).float()  # type: ignore[no-any-return]
