"""The paper's text coder: a canonical Huffman code made for each text and sent with it.

Symbols are the bytes of the UTF-8 text. The stream, most significant bit first, zeros to the end
of the last byte:

    number of bytes of text + 1                                   gamma
    number of different bytes                                     gamma
    shortest code length + 1                                      gamma
    bits per difference + 1                                       gamma
    for each different byte, rising:
        its distance from the one before (the first: from -1)     gamma
        its code length minus the shortest                        that many bits
    the codes of the bytes

"gamma" is Elias's code for positive integers. A text without bytes ends after the first number;
the only byte of a text that has no other has a code of no bits. Codes follow from lengths as in
RFC 1951, section 3.2.2.
"""

from __future__ import annotations

import heapq
from collections import Counter

from sedic.errors import SedicError


class HuffmanText:
    """The text coder ``huffman``: it has neither table nor language model."""

    def __init__(self, table: object = None, language: object = None) -> None:
        pass

    def encode(self, text: str) -> bytes:
        """The bytes of a text (``encode``)."""
        return encode(text)

    def decode(self, data: bytes, max_bytes: int) -> str:
        """The text of ``encode``'s bytes (``decode``)."""
        return decode(data, max_bytes)


def encode(text: str) -> bytes:
    """The bytes of a text; ``SedicError`` if it is not valid Unicode (a lone surrogate)."""
    try:
        symbols = text.encode()
    except UnicodeEncodeError as error:
        raise SedicError("this text is not valid Unicode: remove lone surrogates") from error
    bits = _gamma(len(symbols) + 1)
    if symbols:
        lengths = code_lengths(symbols)
        codes = {symbol: code for code, symbol in _codes(lengths).items()}
        bits += _table(lengths) + "".join(codes[symbol] for symbol in symbols)
    size = -(-len(bits) // 8)
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def decode(data: bytes, max_bytes: int) -> str:
    """The text of ``encode``'s bytes; ``SedicError`` if it is damaged or above ``max_bytes``."""
    bits = _Bits(data)
    size = bits.gamma() - 1
    if size > max_bytes:
        raise SedicError(f"damaged text: {size} bytes, longer than {max_bytes}")
    symbols = bytearray()
    if size:
        symbol_of = _codes(_read_table(bits))
        for _ in range(size):
            code = ""
            while code not in symbol_of:
                code += bits.take(1)  # the code is complete: some code is met in the end
            symbols.append(symbol_of[code])
    bits.check_end()
    try:
        return symbols.decode()
    except UnicodeDecodeError as error:
        raise SedicError("damaged text: not UTF-8") from error


def code_lengths(symbols: bytes) -> dict[int, int]:
    """Bits of each byte's code: optimal for ``symbols``, which must not be empty."""
    # Ties go by age, so that lengths are the same everywhere.
    counts = sorted(Counter(symbols).items())
    heap = [(count, age, [symbol]) for age, (symbol, count) in enumerate(counts)]
    heapq.heapify(heap)
    lengths = dict.fromkeys(sorted(set(symbols)), 0)
    for age in range(len(heap), 2 * len(heap) - 1):
        count, _, group = heapq.heappop(heap)
        other_count, _, other = heapq.heappop(heap)
        for symbol in group + other:
            lengths[symbol] += 1
        heapq.heappush(heap, (count + other_count, age, group + other))
    return lengths


def _codes(lengths: dict[int, int]) -> dict[str, int]:
    """The canonical code: shorter first, then by symbol; a single symbol has the empty code."""
    codes: dict[str, int] = {}
    code = previous = 0
    for symbol, length in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
        code <<= length - previous
        codes[f"{code:0{length}b}" if length else ""] = symbol
        code, previous = code + 1, length
    return codes


def _gamma(value: int) -> str:
    digits = f"{value:b}"
    return "0" * (len(digits) - 1) + digits


def _table(lengths: dict[int, int]) -> str:
    shortest = min(lengths.values())
    width = (max(lengths.values()) - shortest).bit_length()
    bits, previous = _gamma(len(lengths)) + _gamma(shortest + 1) + _gamma(width + 1), -1
    for symbol, length in lengths.items():
        bits += _gamma(symbol - previous)
        bits += f"{length - shortest:0{width}b}" if width else ""
        previous = symbol
    return bits


def _read_table(bits: _Bits) -> dict[int, int]:
    number, shortest, width = bits.gamma(), bits.gamma() - 1, bits.gamma() - 1
    if number > 256 or shortest > 8 or width > 8:  # no complete code starts above eight bits
        raise SedicError("damaged text: no such Huffman table")
    lengths: dict[int, int] = {}
    symbol = -1
    for _ in range(number):
        symbol += bits.gamma()
        lengths[symbol] = shortest + int("0" + bits.take(width), 2)
    longest = max(lengths.values())
    if symbol > 255 or sum(1 << longest - length for length in lengths.values()) != 1 << longest:
        raise SedicError("damaged text: its Huffman code is not complete")
    return lengths


class _Bits:
    """A reader of bits, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def take(self, count: int) -> str:
        bits = self._bits[self._at : self._at + count]
        if len(bits) < count:
            raise SedicError("damaged text: it ends too early")
        self._at += count
        return bits

    def gamma(self) -> int:
        first = self._bits.find("1", self._at)
        if not 0 <= first - self._at < 32:
            raise SedicError("damaged text: no such number")
        zeros = first - self._at
        self._at = first
        return int(self.take(zeros + 1), 2)

    def check_end(self) -> None:
        rest = self._bits[self._at :]
        if len(rest) >= 8 or "1" in rest:
            raise SedicError("damaged text: something follows its end")
