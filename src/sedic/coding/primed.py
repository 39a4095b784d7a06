"""A byte model with counts from training texts: it codes text at less than two bits a character.

The model mixes contexts of every length from none to ``ORDER`` bytes. The training texts are stored
as a trie of byte strings with integer counts (``weights/text.safetensors.xz``, made by ``sedic
train text``): a node is a context, its children are the bytes seen next. While a text is coded, its
own contexts are counted too and mixed in on top. Each context has a confidence that was fitted to
held-out text. Confidences divide the probability among the contexts, from the longest one down
(deleted interpolation, Jelinek & Mercer 1980), counts are absolutely discounted and, below the
longest order, count distinct left neighbours (Kneser & Ney 1995).

Everything is integers, so every machine computes the same intervals.

A text is coded line by line: its bytes, a line feed after each line, and ``END`` after the last.
No context reaches back over a line feed, so every line begins as a text does. ``END`` is 0xFF,
a byte that UTF-8 never uses.
"""

from __future__ import annotations

import lzma
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError

END = 0xFF
LINE_FEED = 0x0A
ORDER = 8  # bytes of context, at most, in what was read before
OWN_ORDERS = (3, 4, 5, 6)  # bytes of context in the text itself
STAGES = ORDER + 1 + len(OWN_ORDERS)
_DISCOUNT, _OWN_DISCOUNT = 3, 1  # quarters of a count
_TOTAL_BITS, _KIND_BITS = 13, 8  # classes of a context by its counts and by its different bytes
SLOTS = STAGES * _TOTAL_BITS * _KIND_BITS
CONFIDENCE_BITS = 16
_MASS_BITS = 40
_PRECISION_BITS = 23  # of the table given to the range coder
_RAW_CHANCE = 1 << 10  # of 2**16: that a text is coded as plain bytes, for texts unlike training's
_RAW_WEIGHTS = np.ones(256, np.int64)

Integers = npt.NDArray[np.int64]


def slot(stage: int, total: int, kinds: int) -> int:
    """The index of the confidence of a context with ``total`` counts of ``kinds`` different bytes,
    at this ``stage``."""
    total_class = min(total.bit_length(), _TOTAL_BITS - 1)
    return (stage * _TOTAL_BITS + total_class) * _KIND_BITS + min(
        kinds.bit_length(), _KIND_BITS - 1
    )


@dataclass(frozen=True)
class Trie:
    """Byte strings of training texts, up to ``ORDER`` + 1 long, breadth first, without the root.

    ``symbols`` (uint8) and ``counts`` (integers, at least 1) have one entry per node, siblings
    together and in rising order of symbol; ``kinds`` (int64) has one entry for the root and then
    one per node: how many children it has.
    """

    symbols: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.integer[Any]]
    kinds: Integers


class Evidence(NamedTuple):
    """The distribution of the next byte in one context: ``numerators[i]`` / ``denominator`` for
    symbol i."""

    slot: int
    denominator: int
    symbols: npt.NDArray[np.uint8] | bytes
    numerators: Integers | list[int]


class Model:
    """A trie prepared for coding; ``confidence`` (SLOTS,) are probabilities times 2**16, below
    2**16. The distribution of a node is computed on demand: a text uses about a hundred of a
    million nodes.
    """

    def __init__(self, trie: Trie, confidence: Integers) -> None:
        self.confidence: list[int] = confidence.tolist()
        self._symbols, self._counts = trie.symbols, trie.counts
        self._bytes = trie.symbols.tobytes()
        # Children of node n (the root is 0) are entries first[n] to first[n + 1] of `symbols`;
        # entry e is node e + 1.
        first = np.zeros(trie.kinds.size + 1, np.int64)
        np.cumsum(trie.kinds, out=first[1:])
        self._first = first.data
        self._ends = [1]  # one past the last node of each depth
        for _ in range(ORDER):
            self._ends.append(int(first[self._ends[-1]]) + 1)

    def child(self, node: int, symbol: int) -> int:
        """The node that ``symbol`` leads to, or 0 where it was never seen."""
        return self._bytes.find(symbol, self._first[node], self._first[node + 1]) + 1

    def evidence(self, node: int) -> Evidence | None:
        """The distribution of the next byte at a node; None for a node without children."""
        begin, end = self._first[node], self._first[node + 1]
        if begin == end:
            return None
        counts = self._counts[begin:end].astype(np.int64)
        total, kinds = int(counts.sum()), end - begin
        return Evidence(
            slot(bisect_right(self._ends, node), total, kinds),
            4 * total - _DISCOUNT * kinds,
            self._symbols[begin:end],
            4 * counts - _DISCOUNT,
        )


