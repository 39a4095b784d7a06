"""Arithmetic coding of text with the chances that a language model gives to its tokens.

A coded text is

    identity of the model            4 bits
    check of the UTF-8 text          4 bits, the first of its CRC-16
    a range-coded stream             the offset; the tokens; the end token

Eight bits of identity and check are enough: a file has a checksum of its own, and of texts that are
decoded wrongly only one in a hundred ends exactly where the stream does.

A token is an index below V. It is coded as a path: the range [0, V) is halved again and again (the
lower half is the smaller one of an odd range), and one bit says in which half the token lies. The
chance that this bit is 1 is the upper half's share of the chances in the range. Its log odds are
rounded to a multiple of 1 / ``STEPS``, plus the offset, and looked up in a table of integers.

So the result depends on a dozen floating-point log odds a token, and only where one of them lies so
close to the middle between two multiples that another machine rounds it to the other one. (If all V
chances were rounded, thousands of them a token would be that close.) The encoder tries offsets,
sixteenths of a step, until every log odds of the text is at least the model's ``margin`` away from
any middle. A machine whose log odds differ by less then decodes the text exactly. The decoder
encodes its text again; if the bytes differ, because of other weights or larger differences, it
raises an error. Rounding costs about 0.001 bits a token.
"""

from __future__ import annotations

import binascii
import copy
import math
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import MissingWeightsError, SedicError

IDENTITY_BYTES = 1
STEPS = 4  # in a unit of log odds (nats)
OFFSETS = 16  # to a step
_MAX_ODDS = 11 * STEPS  # a chance of about 2**-16
_CHANCE_BITS = 16
_MIN_CHANCE = 1e-30  # of a token's chance: so that every token can be coded
_OFFSET_CHANCE = (1 << _CHANCE_BITS) // 16  # of 2**16: the chance of an offset other than 0
_MAX_DRAFTS = 4  # guesses of one text by a draft, after which the exact model guesses

Chances = npt.NDArray[np.float64]


class Reading(Protocol):
    """A language model in the middle of one text."""

    def chances(self) -> Chances:
        """(V,) float64, not negative, of each token to be the next one; their sum is about 1."""
        ...

    def update(self, token: int) -> None:
        """Append a token to the text."""
        ...


class TokenModel(Protocol):
    """A language model with its tokenizer."""

    identity: bytes  # IDENTITY_BYTES, of which four bits are used: weights, tokenizer, prompt
    end: int  # the token after the last one of a text
    margin: float  # log odds (nats), more than any two machines differ by where that can be

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, nothing added."""
        ...

    def text(self, tokens: list[int]) -> str:
        """The text of tokens, nothing left out."""
        ...

    def score(self, tokens: list[int]) -> Iterator[Chances]:
        """The chances before each of ``tokens``, from the beginning of a text on.

        Those of ``read``, but for differences far below ``margin``; many tokens at once.
        """
        ...

    def read(self) -> Reading:
        """The model at the beginning of a text."""
        ...

    def draft(self) -> Reading | None:
        """A faster, less precise version of ``read``; None where there is none.

        Its chances only guess tokens, of which ``decode`` computes the exact chances.
        """
        ...


def encode(text: str, model: TokenModel) -> bytes:
    """The bytes of a text.

    Raises ``SedicError`` for a text that the model's tokenizer cannot reproduce exactly.
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
    paths = _paths(tokens, model)
    first = model.identity[0] & 0xF0 | _check(plain)
    return bytes([first]) + _stream(paths, _offset(paths, model.margin))


