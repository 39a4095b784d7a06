"""The latent of ``compact`` to bytes and back, and how many bytes that will take, about.

Means and tables of symbols come from the fixed-point twins of the entropy networks, so they are
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.coding.gaussian import SYMBOL_LIMIT, GaussianTables
from sedic.coding.range_coder import RangeEncoder, Symbolwise
from sedic.models.tiled_run import in_tiles
from sedic.reference.compact_network import (
    ANCHORS,
    CERTAIN,
    HYPER,
    INDEX_ORIGIN,
    INDEX_UNIT,
    LEVELS,
    SCALES,
    STEPS,
    CompactNetwork,
    anchors,
    interpolate,
    table_index,
)
from sedic.reference.fixed_point import (
    FRACTION,
    ONE,
    fixed,
    fixed_linear_map,
    shift_right,
    to_fixed,
)

_LATENT_TILE = 128  # latent positions
_POSITIONS = 4096  # whose symbols' distributions are computed at once
_EXACT_LIMIT = float((1 << 24) - 1)  # float32 holds integers up to here
_BLOCK, _BLOCKS = 8, 4  # latent positions a side, and how many blocks, of an estimate
_EVERY = 8  # levels, of an estimate


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


class Latent(NamedTuple):
    """A decoded latent and what its symbols were coded with, (1, channels, height, width) each."""

    values: Tensor  # in steps, float32
    tables: Tensor  # indices, uint8


class LatentCoder:
    """Latents to bytes and back, through the fixed-point twins of the entropy networks.

    Fixed-point values are kept as float32 between networks (exact below 2**24) and as float64
    inside them.
    """

    def __init__(self, network: CompactNetwork, tables: GaussianTables) -> None:
        entropy = network.entropy
        self._hyper_analysis = entropy.hyper_analysis
        self._hyper_synthesis = fixed(entropy.hyper_synthesis)
        self._heads = [fixed(head) for head in entropy.head]
        self._context = _Context(cast(nn.Conv2d, entropy.context[0]))
        self._hyper_index = to_fixed(entropy.hyper_index)
        self._level_bias = to_fixed(entropy.level_bias)
        self._gain = network.gain
        self._config = network.config
        self._tables = tables

    def encode(self, y: Tensor, level: int) -> tuple[bytes, Latent]:
        """The bytes of a latent y (1, channels, h, w), float32, at ``level``, and what ``decode``
        gives of them."""
        y = y * self._gain(torch.tensor([level]))
        limit = SYMBOL_LIMIT - 1
        encoder = RangeEncoder()
        whole = F.pad(y, (0, -y.shape[3] % HYPER, 0, -y.shape[2] % HYPER))
        z = in_tiles(self._hyper_analysis, whole, _LATENT_TILE, 2 * HYPER)
        z = torch.round(z).clamp(-limit, limit)
        hyper_index = self._hyper_indices(level, z)
        z = torch.where(hyper_index < CERTAIN, 0.0, z)
        self._tables.encode(encoder, _symbols(z), hyper_index.numpy().ravel(), last_first=True)

        def symbols_of(mean: Tensor, index: Tensor, where: Tensor) -> Tensor:
            q = torch.round(y[..., where] - mean / ONE).clamp(-limit, limit)
            q = torch.where(index < CERTAIN, 0.0, q)
            self._tables.encode(encoder, _symbols(q), index.numpy().ravel(), last_first=True)
            return q

        latent = self._passes(z, level, y.shape[-2:], symbols_of)
        return encoder.finish(), latent

    def decode(
        self,
        decoder: Symbolwise,
        level: int,
        height: int,
        width: int,
        *,
        widest_first: bool = True,
    ) -> Latent:
        """The latent of ``encode``'s bytes; what ``decoder`` does not know is its mean.

        ``widest_first``: the order of tables, which format version 1 had the other way round.
        """
        shape = 1, self._config.hyper, -(-height // HYPER), -(-width // HYPER)
        hyper_index = self._hyper_indices(level, torch.zeros(shape))
        found = self._tables.decode(decoder, hyper_index.numpy().ravel(), last_first=widest_first)
        z = torch.from_numpy(found.astype(np.float32)).view(shape)

        def symbols_of(mean: Tensor, index: Tensor, where: Tensor) -> Tensor:
            found = self._tables.decode(decoder, index.numpy().ravel(), last_first=widest_first)
            return torch.from_numpy(found.astype(np.float32)).view(mean.shape)

        return self._passes(z, level, (height, width), symbols_of)

    def _hyper_indices(self, level: int, z: Tensor) -> Tensor:
        return _index(_at_level(self._hyper_index, level)).expand(z.shape).contiguous()

    def _passes(
        self,
        z: Tensor,
        level: int,
        size: tuple[int, int] | torch.Size,
        symbols_of: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Latent:
        """Both checkerboard passes: asks ``symbols_of(mean, index, where)`` for each one's
        symbols (1, channels, positions), ``where`` booleans on the grid.

        Every pass computes its own positions only. The context of the second is a convolution of
        which those of the first are half the taps; the others are zeros and left out.
        """
        height, width = size
        bias = _at_level(self._level_bias, level)

        def hyper(part: Tensor) -> Tensor:
            return _held(self._hyper_synthesis(part.double() * ONE) + bias)

        features = in_tiles(hyper, z, _LATENT_TILE // HYPER, 2)[..., :height, :width]
        first = anchors(height, width)
        y_hat = torch.zeros(1, self._config.latent, height, width)
        tables = torch.zeros(y_hat.shape, dtype=torch.uint8)
        for head, where in zip(self._heads, (first, ~first), strict=True):
            means, indices = [], []
            around = self._context.around(y_hat) if where is not first else None
            places = torch.stack(torch.where(where))
            if not places.shape[1]:  # a latent of one position has no second ones
                continue
            for rows, columns in torch.split(places, _POSITIONS, 1):
                known = features[:, :, rows, columns, None].double()
                if around is not None:
                    known = torch.cat([known, self._context(around, rows, columns)], 1)
                mean, index = head(known).chunk(2, 1)
                means.append(_held(mean[..., 0]))
                indices.append(_index(index[..., 0]))
            mean, index = torch.cat(means, 2), torch.cat(indices, 2)
            q = symbols_of(mean, index, where)
            # Exact in float32, too: below 2**24 every sum is, and what is above is clamped.
            y_hat[..., where] = _held(q * ONE + mean)
            tables[..., where] = index
        return Latent(y_hat / ONE, tables)


class _Context:
    """The fixed-point context network, a convolution of an odd side, at second positions alone."""

    def __init__(self, layer: nn.Conv2d) -> None:
        side = layer.kernel_size[0]
        self._margin = side // 2
        taps = anchors(side, side) != (self._margin % 2 == 0)  # the middle is a second position
        self._rows, self._columns = torch.where(taps)

        def apply(x: Tensor, weight: Tensor) -> Tensor:
            return F.linear(x, weight[:, :, taps].transpose(1, 2).flatten(1))

        self._map = fixed_linear_map(layer.weight, layer.bias, apply)

    def around(self, y: Tensor) -> Tensor:
        """A latent (1, c, h, w) with zeros around it, as ``__call__`` wants it."""
        return F.pad(y, [self._margin] * 4)[0].permute(1, 2, 0).double()

    def __call__(self, around: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The network's output (1, channels, n, 1) at n positions of the grid, float64."""
        places = (rows[:, None] + self._rows) * around.shape[1] + columns[:, None] + self._columns
        x = around.flatten(0, 1).index_select(0, places.flatten()).view(len(rows), -1)
        return self._map(x).T[None, :, :, None]


