"""Text to bytes and back, by one of three coders."""

from __future__ import annotations

from typing import Protocol

from sedic.coding import huffman, primed, token_text
from sedic.coding.token_text import TokenModel
from sedic.errors import SedicError


class _Coder(Protocol):
    def encode(self, text: str) -> bytes: ...
    def decode(self, data: bytes, max_bytes: int) -> str: ...


_CODERS: dict[str, _Coder] = {"primed": primed, "huffman": huffman}
TEXT_CODERS = (*_CODERS, "model")  # the last one: the chances of a language model


def encode_text(text: str, coder: str = "primed", language: TokenModel | None = None) -> bytes:
    """The bytes of any Unicode text, several lines or none included.

    ``language`` is for the coder ``model``. Raises ``SedicError`` for a coder that is not in
    ``TEXT_CODERS``, for lone surrogates, and for a text that ``language`` cannot spell.
    """
    if coder == "model":
        return token_text.encode(text, _needed(language))
    return _coder(coder).encode(text)


def decode_text(data: bytes, coder: str, max_bytes: int, language: TokenModel | None = None) -> str:
    """The text that ``encode_text`` was given, if it has at most ``max_bytes`` bytes of UTF-8.

    Raises ``SedicError`` for a longer one, for data that is no text, and where ``language`` is not
    the model it was written with. Damage is not always noticed: it may give another text, never a
    longer one.
    """
    if coder == "model":
        return token_text.decode(data, max_bytes, _needed(language))
    return _coder(coder).decode(data, max_bytes)


def _coder(name: str) -> _Coder:
    if name not in _CODERS:
        raise SedicError(f"unknown text coder {name!r}; one of {', '.join(TEXT_CODERS)}")
    return _CODERS[name]


def _needed(language: TokenModel | None) -> TokenModel:
    if language is None:
        raise SedicError(
            "this text is coded with a language model: name it with --language-model, or get the"
            " usual one: sedic models fetch smollm2-135m"
        )
    return language
