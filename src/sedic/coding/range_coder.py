"""Range coding on integer tables, through ``constriction``.

A symbol's distribution is always a table of integer weights. Their sum stays below 2**24, so the
float32 copies that constriction wants are exact and every machine sees the same intervals.

A finished stream is the shortest byte string whose value lies in the final interval; a reader takes
the stream to go on with zeros for ever. Reading never detects damage: a damaged stream gives other
valid symbols. The container has the checksum.

``PrefixDecoder`` reads a stream of which only the first bytes are known.
"""

from __future__ import annotations

from typing import Any, Protocol

import constriction
import numpy as np
import numpy.typing as npt

from sedic.errors import SedicError

TOTAL_LIMIT = 1 << 24
UNKNOWN = -(1 << 31)  # what a ``PrefixDecoder`` gives for a symbol that it does not know

Weights = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]

_bernoulli = constriction.stream.model.Bernoulli(perfect=False)


def table(weights: Weights) -> Any:
    """A model for ``len(weights)`` symbols from non-negative integer weights.

    Raises ``SedicError`` if the weights are empty, negative, all zero or sum to 2**24 or more.
    """
    floats = np.asarray(weights, np.float32)
    total = float(np.sum(weights))
    if floats.ndim != 1 or floats.size < 2 or not 0 < total < TOTAL_LIMIT or floats.min() < 0:
        raise SedicError("not a table of integer weights that sums to less than 2**24")
    return constriction.stream.model.Categorical(floats, lazy=floats.size > 512, perfect=False)


class RangeEncoder:
    """Writes symbols; ``finish`` gives the bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbol: int, weights: Weights) -> None:
        """One symbol under integer ``weights`` (sum below 2**24; the caller guarantees it)."""
        model = constriction.stream.model.Categorical(
            weights.astype(np.float32), lazy=True, perfect=False
        )
        self._coder.encode(symbol, model)

    def encode_run(self, symbols: npt.NDArray[np.int32], model: Any) -> None:
        """Symbols that all follow the same ``table``."""
        if symbols.size:
            self._coder.encode(np.ascontiguousarray(symbols, np.int32), model)

    def encode_bit(self, bit: int, ones: int, total_bits: int = 16) -> None:
        """One bit whose chance of being 1 is ``ones`` / 2**``total_bits``."""
        self._coder.encode(
            np.array([bit], np.int32), _bernoulli, np.array([ones / (1 << total_bits)])
        )

    def encode_bits(
        self, bits: npt.NDArray[np.int32], ones: npt.NDArray[np.int64], total_bits: int = 16
    ) -> None:
        """Many bits, each with its own chance of being 1; see ``encode_bit``."""
        self._coder.encode(bits, _bernoulli, ones / (1 << total_bits))

    def finish(self) -> bytes:
        """The shortest bytes that decode to what was written (without trailing zeros)."""
        position, (lower, span) = self._coder.pos()
        words = np.asarray(self._coder.get_compressed(), np.uint32)
        held = np.zeros(position + 2, np.uint32)
        held[: min(words.size, held.size)] = words[: held.size]
        point = int.from_bytes(held.astype(">u4").tobytes(), "big")
        # `point` lies in the final interval, which is known modulo 2**64: find its true start.
        start: int = point - ((point - lower) & 0xFFFF_FFFF_FFFF_FFFF)
        for shift in range(64, -1, -8):
            rounded = ((start + (1 << shift) - 1) >> shift) << shift
            if rounded < start + span:
                break
        size = held.size * 4
        return (rounded % (1 << 8 * size)).to_bytes(size, "big").rstrip(b"\0")


class RangeDecoder:
    """Reads symbols from bytes of ``RangeEncoder.finish``; any bytes are readable."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(8 + -len(data) % 4)
        words = np.frombuffer(padded, ">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def copy(self) -> RangeDecoder:
        """A decoder that reads on from the same place."""
        other = RangeDecoder(b"")
        other._coder = self._coder.clone()
        return other

    def _read(self, *arguments: Any) -> Any:
        try:
            return self._coder.decode(*arguments)
        except (AssertionError, ValueError) as error:  # a value that no encoder produces
            raise SedicError("damaged range-coded data") from error

    def decode(self, weights: Weights) -> int:
        """One symbol under integer ``weights``; see ``RangeEncoder.encode``."""
        model = constriction.stream.model.Categorical(
            weights.astype(np.float32), lazy=True, perfect=False
        )
        return int(self._read(model))

    def decode_run(self, count: int, model: Any) -> npt.NDArray[np.int32]:
        """``count`` symbols of one ``table``."""
        if not count:
            return np.zeros(0, np.int32)
        return np.asarray(self._read(model, count), np.int32)

    def decode_bit(self, ones: int, total_bits: int = 16) -> int:
        """One bit whose chance of being 1 is ``ones`` / 2**``total_bits``."""
        return int(self._read(_bernoulli, np.array([ones / (1 << total_bits)]))[0])

    def decode_bits(
        self, ones: npt.NDArray[np.int64], total_bits: int = 16
    ) -> npt.NDArray[np.int32]:
        """Many bits; see ``RangeEncoder.encode_bits``."""
        return np.asarray(self._read(_bernoulli, ones / (1 << total_bits)), np.int32)


class Symbolwise(Protocol):
    """A decoder that gives runs of symbols: all of them, or ``UNKNOWN`` from some symbol on."""

    def decode_run(self, count: int, model: Any) -> npt.NDArray[np.int32]: ...


class PrefixDecoder:
    """Reads the symbols that the first bytes of a stream determine, and knows where they end.

    Two decoders read along: for one the missing bytes are all 00, for the other all FF. What both
    read is what every continuation gives, because symbols lie in order within the range.
    """

    def __init__(self, data: bytes) -> None:
        self._low = RangeDecoder(data)
        self._high = RangeDecoder(data + b"\xff" * 32)
        self._ended = False

    def decode_run(self, count: int, model: Any) -> npt.NDArray[np.int32]:
        """``count`` symbols of one ``table``: those that are known, then ``UNKNOWN``."""
        symbols = np.full(count, UNKNOWN, np.int32)
        if self._ended or not count:
            return symbols
        low, high = (_decode_until_error(one, count, model) for one in (self._low, self._high))
        common = min(low.size, high.size)
        differ = np.flatnonzero(low[:common] != high[:common])
        known = int(differ[0]) if differ.size else common
        self._ended = known < count
        symbols[:known] = low[:known]
        return symbols


def _decode_until_error(decoder: RangeDecoder, count: int, model: Any) -> npt.NDArray[np.int32]:
    """At most ``count`` symbols: those before the stream becomes one that no encoder writes."""
    before = decoder.copy()
    try:
        return decoder.decode_run(count, model)
    except SedicError:
        symbols = []
        for _ in range(count):
            try:
                symbols.append(before.decode_run(1, model))
            except SedicError:
                break
        return np.concatenate(symbols) if symbols else np.zeros(0, np.int32)