def _held(values: Tensor) -> Tensor:
    return values.clamp(-_EXACT_LIMIT, _EXACT_LIMIT).float()


def _symbols(values: Tensor) -> np.ndarray[Any, np.dtype[np.int32]]:
    return values.numpy().ravel().astype(np.int32)


def estimated_sizes(
    network: CompactNetwork, tables: GaussianTables, y: Tensor, lowest: int = 0
) -> list[float]:
    """Bytes that ``LatentCoder.encode`` makes of y (1, channels, h, w), about, at the levels from
    ``lowest`` on.

    Computed in floating point, for every ``_EVERY``-th level, on ``_BLOCKS`` blocks of a large
    latent: an estimate that is good for comparing levels of one picture.
    """
    y = F.pad(y, (0, -y.shape[3] % HYPER, 0, -y.shape[2] % HYPER))
    levels = torch.tensor(sorted({*range(lowest, LEVELS, _EVERY), LEVELS - 1}))
    costs = _bits_of(tables)
    blocks = _sample(y)
    bits = torch.stack([_bits(network, costs, block, levels) for block in blocks]).sum(0)
    share = sum(block[0, 0].numel() for block in blocks) / y[0, 0].numel()
    sizes = np.interp(range(lowest, LEVELS), levels.numpy(), bits.double().numpy() / share / 8)
    return sizes.tolist()


