"""Writes and reads the fields of a header: varints and bytes; data may end too early."""

from __future__ import annotations

from sedic.errors import DamagedFileError


def varint(value: int) -> bytes:
    """A non-negative integer as a varint (docs/FORMAT.md): seven bits a byte, low bits first; the
    high bit is set on all bytes but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class EndsTooEarlyError(DamagedFileError):
    """The data end before the field that is being read."""


class Reader:
    """Reads field by field; running out of bytes is an error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._at

    def next(self, count: int) -> bytes:
        """The next ``count`` bytes, or fewer at the end; they stay to be read."""
        return self._data[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            raise EndsTooEarlyError("the file is damaged: it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def varint(self, limit: int) -> int:
        """The next varint (see ``varint``), at most ``limit``."""
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value > limit or (place and not byte):
                    break
                return value
        raise DamagedFileError("the file is damaged: a number is out of range")
