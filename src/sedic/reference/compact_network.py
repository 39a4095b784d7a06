"""The networks of ``compact``, the embedded reference codec. Shapes are (batch, channels, h, w).

A picture becomes a latent y on a 1/16 grid: a linear map of each 16x16 block, whose initial weights
are the low frequencies of a DCT, plus the output of deeper layers. Decoding has the same structure.
So a network works like a classic transform codec from its first training step. The deeper layers
begin and end at 1/8 resolution, through pixel unshuffling: no convolution runs at full size.

y is scaled by a gain vector of the rate level (Cui et al. 2021, "Asymmetric gained deep image
compression"), rounded, and coded with means and scales from a hyperprior z on a 1/64 grid (Minnen
et al. 2018) and, for every second position of a checkerboard, from its decoded neighbours (He et
al. 2021): two passes, no autoregression. All networks on which probabilities depend are
``Sequential`` ones of plain convolutions, so that ``fixed_point.fixed`` can run them exactly.

Rate levels: ``ANCHORS`` trained parameter vectors, linearly interpolated in ``STEPS`` steps from
one to the next, and extrapolated beyond the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sedic.models.convolution import Convolution3x3, EvenConvolution
from sedic.models.layers import block_basis, blocks
from sedic.models.tiled_run import in_tiles
from sedic.reference.entropy_models import max_with_gradient
from sedic.reference.scatter import LAYERS, REACH, pieces, scattered
from sedic.settings import REALISM

STRIDE = 16  # picture pixels per latent position
HYPER = 4  # latent positions per hyper-latent position
ANCHORS = 8
STEPS = 24  # levels from one anchor to the next; each costs about 1.5 % more than the one before
LEVELS = 213

# The number of standard deviations that a symbol may have, from SCALE_MIN to SCALE_MAX. With one of
# the first ``CERTAIN`` of them a symbol is always zero and not coded; these exist so that such
# symbols cost next to nothing in training, too, where noise is added.
SCALES = 64
SCALE_MIN, SCALE_MAX = 0.02, 32.0
CERTAIN = 15
_WHOLE = 1 << 20  # pixels a side of a tile that every picture fits in
_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
INDEX_UNIT = 8  # the networks give table indices in units of 8, around INDEX_ORIGIN
INDEX_ORIGIN = 32


@dataclass(frozen=True)
class CompactConfig:
    """Channel counts and depths; stored with the weights."""

    latent: int = 96
    hyper: int = 32
    wide: int = 192  # at 1/16
    middle: int = 128  # at 1/8
    narrow: int = 64  # at 1/4
    entropy: int = 96
    encoder_blocks: tuple[int, int] = (2, 3)  # at 1/8, 1/16
    decoder_blocks: tuple[int, int, int] = (4, 5, 4)  # at 1/16, 1/8, 1/4
    noise: tuple[int, int, int] = (0, 0, 0)  # maps at 1/8, at 1/4, and for the grain, also at 1/4


def scale_of(index: Tensor) -> Tensor:
    """Standard deviation at a (real-valued) table index.

    Beyond either end of the table the gradient passes if it leads back.
    """
    first, last = index.new_zeros(()), index.new_full((), SCALES - 1)
    clamped = -max_with_gradient(-max_with_gradient(index, first), -last)
    return SCALE_MIN * torch.exp(clamped * _LOG_STEP)


def table_index(head: Tensor) -> Tensor:
    """The (real-valued) table index that a network's output stands for."""
    return head * INDEX_UNIT + INDEX_ORIGIN


def spread_of(index: Tensor) -> Tensor:
    """The input ``spread`` of ``Synthesis``, 0 to 3, from table indices (real-valued or
    integer)."""
    return (torch.floor(index) - CERTAIN).clamp(0, SCALES - 1 - CERTAIN) / 16