def _sample(y: Tensor) -> list[Tensor]:
    """All of a small latent; blocks from all over a large one."""
    height, width = y.shape[-2:]
    if height * width <= _BLOCKS * _BLOCK**2:
        return [y]
    down = min(height // _BLOCK, 2)  # 2 x 2 blocks, or 1 x 4 of a latent that is flat
    if min(height, width) < 2 * _BLOCK:
        down = _BLOCKS if height > width else 1
    across = _BLOCKS // down
    places = []
    for side, count in ((height, down), (width, across)):
        free = max(0, side - _BLOCK * count) // count
        starts = [(free // 2 + k * (free + _BLOCK)) // HYPER * HYPER for k in range(count)]
        places.append(starts)
    return [y[..., r : r + _BLOCK, c : c + _BLOCK] for r in places[0] for c in places[1]]


def _bits_of(tables: GaussianTables) -> Tensor:
    """Bits of the symbols 0, 1, 2, ... under each table, (tables, magnitudes); those beyond a
    table's end cost what its escape does, about."""
    magnitudes = int(tables.lengths.max()) // 2 + 1
    bits = np.zeros((len(tables.weights), magnitudes), np.float32)
    for t, (row, length) in enumerate(zip(tables.weights, tables.lengths, strict=True)):
        if length > 1:
            cost = np.log2(row.sum(dtype=np.int64)) - np.log2(row[:length])
            upwards = cost[-tables.offsets[t] :][:magnitudes]
            bits[t, : len(upwards)] = upwards
            bits[t, len(upwards) - 1 :] = cost[-1] + 4
    return torch.from_numpy(bits)


def _bits(network: CompactNetwork, costs: Tensor, y: Tensor, levels: Tensor) -> Tensor:
    """Bits (levels,) of a piece of latent, as ``LatentCoder`` codes it, but in floating point."""
    entropy = network.entropy

    def rounded(values: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        index = torch.floor(table_index(head) + 0.5).clamp(0, SCALES - 1).int()
        q = torch.where(index < CERTAIN, 0.0, torch.round(values))
        magnitude = q.abs().int().clamp_(max=costs.shape[1] - 1)
        return q, costs.flatten()[index * costs.shape[1] + magnitude]

    y = y * network.gain(levels)
    z = entropy.hyper_analysis(y)
    z, bits = rounded(z, interpolate(entropy.hyper_index, levels).expand(z.shape))
    total = bits.flatten(1).sum(1)
    features = entropy.hyper_synthesis(z) + interpolate(entropy.level_bias, levels)
    first = anchors(y.shape[-2], y.shape[-1])
    y_hat = torch.zeros_like(y)
    for head, where in zip(entropy.head, (first, ~first), strict=True):
        if not where.any():
            continue
        known = features[..., where]
        if where is not first:
            known = torch.cat([known, entropy.context(y_hat)[..., where]], 1)
        mean, index = head(known[..., None])[..., 0].chunk(2, 1)
        q, bits = rounded(y[..., where] - mean, index)
        total = total + bits.flatten(1).sum(1)
        y_hat[..., where] = q + mean
    return total
