"""Means and tables of a latent's symbols, from the fixed-point twins of the entropy networks: the
same integers on every machine.

Several levels may be computed at once: the first dimension of all tensors is theirs. Fixed-point
values are kept as float32 between networks (exact below 2**24) and as float64 inside them; or, for
estimates, as float32 there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.models.tiled_run import in_tiles
from sedic.reference.compact_network import (
    ANCHORS,
    HYPER,
    INDEX_ORIGIN,
    INDEX_UNIT,
    SCALES,
    STEPS,
    CompactNetwork,
    anchors,
)
from sedic.reference.fixed_point import (
    FRACTION,
    ONE,
    fixed,
    fixed_linear_map,
    shift_right,
    to_fixed,
)

LATENT_TILE = 128  # latent positions
_POSITIONS = 4096  # whose symbols' distributions are computed at once
_EXACT_LIMIT = float((1 << 24) - 1)  # float32 holds integers up to here

Size = tuple[int, int]  # height and width of a latent


class Latent(NamedTuple):
    """A decoded latent and what its symbols were coded with, (1, channels, height, width) each."""

    values: Tensor  # in steps, float32
    tables: Tensor  # indices, uint8


class Predicted(NamedTuple):
    """What is known of the symbols of one pass, (levels, channels, n) at its n positions."""

    means: Tensor  # fixed point, float32
    tables: Tensor  # indices, uint8
    places: Tensor  # (n,) of the grid's positions, counted row by row


class Passes:
    """The entropy networks of a codec: of its hyper-latents and of both checkerboard passes."""

    def __init__(self, network: CompactNetwork, dtype: torch.dtype = torch.float64) -> None:
        entropy = network.entropy
        self._dtype = dtype
        self._hyper_synthesis = fixed(entropy.hyper_synthesis, dtype)
        self._heads = [fixed(head, dtype) for head in entropy.head]
        self._context = _Context(cast(nn.Conv2d, entropy.context[0]), dtype)
        self._hyper_index = to_fixed(entropy.hyper_index)
        self._level_bias = to_fixed(entropy.level_bias)
        self._channels = network.config.latent

    def hyper_tables(self, level: int, size: Size) -> Tensor:
        """Indices of the tables of a hyper-latent, (1, channels, rows, columns) uint8."""
        rows, columns = (-(-side // HYPER) for side in size)
        index = _index(_at_level(self._hyper_index, level))
        return index.expand(-1, -1, rows, columns).contiguous()

    def features(self, z: Tensor, levels: Sequence[int], size: Size) -> Tensor:
        """What hyper-latents (levels, channels, rows, columns) say, (levels, e, positions)."""
        biases = [_at_level(self._level_bias, level) for level in levels]
        bias = torch.cat(biases).to(self._dtype)

        def hyper(part: Tensor) -> Tensor:
            return _held(self._hyper_synthesis(part.to(self._dtype) * ONE) + bias)

        features = in_tiles(hyper, z, LATENT_TILE // HYPER, 2)
        return features[..., : size[0], : size[1]].flatten(2)

    def predicted(self, number: int, features: Tensor, y_hat: Tensor, size: Size) -> Predicted:
        """The symbols of pass 0 or 1, given the latent's values of the passes before in fixed
        point, (levels, channels, positions).

        Every pass computes its own positions only. The context of the second is a convolution of
        which those of the first are half the taps; the others are zeros and left out.
        """
        places = torch.where(anchors(*size).flatten() != bool(number))[0]
        around = self._context.around(y_hat.view(*y_hat.shape[:2], *size)) if number else None
        means, tables = [], []
        for some in torch.split(places, _POSITIONS // len(features)):
            known = at(features, some)[..., None].to(self._dtype)
            if around is not None:
                context = self._context(around, some // size[1], some % size[1])
                known = torch.cat([known, context], 1)
            mean, index = self._heads[number](known).chunk(2, 1)
            means.append(_held(mean[..., 0]))
            tables.append(_index(index[..., 0]))
        return Predicted(torch.cat(means, 2), torch.cat(tables, 2), places)

    def run(
        self, z: Tensor, level: int, size: Size, symbols_of: Callable[[Predicted], Tensor]
    ) -> Latent:
        """The latent of one level, from its symbols, (1, channels, n) in each pass."""
        features = self.features(z, [level], size)
        y_hat = torch.zeros(1, self._channels, features.shape[2])
        tables = torch.zeros(y_hat.shape, dtype=torch.uint8)
        for number in range(min(2, features.shape[2])):  # one position has no second ones
            predicted = self.predicted(number, features, y_hat, size)
            set_at(y_hat, predicted, symbols_of(predicted))
            tables.scatter_(2, predicted.places.expand_as(predicted.tables), predicted.tables)
        shape = 1, self._channels, *size
        return Latent((y_hat / ONE).view(shape), tables.view(shape))


def at(values: Tensor, places: Tensor) -> Tensor:
    """(levels, channels, n): of ``values`` (levels, channels, positions) those at n positions."""
    return values.gather(2, places.expand(*values.shape[:2], -1))


def set_at(y_hat: Tensor, predicted: Predicted, symbols: Tensor) -> None:
    """Set a latent's values (levels, channels, positions), in fixed point, where symbols are."""
    # Exact in float32, too: below 2**24 every sum is, and what is above is clamped.
    values = _held(symbols * ONE + predicted.means)
    y_hat.scatter_(2, predicted.places.expand_as(values), values)


class _Context:
    """The fixed-point context network, a convolution of an odd side, at second positions alone."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self._dtype = dtype
        side = layer.kernel_size[0]
        self._margin = side // 2
        taps = anchors(side, side) != (self._margin % 2 == 0)  # the middle is a second position
        self._rows, self._columns = torch.where(taps)

        def apply(x: Tensor, weight: Tensor) -> Tensor:
            return F.linear(x, weight[:, :, taps].transpose(1, 2).flatten(1))

        self._map = fixed_linear_map(layer.weight, layer.bias, apply, dtype)

    def around(self, y: Tensor) -> Tensor:
        """Latents (levels, c, h, w) with zeros around them, as ``__call__`` wants them."""
        return F.pad(y, [self._margin] * 4).permute(0, 2, 3, 1).to(self._dtype)

    def __call__(self, around: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The network's output (levels, channels, n, 1) at n positions of the grid."""
        levels, height, width, _ = around.shape
        places = (rows[:, None] + self._rows) * width + columns[:, None] + self._columns
        places = (places.flatten() + height * width * torch.arange(levels)[:, None]).flatten()
        x = around.flatten(0, 2).index_select(0, places).view(levels * len(rows), -1)
        return self._map(x).view(levels, len(rows), -1).transpose(1, 2)[..., None]


def _at_level(table: Tensor, level: int) -> Tensor:
    """A row of a fixed-point (ANCHORS, channels) table at a level: (1, channels, 1, 1).

    Exact: the division of integers is rounded once, as IEEE 754 says.
    """
    low = min(level // STEPS, ANCHORS - 2)
    part = level - low * STEPS
    mixed = (table[low] * (STEPS - part) + table[low + 1] * part) / STEPS
    return torch.floor(mixed + 0.5).view(1, -1, 1, 1)


def _index(head: Tensor) -> Tensor:
    """Table indices (uint8) from a fixed-point network's output."""
    raw = shift_right(head * INDEX_UNIT + float(INDEX_ORIGIN * ONE), FRACTION)
    return raw.clamp(0, SCALES - 1).to(torch.uint8)


def _held(values: Tensor) -> Tensor:
    return values.clamp(-_EXACT_LIMIT, _EXACT_LIMIT).float()