def decode(data: bytes, max_bytes: int, model: TokenModel) -> str:
    """The text of ``encode``'s bytes: at most ``max_bytes`` of UTF-8.

    Raises ``SedicError`` if ``model`` is another one, if it gives other chances here than on the
    encoder's machine, and for damaged data. Damage hardly ever gives another text, because the
    check and the end of the stream must fit.
    """
    if not data:
        raise SedicError("damaged text: it ends too early")
    identity, check, stream = data[0] >> 4, data[0] & 0xF, data[1:]
    if identity != model.identity[0] >> 4:
        raise SedicError(
            f"the text was written with another language model ({identity:x}; "
            f"this one: {model.identity[0] >> 4:x}): give the one it was written with"
        )
    result = _read(stream, model, max_bytes)
    if result is not None:
        offset, tokens, paths = result
        text = model.text(tokens)
        plain = text.encode(errors="replace")
        same = _check(plain) == check and model.tokens(text) == tokens
        if same and _stream(paths, offset) == stream:
            if len(plain) > max_bytes:
                raise SedicError(f"damaged text: longer than {max_bytes} bytes")
            return text
    raise SedicError(
        "the language model gives other probabilities here than where the text was written: "
        "another model, other weights, another library or other hardware (or the text is damaged)"
    )


# The path to a token: for each halving, the log odds of the upper half times STEPS, and the bit.
_Path = list[tuple[float, bool]]


def _paths(tokens: list[int], model: TokenModel) -> list[_Path]:
    """The paths to the tokens of a text and to the end token."""
    whole = [*tokens, model.end]
    return [_path(token, row) for token, row in zip(whole, model.score(whole), strict=True)]


def _path(token: int, chances: Chances) -> _Path:
    path: _Path = []

    def follow(middle: int, odds: float) -> bool:
        path.append((odds, token >= middle))
        return token >= middle

    _descend(chances, follow)
    return path


def _offset(paths: list[_Path], margin: float) -> int:
    """The first offset at which all log odds are at least ``margin`` away from a rounding's middle;
    if there is none, the one at which the closest is farthest away."""
    odds = np.array([odds for path in paths for odds, _ in path])
    odds = odds[np.abs(odds) < _MAX_ODDS + 1]  # beyond, all are one
    distances = []
    for offset in range(OFFSETS):
        shifted = odds + offset / OFFSETS
        distance = np.abs(shifted - np.floor(shifted) - 0.5).min(initial=0.5)
        if distance >= margin * STEPS:
            return offset
        distances.append(float(distance))
    return distances.index(max(distances))


def _stream(paths: list[_Path], offset: int) -> bytes:
    encoder = RangeEncoder()
    encoder.encode_bit(offset > 0, _OFFSET_CHANCE, _CHANCE_BITS)
    if offset:
        for place in (3, 2, 1, 0):
            encoder.encode_bit(offset >> place & 1, 1 << _CHANCE_BITS - 1, _CHANCE_BITS)
    for path in paths:
        for odds, bit in path:
            encoder.encode_bit(bit, _chance(odds, offset), _CHANCE_BITS)
    return encoder.finish()


class _UnwrittenError(Exception):
    """A stream that no encoder writes."""


class _Bits:
    """The bits of a stream, from its beginning on; ``_UnwrittenError`` where none can follow."""

    def __init__(self, stream: bytes, vocabulary: int) -> None:
        self._decoder = RangeDecoder(stream)
        # A range decoder can read tokens beyond the end of a stream for ever. All tokens but the
        # last one must fit into its bits: only a stream's last zeros are not written.
        self._left = 8.0 * len(stream) + _CHANCE_BITS * vocabulary.bit_length()
        self.offset = 0
        if self._take(_OFFSET_CHANCE):
            for _ in range(4):
                self.offset = self.offset << 1 | self._take(1 << _CHANCE_BITS - 1)

    def copy(self) -> _Bits:
        """Another reader at the same position."""
        other = copy.copy(self)
        other._decoder = self._decoder.copy()
        return other

    def token(self, chances: Chances) -> tuple[int, _Path]:
        """The next token, and the path to it."""
        path: _Path = []

        def follow(middle: int, odds: float) -> bool:
            bit = self._take(_chance(odds, self.offset))
            path.append((odds, bit))
            return bit

        if self._left < 0:
            raise _UnwrittenError
        return _descend(chances, follow), path

    def _take(self, ones: int) -> bool:
        try:
            bit = self._decoder.decode_bit(ones, _CHANCE_BITS)
        except SedicError as error:
            raise _UnwrittenError from error
        share = (ones if bit else (1 << _CHANCE_BITS) - ones) / (1 << _CHANCE_BITS)
        self._left += math.log2(share)
        return bool(bit)


