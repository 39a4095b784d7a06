"""The matrices of a language model, in the format in which a network multiplies by them.

The matrices stay mapped from their file, mostly in float16: a copy in float64 would take a gigabyte
and three seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 1 << 17  # numbers that are converted at once; they and their products fit a cache


class Matrices(Protocol):
    """Named matrices and vectors, all used in one floating-point format."""

    def rows(self, name: str, numbers: Tensor) -> Tensor:
        """Rows of a matrix."""
        ...

    def vector(self, name: str) -> Tensor:
        """A vector."""
        ...

    def apply(self, x: Tensor, *names: str) -> Tensor:
        """``x`` (n, columns) times the transposes of matrices (rows, columns), side by side."""
        ...


class Widened:
    """Every product in ``dtype``, to which matrices are widened block by block when they are used.

    ``tensors`` are named as in a file of weights, with ``.weight`` at the end.
    """

    def __init__(self, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self._tensors, self._dtype = tensors, dtype
        self._vectors = {name: t.to(dtype) for name, t in tensors.items() if t.ndim == 1}

    def rows(self, name: str, numbers: Tensor) -> Tensor:
        """Rows of a matrix."""
        return self._tensors[f"{name}.weight"][numbers].to(self._dtype)

    def vector(self, name: str) -> Tensor:
        """A vector."""
        return self._vectors[f"{name}.weight"]

    def apply(self, x: Tensor, *names: str) -> Tensor:
        """``x`` (n, columns) times the transposes of matrices (rows, columns), side by side."""
        out = []
        # One buffer for all blocks: allocating memory takes longer than the conversion.
        height = max(1, _BLOCK // x.shape[1])
        half = torch.empty(height, x.shape[1])
        wide = torch.empty(height, x.shape[1], dtype=self._dtype)
        for name in names:
            matrix = self._tensors[f"{name}.weight"]
            for start in range(0, len(matrix), height):
                block = matrix[start : start + height]
                into = wide[: len(block)]
                # by way of float32, for which processors have an instruction
                out.append(F.linear(x, into.copy_(half[: len(block)].copy_(block))))
        return torch.cat(out, -1)


class Halves(Widened):
    """Products in float32 of matrices that are read as float16, which takes half the time or less.

    The time for a token is that of reading the matrices from memory. Where the processor or this
    build of torch has no such product, or matrices are not float16, the products are float32's.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors, torch.float32)
        self._packed: dict[tuple[str, ...], Any] = {}

    def apply(self, x: Tensor, *names: str) -> Tensor:
        """``x`` (n, columns) times the transposes of matrices (rows, columns), side by side."""
        if names not in self._packed:
            self._packed[names] = _packed([self._tensors[f"{name}.weight"] for name in names])
        matrix = self._packed[names]
        if isinstance(matrix, Tensor):
            return torch.mv(matrix, x[0])[None] if len(x) == 1 else F.linear(x, matrix)
        return torch.ops.quantized.linear_dynamic_fp16(x, matrix)  # type: ignore[no-any-return]


def _packed(matrices: list[Tensor]) -> Any:
    """Matrices on top of each other as FBGEMM keeps float16, else as a float32 tensor."""
    whole = torch.cat(matrices)
    if whole.dtype == torch.float16:
        try:
            return torch.ops.quantized.linear_prepack_fp16(whole.float(), None)
        except (RuntimeError, AttributeError):  # no FBGEMM in this build, or an old processor
            pass
    return whole.float()