def anchors(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(h, w) booleans: the checkerboard positions that are coded first."""
    rows = torch.arange(height, device=device)[:, None]
    return (rows + torch.arange(width, device=device)) % 2 == 0


def interpolate(table: Tensor, levels: Tensor) -> Tensor:
    """Rows of an (ANCHORS, channels) table at integer ``levels`` (batch,), as (batch, c, 1, 1).

    Levels beyond the last anchor continue the line through the last two.
    """
    low = torch.div(levels, STEPS, rounding_mode="floor").clamp(max=ANCHORS - 2)
    part = ((levels - low * STEPS).to(table.dtype) / STEPS)[:, None]
    return (table[low] * (1 - part) + table[low + 1] * part)[:, :, None, None]


class Analysis(nn.Module):
    """Picture (b, 3, h, w) in [-0.5, 0.5], sides multiples of 16, to y (b, latent, h/16, w/16)."""

    HALO = 176  # picture pixels around a latent position on which it depends

    def __init__(self, c: CompactConfig) -> None:
        super().__init__()
        self.at_eighth = 3 + c.encoder_blocks[0]  # layers, with the one that leads to 1/16
        self.reach = 8 * (2 + 2 * c.encoder_blocks[0])  # picture pixels, of those layers
        self.blocks = nn.PixelUnshuffle(STRIDE)
        self.linear = nn.Conv2d(3 * STRIDE**2, c.latent, 1)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(8),
            Convolution3x3(192, c.middle),
            *blocks(c.middle, c.encoder_blocks[0]),
            EvenConvolution(c.middle, c.wide, 3, stride=2, padding=1),
            *blocks(c.wide, c.encoder_blocks[1]),
            last := Convolution3x3(c.wide, c.latent),
        )
        with torch.no_grad():
            self.linear.weight.copy_(block_basis(c.latent, STRIDE)[:, :, None, None])
            self.linear.bias.zero_()  # type: ignore[union-attr]
            last.weight.mul_(0.3)

    def forward(self, x: Tensor, tile: int | None = None) -> Tensor:
        """With a ``tile``, a single picture's layers at 1/8 run on tiles of so many pixels a side:
        features stay small enough to be kept in memory that is used again and again."""
        first = self.layers[: self.at_eighth]
        deep = in_tiles(first, x, tile or _WHOLE, -(-self.reach // STRIDE) * STRIDE)
        return self._linear(x) + self.layers[self.at_eighth :](deep)  # type: ignore[no-any-return]

    def _linear(self, x: Tensor) -> Tensor:
        """``linear`` of the blocks, summed in float64. In float32 the rounding of its sums of 768
        products depends on the number of threads, and might change a symbol of the file."""
        weight, bias = self.linear.weight, self.linear.bias
        assert bias is not None
        made = F.conv2d(self.blocks(x).double(), weight.double(), bias.double())
        return made.to(x.dtype)


class Noise(nn.Module):
    """Adds noise to features, with a strength that depends on them: x + g(x) n.

    g is a 1x1 convolution. Each map of the noise n is added to an equal share of the channels, in
    their order.
    """

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.gain = _gain(channels, channels)
        share = torch.eye(maps).repeat_interleave(channels // maps, 0)[:, :, None, None]
        self.register_buffer("share", share, persistent=False)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        # A convolution only spreads the maps: it is five times faster than repeating them.
        spread = F.conv2d(noise, self.get_buffer("share").to(noise.dtype))
        return torch.addcmul(x, self.gain(x), spread)


class Grain(nn.Module):
    """Noise for every pixel: maps with a strength that depends on the features, each convolved with
    a pattern of 12x12 pixels; it is added to the 48 channels before ``PixelShuffle(4)``.

    Initial patterns are single grey pixels, so that the noise of the first 16 maps is white.
    """

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.gain = _gain(channels, maps)
        self.pattern = Convolution3x3(maps, 48, bias=False)
        with torch.no_grad():
            self.pattern.weight.mul_(0.3)
            for pixel in range(min(maps, 16)):
                self.pattern.weight[pixel::16, pixel, 1, 1] = 1

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.pattern(self.gain(x) * noise)  # type: ignore[no-any-return]


def _gain(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution whose initial output is small and positive; from 0 training is too slow."""
    layer = EvenConvolution(inputs, outputs, 1)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.fill_(0.015)  # type: ignore[union-attr]
    return layer


class Synthesis(nn.Module):
    """Latent (b, latent, h, w), its ``spread``, its level's bias (b, wide, 1, 1) and noise
    (b, ``noise_channels``, h, w) to (b, 3, 16h, 16w).

    Most values of a latent are zero after rounding. ``spread`` is the width of the table that each
    one was coded with: narrow tables mark flat areas, wide ones texture. The decoder knows the
    tables from the entropy model. Textures are made from ``noise``, independent numbers of mean 0
    and deviation 1; a network without it makes regular patterns instead. Weights without noise
    inputs, and calls without noise, have none.
    """

    HALO = 17  # latent positions around a pixel on which it depends

    def __init__(self, c: CompactConfig) -> None:
        super().__init__()
        self.enter = Convolution3x3(2 * c.latent, c.wide)
        self.layers = nn.Sequential(
            *blocks(c.wide, c.decoder_blocks[0]),
            EvenConvolution(c.wide, 4 * c.middle, 1),
            nn.PixelShuffle(2),
            *blocks(c.middle, c.decoder_blocks[1]),
            EvenConvolution(c.middle, 4 * c.narrow, 1),
            nn.PixelShuffle(2),
            *blocks(c.narrow, c.decoder_blocks[2]),
            last := Convolution3x3(c.narrow, 48),
            nn.PixelShuffle(4),
        )
        self.linear = EvenConvolution(c.latent, 3 * STRIDE**2, 1)
        self.blocks = nn.PixelShuffle(STRIDE)
        with torch.no_grad():
            self.linear.weight.copy_(block_basis(c.latent, STRIDE).T[:, :, None, None])
            self.linear.bias.zero_()  # type: ignore[union-attr]
            last.weight.mul_(0.3)
        self.starts = 2 + c.decoder_blocks[0], 4 + sum(c.decoder_blocks[:2])  # of 1/8 and of 1/4
        self.reaches = 2 * c.decoder_blocks[1], 2 * c.decoder_blocks[2] + 1  # cells of 1/8, of 1/4
        # Noise enters before the last two blocks at 1/8 and at 1/4, which shape it, and at the end.
        self.eighth, self.quarter = (
            len(self.layers) - 2 - c.decoder_blocks[2] - 2 - min(2, c.decoder_blocks[1]),
            len(self.layers) - 2 - min(2, c.decoder_blocks[2]),
        )
        self.counts = tuple(n * cells for n, cells in zip(c.noise, (4, 16, 16), strict=True))
        self.noise_channels = sum(self.counts)
        if self.noise_channels:
            self.noise_eighth = Noise(c.middle, c.noise[0])
            self.noise_quarter = Noise(c.narrow, c.noise[1])
            self.grain = Grain(c.narrow, c.noise[2])

    def forward(
        self,
        y: Tensor,
        spread: Tensor,
        level_bias: Tensor,
        noise: Tensor | None = None,
        tile: int | None = None,
        finish: Callable[[Tensor], Tensor] = lambda picture: picture,
    ) -> Tensor:
        """``finish`` of the picture. With a ``tile``, a single picture's layers at 1/8 and at 1/4
        run on tiles of so many pixels a side, each with its own margin, and so does ``finish``:
        see ``Analysis.forward``."""
        x = self.layers[: self.starts[0]](self.enter(torch.cat([y, spread], 1)) + level_bias)
        # The latent goes along on the grid of 1/4, as the channels that fit there.
        folded = F.pixel_shuffle(F.pad(y, (0, 0, 0, 0, 0, -y.shape[1] % 16)), 4)
        at_eighth, at_quarter = [x], [folded]
        if noise is not None and self.noise_channels:
            eighth, *quarter = torch.split(noise, list(self.counts), 1)
            at_eighth.append(F.pixel_shuffle(eighth, 2))
            at_quarter += [F.pixel_shuffle(maps, 4) for maps in quarter]

        def last(x: Tensor, folded: Tensor, *noise: Tensor) -> Tensor:
            linear = self.linear(F.pixel_unshuffle(folded, 4)[:, : y.shape[1]])
            return finish(self.blocks(linear) + self.layers[-1](self._quarters(x, *noise)))

        x = in_tiles(self._eighths, at_eighth, (tile or _WHOLE) // 8, self.reaches[0])
        reach = -(-self.reaches[1] // 4) * 4
        return in_tiles(last, [x, *at_quarter], (tile or _WHOLE) // 4, reach)

    def _eighths(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """The layers at 1/8, up to the step to 1/4."""
        if noise is not None:
            x = self.noise_eighth(self.layers[self.starts[0] : self.eighth](x), noise)
            return self.layers[self.eighth : self.starts[1]](x)  # type: ignore[no-any-return]
        return self.layers[self.starts[0] : self.starts[1]](x)  # type: ignore[no-any-return]

    def _quarters(
        self, x: Tensor, noise: Tensor | None = None, grain: Tensor | None = None
    ) -> Tensor:
        """The layers at 1/4, without the last step to pixels."""
        if noise is None or grain is None:
            return self.layers[self.starts[1] : -1](x)  # type: ignore[no-any-return]
        x = self.noise_quarter(self.layers[self.starts[1] : self.quarter](x), noise)
        x = self.layers[self.quarter : -2](x)
        return self.layers[-2](x) + self.grain(x, grain)  # type: ignore[no-any-return]

    def drawn(self, y: Tensor) -> Tensor:
        """Noise for latents like ``y``, of the shape of the codec's own: sums of two uniforms."""
        shape = y.shape[0], self.noise_channels, *y.shape[2:]
        noise: Tensor = torch.rand((2, *shape), device=y.device).sum(0)
        return (noise - 1) * math.sqrt(6)


class Entropy(nn.Module):
    """Means and table indices of the latent: the hyperprior and the checkerboard context."""

    def __init__(self, c: CompactConfig) -> None:
        super().__init__()
        e = c.entropy
        self.latent = c.latent
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(c.latent, e, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(e, e, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(e, c.hyper, 1),
        )
        self.hyper_synthesis = nn.Sequential(
            nn.Conv2d(c.hyper, e, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(e, 4 * e, 1),
            nn.PixelShuffle(2),
            nn.LeakyReLU(0.1),
            nn.Conv2d(e, e, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(e, 4 * e, 1),
            nn.PixelShuffle(2),
        )
        self.head = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.1),
                nn.Conv2d(inputs, 2 * e, 1),
                nn.LeakyReLU(0.1),
                nn.Conv2d(2 * e, 2 * c.latent, 1),
            )
            for inputs in (e, 2 * e)
        )
        self.context = nn.Sequential(nn.Conv2d(c.latent, e, 5, padding=2))
        self.hyper_index = nn.Parameter(torch.zeros(ANCHORS, c.hyper))
        self.level_bias = nn.Parameter(torch.zeros(ANCHORS, e))


class Coded(NamedTuple):
    """The results of a network for a batch in training.

    ``bits`` are those of the rounded symbols. They have no useful gradient. ``noisy_bits`` are
    computed with uniform noise instead (Ballé et al. 2017), except for symbols that are certain to
    be zero: with noise these would cost as many bits as all the others.
    """

    decoded: Tensor  # (b, 3, h, w), about [-0.5, 0.5]; rounding passed gradients straight through
    noisy_bits: Tensor  # (b,)
    bits: Tensor  # (b,)


class CompactNetwork(nn.Module):
    """Everything that is trained."""

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or CompactConfig()
        self.analysis = Analysis(c)
        self.synthesis = Synthesis(c)
        self.entropy = Entropy(c)
        # Quantisation steps to begin with: 4 at the coarsest level, 1/2 at the finest, where a
        # DCT coefficient is at most 8 * sqrt(3).
        steps = torch.linspace(-math.log(4), math.log(2), ANCHORS)
        self.log_gain = nn.Parameter(steps[:, None].repeat(1, c.latent))
        self.log_ungain = nn.Parameter(-steps[:, None].repeat(1, c.latent))
        self.level_bias = nn.Parameter(torch.zeros(ANCHORS, c.wide))

    def gain(self, levels: Tensor) -> Tensor:
        return torch.exp(interpolate(self.log_gain, levels))

    def restore(
        self, y_hat: Tensor, table: Tensor, levels: Tensor, realism: float = REALISM
    ) -> Tensor:
        """Decoded latent (in steps) and its tables to a picture in about [-0.5, 0.5], float32, with
        ``realism`` times random noise where these weights take some, and with what repeats at
        random places."""
        scaled = y_hat * torch.exp(interpolate(self.log_ungain, levels))
        bias = interpolate(self.level_bias, levels)
        noise = realism * self.synthesis.drawn(y_hat)
        picture: Tensor = self.synthesis(scaled, spread_of(table), bias, noise)
        rows, columns = map(pieces, picture.shape[-2:])
        moves = torch.randint(-REACH, REACH, (2, LAYERS, rows, columns), device=picture.device)
        with _in_full_precision():
            return scattered(picture.float(), moves)

    def with_noise(self, maps: tuple[int, int, int]) -> CompactNetwork:
        """This network with noise inputs whose weights are not trained yet."""
        network = CompactNetwork(replace(self.config, noise=maps))
        network.load_state_dict(network.state_dict() | self.state_dict())
        return network

    def forward(self, x: Tensor, levels: Tensor) -> Coded:
        """The differentiable codec, for training.

        ``x``: (b, 3, h, w) in [-0.5, 0.5], sides multiples of 64; ``levels``: (b,) integers.
        """
        y_hat, table, noisy_bits, bits = self.quantised(x, levels)
        return Coded(self.restore(y_hat, table.detach(), levels), noisy_bits, bits)

    def quantised(self, x: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The decoded latent of pictures, in steps, the tables of its symbols (real-valued
        indices), and its bits under noise and rounded."""
        y = (self.analysis(x).float() * self.gain(levels)).contiguous()
        with _in_full_precision():
            z = self.entropy.hyper_analysis(y)
            hyper_index = table_index(interpolate(self.entropy.hyper_index, levels))
            noisy, bits = _bits(z, hyper_index)
            features = self.entropy.hyper_synthesis(round_through(z))
            features = features + interpolate(self.entropy.level_bias, levels)
            first = anchors(y.shape[-2], y.shape[-1], y.device)
            mean, index = self.entropy.head[0](features).chunk(2, 1)
            y_first = (round_through(y - mean) + mean) * first
            inputs = torch.cat([features, self.entropy.context(y_first)], 1)
            mean2, index2 = self.entropy.head[1](inputs).chunk(2, 1)
            mean = torch.where(first, mean, mean2)
            index = table_index(torch.where(first, index, index2))
            more_noisy, more_bits = _bits(y - mean, index)
            y_hat = round_through(y - mean) + mean
        return y_hat, index, noisy + more_noisy, bits + more_bits


@contextmanager
def _in_full_precision() -> Iterator[None]:
    """Computes in float32 within a ``torch.autocast``."""
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


def _bits(residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Bits (b,) of ``residual`` under a discretised zero-mean Gaussian: with noise, and rounded."""
    root = scale_of(index) * math.sqrt(2)

    def of(size: Tensor) -> Tensor:
        upper, lower = torch.erfc((size - 0.5) / root), torch.erfc((size + 0.5) / root)
        return -torch.log2(((upper - lower) / 2).clamp_min(1e-7))

    noisy = of((residual + torch.rand_like(residual) - 0.5).abs())
    rounded = torch.round(residual.detach()).abs()
    free = (index < CERTAIN) & (rounded == 0)
    noisy = torch.where(free, 0.0, noisy).flatten(1).sum(1)
    with torch.no_grad():
        return noisy, of(rounded).flatten(1).sum(1)


def round_through(x: Tensor) -> Tensor:
    """Round to integers; the gradient passes unchanged (straight-through estimator)."""
    return x + (torch.round(x) - x).detach()