def _read(
    stream: bytes, model: TokenModel, max_bytes: int
) -> tuple[int, list[int], list[_Path]] | None:
    """The offset, the tokens and their paths; None where the stream has no end or is damaged.

    The draft guesses the next tokens. The model computes their exact chances in one pass, and the
    stream is decoded with these, up to the first token that was guessed wrongly; from there the
    draft guesses again. So all tokens are decoded with exact chances.
    """
    tokens: list[int] = []
    paths: list[_Path] = []
    try:
        bits = _Bits(stream, next(iter(model.score([model.end]))).size)
        for attempt in range(_MAX_DRAFTS + 1):
            reading = (model.draft() if attempt < _MAX_DRAFTS else None) or model.read()
            known = len(tokens)
            guess = [*_guess(bits.copy(), reading, tokens, model.end, max_bytes), model.end]
            rows = islice(model.score([*tokens, *guess]), known, None)
            for guessed, chances in zip(guess, rows, strict=True):
                token, path = bits.token(chances)
                paths.append(path)
                if token == model.end:
                    return bits.offset, tokens, paths
                tokens.append(token)
                if len(tokens) > max_bytes + 1:
                    return None
                if token != guessed:
                    break
    except _UnwrittenError:
        pass
    return None


def _guess(
    bits: _Bits, reading: Reading, known: list[int], end: int, max_bytes: int
) -> Iterator[int]:
    """The tokens after ``known`` that ``reading`` decodes, without the end token."""
    for token in known:
        reading.update(token)
    for _ in range(max_bytes + 2 - len(known)):
        try:
            token, _ = bits.token(reading.chances())
        except _UnwrittenError:
            return
        if token == end:
            return
        yield token
        reading.update(token)


class _Follow(Protocol):
    def __call__(self, middle: int, odds: float) -> bool: ...


def _descend(chances: Chances, follow: _Follow) -> int:
    """The token to which the halvings lead.

    ``follow(middle, odds)`` decides each halving: whether the token is in the upper half, from
    ``middle`` on. ``odds`` are the log odds of that, times ``STEPS``.
    """
    if not (np.isfinite(chances).all() and chances.min() >= 0):
        raise SedicError("the language model computes no chances: its weights are damaged")
    chances = np.maximum(chances, _MIN_CHANCE)
    low, high = 0, chances.size
    while high - low > 1:
        middle = (low + high) // 2
        odds = math.log(chances[middle:high].sum()) - math.log(chances[low:middle].sum())
        if follow(middle, odds * STEPS):
            low = middle
        else:
            high = middle
    return low


def _chance(odds: float, offset: int) -> int:
    """The chance of a 1, times 2**16, for log odds times ``STEPS``."""
    steps = math.floor(odds + offset / OFFSETS + 0.5)
    return _ones(offset)[min(max(steps, -_MAX_ODDS), _MAX_ODDS) + _MAX_ODDS]


@cache
def _ones(offset: int) -> tuple[int, ...]:
    """Chances of a 1, times 2**16, for log odds from -_FURTHEST to _FURTHEST, less the offset."""
    # Decimal's exponential is correctly rounded, a processor's need not be.
    scale = Decimal(1 << _CHANCE_BITS)
    shift = Decimal(offset) / OFFSETS
    shares = (
        scale / (1 + ((shift - steps) / STEPS).exp()) for steps in range(-_MAX_ODDS, _MAX_ODDS + 1)
    )
    return tuple(int(share.quantize(Decimal(1), ROUND_HALF_EVEN)) for share in shares)


def _check(plain: bytes) -> int:
    return binascii.crc_hqx(plain, 0xFFFF) >> 12


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
                "this text is coded with a language model: name it with --language-model, or get"
                " the usual one: sedic models fetch smollm2-135m"
            )
        return self._language
