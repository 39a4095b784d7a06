"""Image-Text Coding's text coder, for comparison: ranks of tokens, compressed by deflate.

The tokens, filled up with end tokens to a multiple of ``BLOCK``, are cut into blocks that are read
independently, so that no token has more than seven before it. Each becomes its rank: how many
tokens a language model thought likelier. Ranks are written as 16 bits each, low byte first, and
compressed by zlib at level 9. (The paper calls this LlamaZip.)

It does not check whether the decoder's model gives the same ranks as the encoder's, so files use
``token_text`` instead.
"""

from __future__ import annotations

import zlib

import numpy as np

from sedic.coding.token_text import Chances, TokenModel
from sedic.errors import SedicError

BLOCK = 8


def encode(text: str, model: TokenModel) -> bytes:
    """The bytes of a text; ``SedicError`` if a rank needs more than 16 bits."""
    tokens = model.tokens(text)
    tokens += [model.end] * (-len(tokens) % BLOCK)
    ranks = []
    for first in range(0, len(tokens), BLOCK):
        block = tokens[first : first + BLOCK]
        for token, chances in zip(block, model.score(block), strict=True):
            ranks.append(int(np.argmax(_order(chances) == token)))
    return pack(ranks)


def decode(data: bytes, max_bytes: int, model: TokenModel) -> str:
    """The text of ``encode``'s bytes, of at most ``max_bytes`` + 1 tokens."""
    tokens: list[int] = []
    reading = model.read()
    for rank in unpack(data, max_bytes + BLOCK):
        if len(tokens) % BLOCK == 0:
            reading = model.read()
        order = _order(reading.chances())
        if rank >= order.size:
            raise SedicError("damaged text: no token has this rank")
        tokens.append(int(order[rank]))
        reading.update(tokens[-1])
    while tokens and tokens[-1] == model.end:
        tokens.pop()
    return model.text(tokens)


def pack(ranks: list[int]) -> bytes:
    """Ranks as bytes; ``SedicError`` if one is above 65,535."""
    if max(ranks, default=0) > 0xFFFF:
        raise SedicError("a rank above 65,535: this scheme has 16 bits for it")
    return zlib.compress(np.array(ranks, "<u2").tobytes(), 9)


def unpack(data: bytes, limit: int) -> list[int]:
    """The ranks that ``pack`` was given; ``SedicError`` if they are damaged or above ``limit``."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, 2 * limit + 1)
    except zlib.error as error:
        raise SedicError("damaged text: not a zlib stream") from error
    if not inflater.eof or inflater.unused_data or len(plain) % 2 or len(plain) > 2 * limit:
        raise SedicError(f"damaged text: not a zlib stream of at most {limit} ranks")
    ranks: list[int] = np.frombuffer(plain, "<u2").tolist()
    return ranks


def _order(chances: Chances) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Tokens from the likeliest on; of equals, the lower first."""
    return np.argsort(-chances, kind="stable")
