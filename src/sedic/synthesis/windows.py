"""Large latents through the networks as overlapping windows: bounded memory, no seams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

OVERLAP = 8  # cells, 64 pixels: each window's work is done once but for a tenth of it
Span = tuple[int, int]  # first cell and one past the last, along one axis


@dataclass(frozen=True)
class Window:
    """A rectangle of the latent grid, in cells."""

    rows: Span
    columns: Span

    def of(self, x: Tensor, zoom: int = 1) -> Tensor:
        """The window's part of (..., h, w) with ``zoom`` positions a cell each way; a view."""
        (top, bottom), (left, right) = self.rows, self.columns
        return x[..., top * zoom : bottom * zoom, left * zoom : right * zoom]

    def put(self, part: Tensor, whole: Tensor) -> Tensor:
        """A copy of ``whole`` (..., h, w) with ``part`` as the window's part."""
        changed = whole.clone()
        self.of(changed).copy_(part)
        return changed


@dataclass(frozen=True)
class Tiling:
    """A latent of ``height`` x ``width`` cells as windows of ``side`` cells each way at most.

    Everything is a multiple of ``multiple``, ``side`` at least twice that. Windows of an axis have
    one size and overlap by ``OVERLAP`` cells, or a quarter of a small ``side``. Their results are
    blended by weights that are zero at inner edges, where a network misses what lies beyond, and
    rise to one within the overlap. A latent of no more than ``side``**2 cells is one window,
    whatever its shape.
    """

    height: int
    width: int
    side: int
    multiple: int

    @property
    def whole(self) -> Window:
        """All of the latent."""
        return Window((0, self.height), (0, self.width))

    def around(self, mask: Tensor, margin: int) -> Window:
        """The smallest window that holds ``margin`` cells each way round the mask, where there are.

        ``mask``: (h, w) booleans, not all false.
        """
        spans = []
        for axis, size in ((1, self.height), (0, self.width)):
            cells = mask.any(axis).nonzero()
            first, last = int(cells[0]) - margin, int(cells[-1]) + margin
            start, end = first // self.multiple, last // self.multiple + 1
            spans.append((max(0, start * self.multiple), min(size, end * self.multiple)))
        return Window(*spans)

    def within(self, window: Window) -> Tiling:
        """The tiling of a part of the latent, whose cells are counted from the part's corner."""
        (top, bottom), (left, right) = window.rows, window.columns
        return replace(self, height=bottom - top, width=right - left)

    @property
    def windows(self) -> list[Window]:
        """All windows, row by row."""
        columns = self._spans(self.width)
        return [Window(row, column) for row in self._spans(self.height) for column in columns]

    def run(self, function: Callable[[Window], Tensor], zoom: int = 1) -> Tensor:
        """``function`` on every window, blended to one.

        It returns (n, c, zoom * rows, zoom * columns); so does this, for the whole latent.
        """
        windows = self.windows
        if len(windows) == 1:
            return function(windows[0])
        rows, columns = (self._weights(size, zoom) for size in (self.height, self.width))
        whole: Tensor | None = None
        for window in windows:
            part = function(window)
            if whole is None:
                whole = part.new_zeros(*part.shape[:2], self.height * zoom, self.width * zoom)
            weight = rows[window.rows][:, None] * columns[window.columns]
            window.of(whole, zoom).add_(part * weight.to(part))
        assert whole is not None
        return whole

    @property
    def _overlap(self) -> int:
        return max(1, min(OVERLAP, self.side // 4) // self.multiple) * self.multiple

    def _spans(self, size: int) -> list[Span]:
        if self.height * self.width <= self.side**2 or size <= self.side:
            return [(0, size)]
        overlap = self._overlap
        count = -(-(size - overlap) // (self.side - overlap))
        side = -(-(size + (count - 1) * overlap) // (count * self.multiple)) * self.multiple
        starts = [*range(0, size - side, side - overlap), size - side]
        return [(start, start + side) for start in starts]

    def _weights(self, size: int, zoom: int) -> dict[Span, Tensor]:
        """For every span of an axis, its positions' share in the blended result."""
        margin, ramp = self._overlap * zoom / 4, self._overlap * zoom / 2
        whole = torch.zeros(size * zoom)
        weights = {}
        for first, end in self._spans(size):
            position = torch.arange((end - first) * zoom) + 0.5
            weight = torch.ones_like(position)
            if first > 0:
                weight = weight * ((position - margin) / ramp).clamp(0, 1)
            if end < size:
                weight = weight * ((position.flip(0) - margin) / ramp).clamp(0, 1)
            whole[first * zoom : end * zoom] += weight
            weights[first, end] = weight
        return {(a, b): w / whole[a * zoom : b * zoom] for (a, b), w in weights.items()}
