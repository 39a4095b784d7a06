"""Latent symbols through the range coder: a list of integer tables, one index per symbol.

A learned codec predicts, for each of its quantised latents, which of a few dozen distributions it
follows. Here such a list of tables is kept as integers, so that every machine codes with the same
intervals. Within one call symbols are coded table by table, in the order of their indices or
against it, and within a table in the order in which they came. Codecs order their tables by width:
from the widest on, the symbols that change a picture most come first.

The last entry of a table is its escape. An escaped symbol's distance beyond the table, signs
alternating, follows as an Exp-Golomb code of fair bits: first the widths of all escapes of the
call's table, then their bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sedic.coding.range_coder import TOTAL_LIMIT, UNKNOWN, RangeEncoder, Symbolwise, table
from sedic.errors import SedicError

Integers = npt.NDArray[np.integer[Any]]
Symbols = npt.NDArray[np.int32]

SYMBOL_LIMIT = 1 << 14  # magnitudes stay below
_ESCAPE_WIDTHS = 17  # an escape's code has 0 to 16 bits after the leading one
_TAIL = 2.0**-20
_PRECISION = 22

_widths = table(1 << np.arange(_ESCAPE_WIDTHS)[::-1])
_fair = table(np.ones(2))


class GaussianTables:
    """Integer tables for symbols around zero, and coding with them.

    ``weights`` (tables, entries) holds in row t ``lengths[t]`` positive weights that sum below
    2**24: those of the symbols ``offsets[t]``, ``offsets[t]`` + 1, ... and, last, of the escape.
    A row of length 1 has no escape: all its symbols are ``offsets[t]`` and cost nothing.
    Raises ``SedicError`` where that does not hold. The three arrays are what a codec stores.
    """

    def __init__(self, weights: Integers, lengths: Integers, offsets: Integers) -> None:
        count = len(weights)
        if weights.ndim != 2 or not count or not lengths.shape == offsets.shape == (count,):
            raise SedicError("coding tables: shapes do not fit together")
        if lengths.min() < 1 or lengths.max() > weights.shape[1]:
            raise SedicError("coding tables: a length is out of range")
        used = np.arange(weights.shape[1]) < lengths[:, None]
        self.weights = np.where(used, weights, 0).astype(np.int32)
        self.lengths = lengths.astype(np.int32)
        self.offsets = offsets.astype(np.int32)
        sums = self.weights.sum(1, dtype=np.int64)
        if weights[used].min() < 1 or weights[used].max() >= TOTAL_LIMIT:
            raise SedicError("coding tables: a weight is out of range")
        if sums.max() >= TOTAL_LIMIT or np.abs(self.offsets).max() >= SYMBOL_LIMIT:
            raise SedicError("coding tables: a sum or an offset is out of range")

    @classmethod
    def of_cdf(cls, cdf: Integers, lengths: Integers, offsets: Integers) -> GaussianTables:
        """From cumulative sums, as CompressAI keeps them in ``_quantized_cdf``.

        Row t of ``cdf`` starts with 0 and has ``lengths[t]`` entries that matter.
        """
        if cdf.ndim != 2:
            raise SedicError("coding tables: shapes do not fit together")
        return cls(cdf[:, 1:].astype(np.int64) - cdf[:, :-1], lengths.astype(np.int64) - 1, offsets)

    @classmethod
    def of_deviations(cls, deviations: Sequence[float]) -> GaussianTables:
        """Zero-mean Gaussians of the given standard deviations, integrated over unit cells.

        Floating-point work: run it once, when a network is exported, and store the integers. Each
        table reaches to where less than 2**-20 of the mass remains. A deviation of 0 gives a
        table of zeros that cost nothing.
        """
        rows: list[list[int]] = []
        for deviation in deviations:
            if deviation == 0:
                rows.append([1])
                continue

            def beyond(x: float, scale: float = deviation * math.sqrt(2)) -> float:
                return math.erfc(x / scale) / 2

            radius = 1
            while 2 * beyond(radius + 0.5) >= _TAIL:
                radius += 1
            half = [beyond(k - 0.5) - beyond(k + 0.5) for k in range(1, radius + 1)]
            masses = [*half[::-1], 1 - 2 * beyond(0.5), *half, 2 * beyond(radius + 0.5)]
            rows.append([max(1, round(mass * (1 << _PRECISION))) for mass in masses])
        lengths = np.array([len(row) for row in rows])
        weights = np.zeros((len(rows), lengths.max()), np.int32)
        for t, row in enumerate(rows):
            weights[t, : len(row)] = row
        return cls(weights, lengths, -((lengths - 1) // 2))

    @cached_property
    def _models(self) -> list[Any]:
        return [
            table(row[:length]) if length > 1 else None
            for row, length in zip(self.weights, self.lengths, strict=True)
        ]

    def _groups(
        self, index: Integers, last_first: bool
    ) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """Each table in use, in order, with the places of its symbols, in order."""
        if not index.size:
            return
        if index.min() < 0 or index.max() >= len(self.weights):
            raise ValueError("no such coding table")
        order = np.argsort(index, kind="stable")
        tables, starts = np.unique(index[order], return_index=True)
        groups = list(zip(tables.tolist(), np.split(order, starts[1:]), strict=True))
        yield from reversed(groups) if last_first else groups

    @cached_property
    def _costs(self) -> npt.NDArray[np.float32]:
        """Bits of each entry of each table, (tables, entries)."""
        sums = self.weights.sum(1, keepdims=True, dtype=np.int64)
        return np.asarray(np.log2(sums / np.maximum(self.weights, 1)), np.float32)

    def bits(self, symbols: Symbols, index: Integers) -> npt.NDArray[np.float32]:
        """What each of ``symbols`` costs under the table of ``index``, in an array of any shape.

        The bytes of ``encode`` have as many bits as all of them, rounded up, but for a few.
        """
        escape = self.lengths[index] - 1
        values = symbols - self.offsets[index]
        outside = (values < 0) | (values >= escape)
        entries = np.where(outside, escape, values) + self.weights.shape[1] * index.astype(np.int32)
        bits: npt.NDArray[np.float32] = self._costs.ravel().take(entries)
        outside &= escape > 0
        if outside.any():
            beyond, last = values[outside], escape[outside]
            code = np.where(beyond < 0, -2 * beyond, 2 * (beyond - last) + 1)
            widths = np.frexp(code)[1] - 1
            bits[outside] += (
                np.log2((2 << _ESCAPE_WIDTHS - 1) - 1) - (_ESCAPE_WIDTHS - 1) + 2 * widths
            )
        return bits

    def encode(
        self,
        encoder: RangeEncoder,
        symbols: Symbols,
        index: Integers,
        *,
        last_first: bool = False,
    ) -> None:
        """Write ``symbols`` (n,), the i-th under table ``index[i]``.

        ``last_first``: the tables from the last to the first.
        Raises ``ValueError`` where a magnitude reaches ``SYMBOL_LIMIT``, a table does not exist
        or a symbol of a table of length 1 is not the one it stands for.
        """
        if symbols.size and np.abs(symbols).max() >= SYMBOL_LIMIT:
            raise ValueError("a symbol is out of range")
        for t, places in self._groups(index, last_first):
            values = symbols[places] - self.offsets[t]
            escape = self.lengths[t] - 1
            model = self._models[t]
            if model is None:
                if values.any():
                    raise ValueError("a table of length 1 codes one symbol only")
                continue
            outside = (values < 0) | (values >= escape)
            encoder.encode_run(np.where(outside, escape, values).astype(np.int32), model)
            if outside.any():
                beyond = values[outside]
                code = np.where(beyond < 0, -2 * beyond, 2 * (beyond - escape) + 1)
                widths = np.frexp(code)[1] - 1
                encoder.encode_run(widths, _widths)
                of_code, shift = _bit_places(widths)
                encoder.encode_run(code[of_code] >> shift & 1, _fair)

    def decode(self, decoder: Symbolwise, index: Integers, *, last_first: bool = False) -> Symbols:
        """The (n,) symbols written under the same ``index``; from damaged bytes, any others.

        Symbols that a ``PrefixDecoder`` does not know are 0.
        Magnitudes stay below 2**18 whatever the bytes are. Raises ``ValueError`` where a table
        does not exist, ``SedicError`` where the bytes are no range-coded stream.
        """
        symbols = np.empty(index.size, np.int32)
        for t, places in self._groups(index, last_first):
            escape = self.lengths[t] - 1
            model = self._models[t]
            if model is None:
                symbols[places] = self.offsets[t]
                continue
            values = decoder.decode_run(places.size, model)
            unknown = values == UNKNOWN
            outside = values == escape
            values = values + self.offsets[t]
            if outside.any():
                beyond = self._read_escapes(decoder, int(outside.sum()), int(escape))
                values[outside] = np.where(beyond == UNKNOWN, 0, beyond + self.offsets[t])
            symbols[places] = np.where(unknown, 0, values)
        return symbols

    @staticmethod
    def _read_escapes(decoder: Symbolwise, count: int, escape: int) -> Symbols:
        """``count`` escaped symbols, counted from the table's first; or UNKNOWN."""
        widths = decoder.decode_run(count, _widths)
        if (widths == UNKNOWN).any():
            return np.full(count, UNKNOWN, np.int32)
        of_code, shift = _bit_places(widths)
        bits = decoder.decode_run(shift.size, _fair)
        if (bits == UNKNOWN).any():
            return np.full(count, UNKNOWN, np.int32)
        code = np.int32(1) << widths
        np.add.at(code, of_code, bits << shift)
        values: Symbols = np.where(code % 2, code // 2 + escape, -(code // 2)).astype(np.int32)
        return values


def _bit_places(widths: Symbols) -> tuple[npt.NDArray[np.intp], Symbols]:
    """For every bit of codes of these widths, high bits first: whose bit, and its place in it."""
    of_code = np.repeat(np.arange(widths.size), widths)
    ends = np.cumsum(widths)
    return of_code, (ends[of_code] - 1 - np.arange(of_code.size)).astype(np.int32)
