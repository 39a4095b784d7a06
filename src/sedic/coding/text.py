"""Text to bytes and back, by one of two coders."""

from __future__ import annotations

from typing import Protocol

from sedic.coding import huffman, primed
from sedic.semantics import SedicError


class _Coder(Protocol):
    def encode(self, text: str) -> bytes: ...
    def decode(self, data: bytes, max_bytes: int) -> str: ...


_CODERS: dict[str, _Coder] = {"primed": primed, "huffman": huffman}
TEXT_CODERS = tuple(_CODERS)


def encode_text(text: str, coder: str = "primed") -> bytes:
    """The bytes of any Unicode text, several lines or none included.

    Raises ``SedicError`` for a coder that is not in ``TEXT_CODERS`` and for lone surrogates.
    """
    _check(coder)
    return _CODERS[coder].encode(text)


def decode_text(data: bytes, coder: str, max_bytes: int) -> str:
    """The text that ``encode_text`` was given, if it has at most ``max_bytes`` bytes of UTF-8.

    Raises ``SedicError`` for a longer one and for data that is no text. Damage is not always
    noticed: it may give another text, never a longer one.
    """
    _check(coder)
    return _CODERS[coder].decode(data, max_bytes)


def _check(coder: str) -> None:
    if coder not in _CODERS:
        raise SedicError(f"unknown text coder {coder!r}; one of {', '.join(TEXT_CODERS)}")
