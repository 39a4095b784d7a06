"""``compact``, the embedded reference codec: one network, 213 rates, exact symbols.

Bytes of a reference image: one for the rate level, then one range-coded stream: the hyper-latent
z, the latent at the checkerboard's first positions, the latent at the others; each from the widest
table to the narrowest, so that a prefix holds what changes the picture most. Means and tables come
from fixed-point networks, so the symbols are the same on every machine; only the networks at the
picture ends are floating point.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sedic.coding.gaussian import GaussianTables
from sedic.coding.range_coder import PrefixDecoder, RangeDecoder, Symbolwise
from sedic.errors import DamagedFileError, MissingWeightsError, SedicError
from sedic.failures import check_memory
from sedic.models import noise
from sedic.models.convolution import memory_format
from sedic.models.layers import with_weights
from sedic.models.precision import picture_dtype
from sedic.models.tiled_run import in_tiles
from sedic.picture import pad_to_multiple
from sedic.reference.coarse_grain import with_coarse_grain
from sedic.reference.compact_latent import LatentCoder
from sedic.reference.compact_network import (
    CERTAIN,
    LEVELS,
    SCALES,
    STRIDE,
    Analysis,
    CompactConfig,
    CompactNetwork,
    Synthesis,
    interpolate,
    scale_of,
    spread_of,
)
from sedic.reference.compact_passes import Latent
from sedic.reference.compact_sizes import LatentSizes
from sedic.reference.scatter import LAYERS, REACH, pieces, scattered_picture
from sedic.settings import REALISM

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import Realism

# Below these levels the next smaller scale looks better with as many bytes; measured by
# ``lab.bench.experiments.scales`` on held-out photographs.
SCALE_FLOORS = 6, 12
# Pixels a side of what is analysed, and of what is decoded, at once.
_PICTURE_TILE, _DECODED_TILE = 2560, 3584
# Pixels of the tiles that the layers at 1/8 and 1/4 run on. Tensors stay below 32 MiB, from where
# on the C library gets memory for each one from the system, page by page, and gives it back.
_LAYER_TILE = 1280
_NOISE_SIDE = 64  # latent positions, 1024 pixels, after which a picture's noise repeats
_NOISE_KEY = 8  # bytes at the start of a reference image that decide its noise, of a prefix, too
_OLD_LEVELS, _OLD_STEP = 29, 6  # first bytes of format version 1: every sixth level up to 168


class Prepared:
    """The latent of a picture: maps a level to the codec's bytes. ``estimates`` are of their
    number, for every level."""

    def __init__(self, coder: LatentCoder, latent: Tensor) -> None:
        self._coder, self._latent = coder, latent
        self._sent: dict[int, bytes] = {}  # what each level's symbols decode to, hashed
        self.estimates = LatentSizes(coder, latent)

    @torch.inference_mode()
    def __call__(self, level: int) -> bytes:
        if not 0 <= level < LEVELS:
            raise ValueError(f"level {level}: 0 to {LEVELS - 1}")
        data, latent = self._coder.encode(self._latent, level)
        self._sent[level] = _digest(latent)
        return bytes([_OLD_LEVELS + level]) + data

    @torch.inference_mode()
    def comes_back(self, data: bytes) -> bool:
        """Whether the bytes of a level, made before, decode to the symbols that they hold."""
        level = data[0] - _OLD_LEVELS
        found = self._coder.decode(RangeDecoder(data[1:]), level, *self._latent.shape[-2:])
        return _digest(found) == self._sent.get(level)


def _digest(latent: Latent) -> bytes:
    digest = hashlib.sha256()
    for part in latent:
        digest.update(part.contiguous().numpy().data)
    return digest.digest()


class Compact:
    """The codec with the weights of a file.

    ``dtype`` is that of the networks at the picture's ends; None is this machine's best.
    """

    name = "compact"
    levels = LEVELS
    scale_floors = SCALE_FLOORS

    def __init__(self, weights: Path | None, dtype: torch.dtype | None = None) -> None:
        if weights is None or not weights.is_file():
            raise MissingWeightsError(f"no weights of the compact codec at {weights}")
        self._path = weights
        self._dtype = dtype or picture_dtype()
        self._network, self._tables = load_compact(weights, self._dtype)
        self._coder = LatentCoder(self._network, self._tables)

    @cached_property
    def fingerprint(self) -> bytes:
        """sha256 of the weight file."""
        return hashlib.sha256(self._path.read_bytes()).digest()

    @torch.inference_mode()
    def prepare(self, picture: Picture) -> Prepared:
        """The latent of a (height, width, 3) uint8 picture, ready for any level."""
        padded = torch.from_numpy(pad_to_multiple(picture, STRIDE)).permute(2, 0, 1)[None]

        def analyse(part: Tensor) -> Tensor:
            scaled = (part.float() / 255 - 0.5).to(self._dtype)
            return self._network.analysis(scaled, _LAYER_TILE).float()  # type: ignore[no-any-return]

        y = in_tiles(analyse, padded, _PICTURE_TILE, Analysis.HALO)
        return Prepared(self._coder, y)

    @torch.inference_mode()
    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The picture of ``prepare``'s bytes; ``SedicError`` where they are no reference image.

        In its textures there is ``realism`` times as much noise as the network finds right, and
        what repeats in them is at random places (``scatter``); both are decided by the first bytes
        of ``data``.
        """
        return self._picture(data, RangeDecoder(data[1:]), width, height, realism)

    @torch.inference_mode()
    def decode_prefix(
        self, data: bytes, width: int, height: int, realism: Realism = 1.0
    ) -> Picture:
        """The picture of the first bytes of a reference image, at least one.

        Symbols that they determine are those of the whole; the others are at their means.
        """
        return self._picture(data, PrefixDecoder(data[1:]), width, height, realism)

    def _picture(
        self, data: bytes, decoder: Symbolwise, width: int, height: int, realism: Realism
    ) -> Picture:
        if not data:
            raise DamagedFileError("damaged reference image: no rate level")
        if data[0] >= _OLD_LEVELS + LEVELS:
            raise DamagedFileError("damaged reference image: no such rate level")
        old = data[0] < _OLD_LEVELS
        level = data[0] * _OLD_STEP if old else data[0] - _OLD_LEVELS
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        latent = self._coder.decode(decoder, level, rows, columns, widest_first=not old)
        levels = torch.tensor([level])
        ungain = torch.exp(interpolate(self._network.log_ungain, levels))
        bias = interpolate(self._network.level_bias, levels)

        strength = _strengths(realism, rows, columns)
        coarser = (strength[:, 0] - strength[:, 1]).clamp(min=0)[0]
        strength[:, 1] += coarser
        noisy = bool(self._network.synthesis.noise_channels and strength.any())
        across = min(columns, _NOISE_SIDE)
        positions = min(rows, _NOISE_SIDE) * across if noisy else 0
        noise = _noise(data[:_NOISE_KEY], positions, self._network.synthesis.noise_channels)
        row, column = torch.arange(rows) % _NOISE_SIDE, torch.arange(columns) % _NOISE_SIDE
        places = (row[:, None] * across + column).float()[None, None]  # of each position's noise
        coarse = sum(self._network.synthesis.counts[:2])  # channels of noise; the rest is fine

        def synthesise(part: Tensor) -> Tensor:
            channels = latent.values.shape[1]
            values, tables, where, strong = torch.split(part, [channels, channels, 1, 2], 1)
            noise_here = None
            if noisy:
                noise_here = noise[where[0, 0].long()].permute(2, 0, 1)[None]
                noise_here[:, :coarse] *= strong[:, :1]
                noise_here[:, coarse:] *= strong[:, 1:]
                noise_here = noise_here.to(self._dtype)
            latent_inputs = values * ungain, spread_of(tables), bias
            inputs = [x.to(self._dtype) for x in latent_inputs]
            return self._network.synthesis(  # type: ignore[no-any-return]
                *inputs, noise_here, _LAYER_TILE, finish=_levels
            )

        def shown(strength: Tensor) -> Picture:
            inputs = torch.cat([*latent, places, strength], 1)
            whole = in_tiles(synthesise, inputs, _DECODED_TILE // STRIDE, Synthesis.HALO)
            return whole[0].permute(1, 2, 0).contiguous().numpy()

        picture = shown(strength)
        if noisy and coarser.any():
            share = (coarser / strength[0, 1].clamp(min=1e-6)).numpy()
            picture = with_coarse_grain(picture, shown(0 * strength), share)
        picture = scattered_picture(picture, _moves(data[:_NOISE_KEY], *picture.shape[:2]))
        return np.ascontiguousarray(picture[:height, :width])


def _levels(picture: Tensor) -> Tensor:
    """A picture in about [-0.5, 0.5] as uint8."""
    return torch.round((picture.float() + 0.5) * 255).clamp(0, 255).to(torch.uint8)


def _strengths(realism: Realism, rows: int, columns: int) -> Tensor:
    """Strengths of coarse and fine noise at latent positions, (1, 2, rows, columns) float32."""
    if isinstance(realism, np.ndarray):
        cells = torch.from_numpy(realism)[None]
        more = 2 * columns - cells.shape[-1], 2 * rows - cells.shape[-2]
        return F.avg_pool2d(F.pad(cells, (0, more[0], 0, more[1]), mode="replicate"), 2)
    return torch.full((1, 2, rows, columns), float(realism))


def _noise(key: bytes, positions: int, channels: int) -> Tensor:
    """(positions, channels) float32 of mean 0 and deviation 1, the same everywhere: a function of
    the bytes ``key``, of position and channel. Sums of two random bytes: what is mixed from many of
    them is normal enough."""
    count = positions * channels
    halves = _words(key, -(-count // 2)).view("<u2")[:count]
    values = ((halves & 0xFF) + (halves >> 8)).astype(np.float32)
    values -= np.float32(255)
    values /= np.float32(math.sqrt((256**2 - 1) / 6))
    return torch.from_numpy(values.reshape(positions, channels))


def _moves(key: bytes, height: int, width: int) -> Tensor:
    """The moves of the pieces of a picture of this size (``scattered``): a function of the bytes
    ``key``."""
    shape = 2, LAYERS, pieces(height), pieces(width)
    count = math.prod(shape)
    moves = _words(b"moves" + key, -(-count // 4)).view(np.uint8)[:count] % (2 * REACH)
    return torch.from_numpy(moves.astype(np.int64) - REACH).view(shape)


def _words(key: bytes, count: int) -> npt.NDArray[np.uint32]:
    """Random 32-bit words, little endian in memory: a function of the bytes ``key``."""
    seed = hashlib.sha256(key).digest()
    first, second, third = (int.from_bytes(seed[i : i + n]) for i, n in ((0, 4), (4, 2), (6, 2)))
    words: npt.NDArray[np.uint32] = noise.words(first, second, third, count).numpy().astype("<u4")
    return words


def save_compact(network: CompactNetwork, path: Path) -> None:
    """Write a trained network, in half precision, with its coding tables as integers."""
    half = {k: v.half().cpu().contiguous() for k, v in network.state_dict().items()}
    deviations = scale_of(torch.arange(SCALES, dtype=torch.float64)).tolist()
    tables = GaussianTables.of_deviations([0.0] * CERTAIN + deviations[CERTAIN:])
    half |= {
        "tables.weights": torch.from_numpy(tables.weights),
        "tables.lengths": torch.from_numpy(tables.lengths),
        "tables.offsets": torch.from_numpy(tables.offsets),
    }
    save_file(half, path, {"compact": json.dumps(asdict(network.config))})


def load_compact(
    path: Path, dtype: torch.dtype = torch.float32
) -> tuple[CompactNetwork, GaussianTables]:
    """Read what ``save_compact`` wrote; ``SedicError`` where the file is something else.

    The networks at the picture's ends are in ``dtype`` and the fastest order of values, those of
    the latent in float32.
    """

    order = memory_format(torch.device("cpu"), dtype)

    def converted(name: str, value: Tensor) -> Tensor:
        if not name.startswith(("analysis.", "synthesis.")):
            return value.float()
        return value.to(dtype, memory_format=order if value.ndim == 4 else torch.preserve_format)

    try:
        with safe_open(path, "pt") as file:
            config = json.loads((file.metadata() or {}).get("compact", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
        }
        arrays = [tensors.pop(f"tables.{n}").numpy() for n in ("weights", "lengths", "offsets")]
        network = with_weights(
            lambda: CompactNetwork(CompactConfig(**values)),
            {name: converted(name, value) for name, value in tensors.items()},
        )
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as e:
        check_memory(e, str(path))
        raise SedicError(f"{path} does not hold weights of the compact codec") from e
    return network, GaussianTables(*arrays)
