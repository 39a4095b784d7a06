"""The interface of text coders. ``parts.TEXT_CODERS`` lists them."""

from __future__ import annotations

from typing import Protocol


class TextCoder(Protocol):
    """Turns any Unicode text, several lines or none included, into bytes and back."""

    def encode(self, text: str) -> bytes:
        """The bytes of a text.

        Raises ``UnsuitableInputError`` for lone surrogates, and for a text that the coder cannot
        write.
        """
        ...

    def decode(self, data: bytes, max_bytes: int) -> str:
        """The text that ``encode`` was given, if it has at most ``max_bytes`` bytes of UTF-8.

        Raises ``DamagedFileError`` for a longer one and for data that is no text. Damage is not
        always noticed: it may give another text, never a longer one.
        """
        ...