class Predictor:
    """Predicts the next byte of one text from the bytes before."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._own: dict[bytes, dict[int, int]] = {}
        self._begin_line()

    def _begin_line(self) -> None:
        self._line = bytes([LINE_FEED])
        self._nodes = [0]  # the contexts of the line's end that are in the trie, shortest first
        if node := self._model.child(0, LINE_FEED):
            self._nodes.append(node)

    def evidence(self) -> list[Evidence]:
        """The distribution in every known context, the most trusted one first."""
        model, evidence = self._model, []
        for index in range(len(OWN_ORDERS) - 1, -1, -1):
            own = self._own.get(self._line[-OWN_ORDERS[index] :])
            if own and len(self._line) >= OWN_ORDERS[index]:
                total, kinds = sum(own.values()), len(own)
                evidence.append(
                    Evidence(
                        slot(ORDER + 1 + index, total, kinds),
                        4 * total - _OWN_DISCOUNT * kinds,
                        bytes(own),
                        [4 * count - _OWN_DISCOUNT for count in own.values()],
                    )
                )
        for node in reversed(self._nodes):
            if prediction := model.evidence(node):
                evidence.append(prediction)
        return evidence

    def weights(self) -> Integers:
        """The (256,) table of the next byte: all positive, sum below 2**24."""
        confidence, rest = self._model.confidence, 1 << _MASS_BITS
        mass = np.zeros(256, np.int64)
        stored = []
        for where, denominator, symbols, numerators in self.evidence():
            share = rest * confidence[where] >> CONFIDENCE_BITS
            rest -= share
            unit = share // denominator
            if isinstance(symbols, bytes):
                for symbol, numerator in zip(symbols, numerators, strict=True):
                    mass[symbol] += numerator * unit
            else:
                stored.append((unit, symbols, numerators))
        if stored:  # all at once: half the time; bincount's float64 sums stay exact, below 2**53
            units, symbols_of, numerators_of = zip(*stored, strict=True)
            each = np.repeat(units, [symbols.size for symbols in symbols_of])
            masses = np.concatenate(numerators_of) * each
            mass += np.bincount(np.concatenate(symbols_of), masses, 256).astype(np.int64)
        mass += rest >> 8
        return (mass >> _MASS_BITS - _PRECISION_BITS) + 1

    def update(self, symbol: int) -> None:
        """Append a byte to the text."""
        for order in OWN_ORDERS:
            if len(self._line) < order:
                break
            own = self._own.setdefault(self._line[-order:], {})
            own[symbol] = own.get(symbol, 0) + 1
        if symbol == LINE_FEED:
            self._begin_line()
            return
        self._line = self._line[-ORDER:] + bytes([symbol])
        nodes = (self._model.child(node, symbol) for node in self._nodes[:ORDER])
        self._nodes = [0, *(node for node in nodes if node)]


def save_model(trie: Trie, confidence: Integers) -> bytes:
    """The table file: an xz-compressed safetensors file; equal models give equal bytes."""
    from safetensors.numpy import save as to_safetensors

    arrays: dict[str, npt.NDArray[Any]] = {
        "symbols": trie.symbols,
        "counts": np.minimum(trie.counts, 0xFFFF).astype(np.uint16),
        "kinds": trie.kinds.astype(np.uint16),
        "confidence": confidence.astype(np.uint16),
    }
    return lzma.compress(to_safetensors(arrays), preset=9 | lzma.PRESET_EXTREME)


def load_model(table: bytes) -> Model:
    """The model of a table file. Raises ``DamagedFileError`` if it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_safetensors

    try:
        arrays = from_safetensors(lzma.decompress(table))
        kinds = arrays["kinds"].astype(np.int64)
        trie = Trie(arrays["symbols"], arrays["counts"], kinds)
        confidence = arrays["confidence"].astype(np.int64)
    except (lzma.LZMAError, SafetensorError, KeyError) as error:
        raise DamagedFileError("the text model is damaged: run `sedic train text`") from error
    nodes = trie.symbols.size
    if not (
        trie.counts.size == nodes == kinds.sum() == kinds.size - 1 and confidence.size == SLOTS
    ):
        raise DamagedFileError("the text model is of another version: run `sedic train text`")
    return Model(trie, confidence)


class PrimedText:
    """The text coder ``primed``. ``table``: the bytes of a table file (``save_model``)."""

    def __init__(self, table: bytes | None, language: object = None) -> None:
        if table is None:
            raise MissingWeightsError("this profile has no table for the text coder 'primed'")
        self.model = load_model(table)
        # A file's words are asked for twice, for its picture and for what that says of itself.
        self._last_decoded = lru_cache(1)(self._decoded)

    def encode(self, text: str) -> bytes:
        """The bytes of a text; ``UnsuitableInputError`` for a lone surrogate."""
        try:
            symbols = text.encode() + bytes([LINE_FEED, END])
        except UnicodeEncodeError as error:
            raise UnsuitableInputError(
                "this text is not valid Unicode: remove lone surrogates"
            ) from error
        primed, raw = RangeEncoder(), RangeEncoder()
        primed.encode_bit(0, _RAW_CHANCE)
        predictor = Predictor(self.model)
        for symbol in symbols:
            primed.encode(symbol, predictor.weights())
            predictor.update(symbol)
        raw.encode_bit(1, _RAW_CHANCE)
        for symbol in symbols:
            raw.encode(symbol, _RAW_WEIGHTS)
        return min(primed.finish(), raw.finish(), key=len)

    def decode(self, data: bytes, max_bytes: int) -> str:
        """The text of ``encode``'s bytes: at most ``max_bytes`` of UTF-8.

        Raises ``DamagedFileError`` if it is longer or no text; damage may also give another text.
        """
        return self._last_decoded(data, max_bytes)

    def _decoded(self, data: bytes, max_bytes: int) -> str:
        decoder = RangeDecoder(data)
        predictor = None if decoder.decode_bit(_RAW_CHANCE) else Predictor(self.model)
        symbols = bytearray()
        while len(symbols) <= max_bytes + 1:
            symbol = decoder.decode(predictor.weights() if predictor else _RAW_WEIGHTS)
            if symbol == END:
                break
            symbols.append(symbol)
            if predictor:
                predictor.update(symbol)
        else:
            raise DamagedFileError(f"damaged text: longer than {max_bytes} bytes")
        if not symbols.endswith(b"\n"):
            raise DamagedFileError("damaged text: it ends within a line")
        try:
            return symbols[:-1].decode()
        except UnicodeDecodeError as error:
            raise DamagedFileError("damaged text: not UTF-8") from error
