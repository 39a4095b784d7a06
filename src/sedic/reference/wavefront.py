"""The exact entropy path of an autoregressive codec, decoded along diagonals.

The network predicts mean and scale of every latent from the hyperprior and from the twelve
latents before it in a 5x5 window. A latent at (row, column) needs its upper right neighbours only
up to two columns ahead, so all latents with the same column + 3 * row are independent: one *wave*
at a time, rows + columns of steps instead of one for every latent.

Everything from the decoded symbols to the coding tables is integer arithmetic (``fixed_point``),
so any machine decodes what any other wrote. The stream holds first the symbols of z, channel by
channel in raster order, then those of y, wave by wave; a wave's symbols go table by table, within
a table by row, then channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.coding.gaussian import Symbols
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.models.tiled_run import in_tiles
from sedic.reference.fixed_point import (
    FRACTION,
    ONE,
    fixed,
    fixed_linear_map,
    shift_right,
    to_fixed,
)

if TYPE_CHECKING:
    from sedic.reference.cheng2020_network import Cheng2020Attention

Places = npt.NDArray[np.int64]
# For one wave: its latents' indices into raster order, their means (latents, channels) in fixed
# point and their table indices (latents * channels,); gives their symbols (latents * channels,).
CodeWave = Callable[[Places, Tensor, Places], Symbols]

_LATENT_LIMIT = float((1 << 24) - 1)  # what the fixed-point layers take: 4096 each way
_HYPER_TILE, _HYPER_MARGIN = 32, 4  # in cells of z; the margin exceeds the reach of h_s


class Wavefront:
    """Codes the latents of one ``Cheng2020Attention`` network, whose weights must not change."""

    def __init__(self, network: Cheng2020Attention) -> None:
        self.channels = network.channels
        self._hyper = fixed(network.h_s)
        self._parameters = fixed(network.entropy_parameters)
        context = network.context_prediction
        window = (context.weight * context.mask).flatten(2)[:, :, :12]  # before the centre
        self._context = fixed_linear_map(
            window.transpose(1, 2).flatten(1), context.bias, lambda x, weight: F.linear(x, weight)
        )
        self._medians = to_fixed(network.entropy_bottleneck.medians).view(1, -1, 1, 1)
        self._scales = to_fixed(network.gaussian_conditional.scale_table).numpy()
        self.z_tables = network.entropy_bottleneck.tables()
        self.y_tables = network.gaussian_conditional.tables()

    def encode(self, y: Tensor, z: Tensor) -> bytes:
        """Latents y (1, channels, 4h, 4w) and hyperlatents z (1, channels, h, w), rounded."""
        encoder = RangeEncoder()
        of_z = shift_right(_bounded(to_fixed(z) - self._medians), FRACTION)
        self.z_tables.encode(encoder, _integers(of_z), self._z_index(z.shape[-2], z.shape[-1]))
        latents = _bounded(to_fixed(y)).flatten(2)[0].T

        def write(places: Places, means: Tensor, index: Places) -> Symbols:
            symbols = _integers(shift_right(latents[places] - means, FRACTION))
            self.y_tables.encode(encoder, symbols, index)
            return symbols

        self._waves(of_z, write)
        return encoder.finish()

    def decode(self, data: bytes, rows: int, columns: int) -> Tensor:
        """The latents y (1, channels, 4 * ``rows``, 4 * ``columns``), in fixed point.

        From damaged bytes come other latents of bounded size, or ``SedicError``.
        """
        decoder = RangeDecoder(data)
        of_z = self.z_tables.decode(decoder, self._z_index(rows, columns))
        return self._waves(
            torch.from_numpy(of_z).view(1, self.channels, rows, columns),
            lambda places, means, index: self.y_tables.decode(decoder, index),
        )

    def _z_index(self, rows: int, columns: int) -> Places:
        return np.repeat(np.arange(self.channels), rows * columns)

    def _waves(self, of_z: Tensor, code: CodeWave) -> Tensor:
        """Run ``code`` on every wave; returns the decoded latents, in fixed point."""
        hyper = in_tiles(
            self._hyper,
            _bounded(of_z.double() * ONE + self._medians),
            _HYPER_TILE,
            _HYPER_MARGIN,
        )
        rows, columns = hyper.shape[-2:]
        of_hyper = hyper.flatten(2)[0].T
        # Latents in raster order, with a frame of zeros: two rows above, two columns each side.
        pitch = columns + 4
        values = torch.zeros((rows + 2) * pitch, self.channels, dtype=torch.float64)
        window = np.array([r * pitch + c for r in range(-2, 1) for c in range(-2, 3)][:12])
        for row, column in _diagonals(rows, columns):
            places = row * columns + column
            framed = (row + 2) * pitch + column + 2
            context = self._context(values[framed[:, None] + window].flatten(1))
            features = torch.cat((of_hyper[places], context), 1).T
            parameters = self._parameters(features[None, :, None])[0, :, 0].T
            scales, means = parameters.chunk(2, 1)
            index = np.searchsorted(self._scales[:-1], scales.numpy().ravel())
            symbols = torch.from_numpy(code(places, means, index)).view(means.shape)
            values[framed] = _bounded(symbols * float(ONE) + means)
        framed_latents = values.view(rows + 2, pitch, self.channels)
        return framed_latents[2:, 2:-2].permute(2, 0, 1)[None]


def _bounded(latents: Tensor) -> Tensor:
    return latents.clamp(-_LATENT_LIMIT, _LATENT_LIMIT)


def _integers(values: Tensor) -> Symbols:
    return values.flatten().to(torch.int32).numpy()


def _diagonals(rows: int, columns: int) -> Iterator[tuple[Places, Places]]:
    """Rows and columns of the latents of each wave, from the top."""
    for wave in range(columns + 3 * (rows - 1)):
        first = max(0, -(-(wave - columns + 1) // 3))
        row = np.arange(first, min(rows - 1, wave // 3) + 1)
        yield row, wave - 3 * row
