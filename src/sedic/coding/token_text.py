"""Text coded with the chances that a language model gives it: token by token, arithmetic coding.

A coded text is

    identity of the model        4 bytes
    CRC-16 of the UTF-8 text     2 bytes, as in the container
    the tokens, then the end     a range-coded stream

A token is an index below V. It is coded as the way to it from the range [0, V): the range is halved
again and again (the lower half gets the smaller part), and one bit says in which half the token
lies. That bit's chance of being 1 is the upper half's share of the chances in the range, as log
odds rounded to a multiple of 1 / ``STEPS`` and looked up in a table of integers.

So the only floating-point numbers that matter are a dozen log odds a token, and they matter only
where one lies so near the middle between two multiples that another machine rounds it to the other
side. (Rounding all V chances would meet thousands of such borders a token.) Where it happens, or
where the weights are others, the checks below fail and no text is given. The rounding costs about
0.001 bits a token.
"""

from __future__ import annotations

import binascii
import math
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import MissingWeightsError, SedicError

IDENTITY_BYTES = 4
STEPS = 4  # in a unit of log odds (nats)
_FURTHEST = 11 * STEPS  # a chance of about 2**-16
_CHANCE_BITS = 16
_LEAST = 1e-30  # of a token's chance: so that every token can be coded

Chances = npt.NDArray[np.float64]


class Reading(Protocol):
    """A language model in the middle of one text."""

    def chances(self) -> Chances:
        """(V,) float64, not negative, of each token to be the next one; their sum is about 1."""
        ...

    def update(self, token: int) -> None:
        """Goes on by one token."""
        ...


class TokenModel(Protocol):
    """A language model with its tokenizer."""

    identity: bytes  # IDENTITY_BYTES: of its weights and its tokenizer
    end: int  # the token after the last one of a text

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, nothing added."""
        ...

    def text(self, tokens: list[int]) -> str:
        """The text of tokens, nothing left out."""
        ...

    def read(self) -> Reading:
        """The model at the beginning of a text. Equal calls in equal order give equal chances."""
        ...


def encode(text: str, model: TokenModel) -> bytes:
    """The bytes of a text.

    Raises ``SedicError`` for a text that the model's tokenizer does not give back exactly.
    """
    try:
        plain = text.encode()
    except UnicodeEncodeError as error:
        raise SedicError("this text is not valid Unicode: remove lone surrogates") from error
    tokens = model.tokens(text)
    if model.end in tokens or len(tokens) > len(plain) + 1 or model.text(tokens) != text:
        raise SedicError(
            "the language model's tokenizer cannot spell this text: use the text coder primed"
        )
    encoder, reading = RangeEncoder(), model.read()
    for token in [*tokens, model.end]:

        def write(middle: int, ones: int, token: int = token) -> bool:
            encoder.encode_bit(token >= middle, ones, _CHANCE_BITS)
            return token >= middle

        _walk(reading.chances(), write)
        reading.update(token)
    return model.identity + _checksum(plain) + encoder.finish()


def decode(data: bytes, max_bytes: int, model: TokenModel) -> str:
    """The text of ``encode``'s bytes: at most ``max_bytes`` of UTF-8.

    Raises ``SedicError`` if ``model`` is another one, if it gives other chances here than where the
    text was written, and for damage: never another text (but for a chance below 2**-16).
    """
    if len(data) < IDENTITY_BYTES + 2:
        raise SedicError("damaged text: it ends too early")
    identity, checksum, stream = data[:4], data[4:6], data[6:]
    if identity != model.identity:
        raise SedicError(
            f"the text was written with another language model ({identity.hex()}; "
            f"this one: {model.identity.hex()}): give the one it was written with"
        )
    decoder, encoder, reading = RangeDecoder(stream), RangeEncoder(), model.read()
    tokens: list[int] = []
    # Of bytes that no encoder wrote, more can be read than they hold. All but the last token must
    # fit: a stream's last zeros are not written.
    left = 8.0 * len(stream) + _CHANCE_BITS * reading.chances().size.bit_length()

    def read(middle: int, ones: int) -> bool:
        nonlocal left
        bit = decoder.decode_bit(ones, _CHANCE_BITS)
        encoder.encode_bit(bit, ones, _CHANCE_BITS)
        left += math.log2((ones if bit else (1 << _CHANCE_BITS) - ones) / (1 << _CHANCE_BITS))
        return bool(bit)

    while (token := _walk(reading.chances(), read)) != model.end:
        tokens.append(token)
        if len(tokens) > max_bytes + 1 or left < 0:
            raise _differs()
        reading.update(token)
    text = model.text(tokens)
    plain = text.encode(errors="replace")
    same = _checksum(plain) == checksum and model.tokens(text) == tokens
    if not same or encoder.finish() != stream:
        raise _differs()
    if len(plain) > max_bytes:
        raise SedicError(f"damaged text: longer than {max_bytes} bytes")
    return text


class _Bit(Protocol):
    def __call__(self, middle: int, ones: int) -> bool: ...


def _walk(chances: Chances, bit: _Bit) -> int:
    """The token that ``bit`` leads to; it says of every ``middle`` if the token is not below."""
    if not (np.isfinite(chances).all() and chances.min() >= 0):
        raise SedicError("the language model computes no chances: its weights are damaged")
    chances = np.maximum(chances, _LEAST)
    low, high = 0, chances.size
    while high - low > 1:
        middle = (low + high) // 2
        odds = math.log(chances[middle:high].sum()) - math.log(chances[low:middle].sum())
        steps = min(max(round(odds * STEPS), -_FURTHEST), _FURTHEST)
        if bit(middle, _ones()[steps + _FURTHEST]):
            low = middle
        else:
            high = middle
    return low


@cache
def _ones() -> tuple[int, ...]:
    """Chances of a 1, times 2**16, for log odds from -_FURTHEST to _FURTHEST steps."""
    # Decimal's exponential is correctly rounded, a processor's need not be.
    scale = Decimal(1 << _CHANCE_BITS)
    shares = (
        scale / (1 + (Decimal(-steps) / STEPS).exp()) for steps in range(-_FURTHEST, _FURTHEST + 1)
    )
    return tuple(int(share.quantize(Decimal(1), ROUND_HALF_EVEN)) for share in shares)


def _checksum(plain: bytes) -> bytes:
    return binascii.crc_hqx(plain, 0xFFFF).to_bytes(2, "big")


def _differs() -> SedicError:
    return SedicError(
        "the language model gives other probabilities here than where the text was written: other "
        "weights, another library or other hardware (or the text is damaged)"
    )


class ModelText:
    """The text coder ``model``, with the language model that both ends have."""

    def __init__(self, table: object = None, language: TokenModel | None = None) -> None:
        self._language = language

    def encode(self, text: str) -> bytes:
        """The bytes of a text (``encode``); ``MissingWeightsError`` without a language model."""
        return encode(text, self._needed)

    def decode(self, data: bytes, max_bytes: int) -> str:
        """The text of ``encode``'s bytes (``decode``)."""
        return decode(data, max_bytes, self._needed)

    @property
    def _needed(self) -> TokenModel:
        if self._language is None:
            raise MissingWeightsError(
                "this text is coded with a language model: name its folder with --language-model"
            )
        return self._language
