"""Run lengths in Golomb codes at full picture resolution, one of the papers' mask coders.

A mask is read row by row as one line of pixels, cut into runs that alternate between 0 and 1
(the first run is of zeros and may be empty). A run is written as a Golomb code (Golomb,
"Run-length encodings", 1966) whose parameter is a power of two, 2**k. Per mask come first five
bits with k for zeros, five with k for ones, then the runs until the mask is full; no other
header. A code is ``length >> k`` as that many 1s and a 0, then the low k bits. Lengths count from
one, but for the first run, so that nothing is wasted on empty ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from sedic.coding.bilevel import Cells
from sedic.errors import SedicError

_PARAMETER_BITS = 5
MAX_BYTES = 1 << 18  # of all masks: about a second of decoding


def encode(planes: Iterable[Cells]) -> bytes:
    """The bytes of (height, width) planes of one size; ``SedicError`` above 256 KiB."""
    bits = "".join(_encode_plane(plane) for plane in planes)
    size = -(-len(bits) // 8)
    if size > MAX_BYTES:
        raise SedicError(
            "these masks are too ragged for the runlength coder; use the context coder"
        )
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def decode(data: bytes, width: int, height: int, count: int) -> Iterator[Cells]:
    """The ``count`` planes of ``encode``; ``SedicError`` on data that cannot be theirs."""
    if not 0 < len(data) <= MAX_BYTES:
        raise SedicError(f"runlength masks of {len(data)} bytes are impossible")
    bits = bin(int.from_bytes(b"\1" + data, "big"))[3:]
    start = 0
    for _ in range(count):
        plane, start = _decode_plane(bits, start, width * height)
        yield plane.reshape(height, width)
    if len(bits) - start >= 8 or "1" in bits[start:]:
        raise SedicError("damaged masks: bytes left over")


def _encode_plane(plane: Cells) -> str:
    line = plane.ravel()
    ends = np.append(np.flatnonzero(line[1:] != line[:-1]) + 1, line.size)
    runs = np.diff(ends, prepend=0) - 1
    runs = np.concatenate([[0], runs]) if line[0] else np.concatenate([[runs[0] + 1], runs[1:]])
    parameters = [_parameter(runs[colour::2]) for colour in (0, 1)]
    if sum(_cost(runs[colour::2], parameters[colour]) for colour in (0, 1)) > 8 * MAX_BYTES:
        raise SedicError("this mask is too ragged for the runlength coder; use the context coder")
    codes = [f"{k:0{_PARAMETER_BITS}b}" for k in parameters]
    for index, run in enumerate(runs.tolist()):
        k = parameters[index % 2]
        codes.append("1" * (run >> k) + "0")
        if k:
            codes.append(f"{run & ((1 << k) - 1):0{k}b}")
    return "".join(codes)


def _cost(runs: npt.NDArray[np.int64], k: int) -> int:
    return int((runs >> k).sum()) + runs.size * (1 + k)


def _parameter(runs: npt.NDArray[np.int64]) -> int:
    return min(range(1 << _PARAMETER_BITS), key=lambda k: _cost(runs, k))


def _decode_plane(bits: str, start: int, pixels: int) -> tuple[Cells, int]:
    first_run = start + 2 * _PARAMETER_BITS
    if first_run > len(bits):
        raise SedicError("damaged masks: they end early")
    parameters = [
        int(bits[position : position + _PARAMETER_BITS], 2)
        for position in (start, start + _PARAMETER_BITS)
    ]
    position = first_run
    lengths: list[int] = []
    left = pixels
    while left:
        k = parameters[len(lengths) % 2]
        stop = bits.find("0", position)
        if stop < 0 or stop + 1 + k > len(bits):
            raise SedicError("damaged masks: they end early")
        length = (stop - position << k) + int("0" + bits[stop + 1 : stop + 1 + k], 2)
        length += bool(lengths)  # every run but the first has at least one pixel
        if length > left:
            raise SedicError("damaged masks: a run leaves the picture")
        lengths.append(length)
        left -= length
        position = stop + 1 + k
    colours = np.arange(len(lengths)) % 2 == 1
    return np.repeat(colours, lengths), position
