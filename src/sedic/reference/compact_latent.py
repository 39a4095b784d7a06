"""The latent of ``compact`` to bytes and back, the same on every machine; and how many bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.coding.gaussian import SYMBOL_LIMIT, GaussianTables
from sedic.coding.range_coder import RangeEncoder, Symbolwise
from sedic.models.tiled_run import in_tiles
from sedic.reference.compact_network import CERTAIN, HYPER, CompactNetwork
from sedic.reference.compact_passes import (
    LATENT_TILE,
    Latent,
    Passes,
    Predicted,
    Size,
    at,
    set_at,
)
from sedic.reference.fixed_point import ONE

_LIMIT = SYMBOL_LIMIT - 1
_AT_ONCE = 4096  # positions of several levels whose bits are counted at once


class LatentCoder:
    """Latents (1, channels, h, w), float32, to bytes and back."""

    def __init__(self, network: CompactNetwork, tables: GaussianTables) -> None:
        self._network, self._tables = network, tables
        self._passes = Passes(network)
        self._quick_passes = Passes(network, torch.float32)

    def encode(self, y: Tensor, level: int) -> tuple[bytes, Latent]:
        """The bytes of a latent at ``level``, and what ``decode`` gives of them."""
        encoder = RangeEncoder()
        y, z, index = self._at_level(y, level)
        self._write(encoder, z, index)
        flat = y.flatten(2)

        def symbols_of(predicted: Predicted) -> Tensor:
            q = _symbols(flat, predicted)
            self._write(encoder, q, predicted.tables)
            return q

        latent = self._passes.run(z, level, _size(y), symbols_of)
        return encoder.finish(), latent

    def bits(
        self, y: Tensor, levels: Sequence[int], most: float, *, exact: bool
    ) -> npt.NDArray[np.float64]:
        """How many bits the symbols of a latent have at each of ``levels``.

        If ``exact``, within a byte what ``encode`` makes; otherwise some symbols may be others,
        and it takes half the time. Of more than ``most`` bits some may be missing.
        """
        together = max(1, _AT_ONCE // (y.shape[2] * y.shape[3]))
        passes = self._passes if exact else self._quick_passes
        parts = [levels[k : k + together] for k in range(0, len(levels), together)]
        counted = [self._bits_of(y, part, most, passes) for part in parts]
        return np.concatenate([np.empty(0), *counted])

    def _bits_of(
        self, y: Tensor, levels: Sequence[int], most: float, passes: Passes
    ) -> npt.NDArray[np.float64]:
        size = _size(y)
        at_levels = [self._at_level(y, level) for level in levels]
        flat, z, tables = (torch.cat(parts) for parts in zip(*at_levels, strict=True))
        bits = self._cost(z, tables)
        features, flat = passes.features(z, levels, size), flat.flatten(2)
        y_hat = torch.zeros_like(flat)
        left = torch.arange(len(levels))  # that may have no more than ``most`` bits
        for number in range(min(2, flat.shape[2])):
            left = left[bits[left] <= most]
            if not len(left):
                break
            values = y_hat[left]
            predicted = passes.predicted(number, features[left], values, size)
            q = _symbols(flat[left], predicted)
            bits[left] += self._cost(q, predicted.tables)
            set_at(values, predicted, q)
            y_hat[left] = values
        return bits.numpy()

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

        def read(index: Tensor) -> Tensor:
            found = self._tables.decode(decoder, index.numpy().ravel(), last_first=widest_first)
            return torch.from_numpy(found.astype(np.float32)).view(index.shape)

        z = read(self._passes.hyper_tables(level, (height, width)))
        return self._passes.run(z, level, (height, width), lambda known: read(known.tables))

    def in_steps(self, y: Tensor, level: int) -> Tensor:
        """A latent in the steps of a level."""
        return y * self._network.gain(torch.tensor([level]))

    def _at_level(self, y: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """A latent in the steps of a level, its hyper-latent and the tables of that."""
        y = self.in_steps(y, level)
        index = self._passes.hyper_tables(level, _size(y))
        whole = F.pad(y, (0, -y.shape[3] % HYPER, 0, -y.shape[2] % HYPER))
        z = in_tiles(self._network.entropy.hyper_analysis, whole, LATENT_TILE, 2 * HYPER)
        return y, _rounded(z, index), index

    def _write(self, encoder: RangeEncoder, symbols: Tensor, index: Tensor) -> None:
        integers = symbols.numpy().ravel().astype(np.int32)
        self._tables.encode(encoder, integers, index.numpy().ravel(), last_first=True)

    def _cost(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Bits of the symbols of each level under their tables, (levels,) float64."""
        bits = self._tables.bits(symbols.numpy().astype(np.int32), index.numpy())
        return torch.from_numpy(bits.reshape(len(bits), -1).sum(1, dtype=np.float64))


def _size(y: Tensor) -> Size:
    return y.shape[2], y.shape[3]


def _symbols(y: Tensor, predicted: Predicted) -> Tensor:
    """Symbols (levels, channels, n) of latents (levels, channels, positions) in steps."""
    return _rounded(at(y, predicted.places) - predicted.means / ONE, predicted.tables)


def _rounded(values: Tensor, index: Tensor) -> Tensor:
    """Symbols: the nearest integers, within limits, and 0 where the table is certain."""
    q = torch.round(values).clamp_(-_LIMIT, _LIMIT)
    return q.masked_fill_(index < CERTAIN, 0.0)
