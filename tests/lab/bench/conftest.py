"""Weights that are the same everywhere, for networks whose real ones cannot be had here."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def made_up() -> Callable[[Mapping[str, Any]], dict[str, torch.Tensor]]:
    """Tensors for names and shapes, from the names alone: the golden numbers were made with them,
    by the authors' libraries."""
    return lambda shapes: {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if "num_batches" in name:
        return torch.tensor(0)
    draw = np.random.RandomState(zlib.crc32(name.encode()))  # its stream never changes
    if name.endswith(("running_var", "bn.weight")) or name.startswith(("lin", "alpha", "beta")):
        values = draw.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = draw.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
    else:
        values = draw.normal(0, 0.1, shape)
    return torch.from_numpy(values.astype(np.float32))
