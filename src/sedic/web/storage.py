"""The visitors' files on the server's disk."""

from __future__ import annotations

import secrets
from pathlib import Path

from sedic.errors import LimitError, UnsuitableInputError
from sedic.files import slug
from sedic.picture import Picture, save_picture


class Files:
    """The visitors' files, in one folder."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder.resolve()
        self._limit = limit

    def read(self, path: str | None) -> tuple[bytes, str]:
        """The bytes of an uploaded file, and its name without suffix (``files.slug``).

        Raises ``UnsuitableInputError`` where ``path`` is no uploaded file or the file was deleted,
        ``LimitError`` where it is too large.
        """
        if not path:
            raise UnsuitableInputError("choose a file first")
        place = Path(path).resolve()
        if not place.is_relative_to(self._folder) or not place.is_file():
            raise UnsuitableInputError("the file is not here any more: upload it again")
        with place.open("rb") as file:
            data = file.read(self._limit + 1)
        if len(data) > self._limit:
            raise LimitError(f"a file may have at most {self._limit:,} bytes here")
        return data, slug(place.stem)

    def write(self, name: str, data: bytes) -> str:
        """A new file of this name, to be downloaded; its path."""
        path = self._new(name)
        path.write_bytes(data)
        return str(path)

    def write_picture(self, name: str, picture: Picture, xmp: bytes = b"") -> str:
        """A new PNG file of a picture, with XMP metadata; its path."""
        path = self._new(name)
        save_picture(picture, path, xmp=xmp)
        return str(path)

    def _new(self, name: str) -> Path:
        folder = self._folder / secrets.token_hex(16)
        folder.mkdir()
        return folder / name
