"""The inputs of a batch: files, folders, globs, tar shards, Parquet files, URLs.

Everything is read through fsspec, so that a path may also be a URL of any file system that fsspec
knows (``s3://``, ``gs://``, ``https://``, ``memory://``, ...).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from sedic.errors import (
    DamagedFileError,
    LimitError,
    MissingWeightsError,
    SedicError,
    UnsuitableInputError,
)
from sedic.files import printable

MAX_BYTES = 1 << 28  # of one input
PICTURES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
CODED = frozenset([".sedic"])
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_ROWS_AT_ONCE = 8


@dataclass(frozen=True)
class Item:
    """One input.

    ``source``: where it is, for messages; ``name``: its path in the tree of outputs. ``read``
    returns its bytes or raises ``SedicError``; call it before the next item is taken.
    """

    source: str
    name: str
    read: Callable[[], bytes]


class Reader(Protocol):
    """A source of items. ``source`` is where it is."""

    source: str

    def count(self) -> int | None:
        """How many items there will be; None if that cannot be told without reading all."""
        ...

    def items(self) -> Iterator[Item]:
        """The items, always in the same order. Raises ``SedicError`` where the source is bad."""
        ...

    def split(self, count: int) -> list[Reader]:
        """Readers that together give the same items, at most ``count`` each where that is known."""
        ...


def open_source(source: str, suffixes: frozenset[str], column: str | None = None) -> Reader:
    """The reader of a path or URL: of a file, folder, glob, tar shard or Parquet file.

    Of folders, globs and shards the files with one of ``suffixes`` are taken; a file that is named
    itself is taken whatever its suffix. ``column`` is the column of bytes of Parquet files.

    Raises ``UnsuitableInputError`` where there is no such thing, ``MissingWeightsError`` where a
    package for it is missing.
    """
    system, path = file_system(source)
    try:
        if not system.exists(path) and any(sign in path for sign in "*?["):
            paths = [str(name) for name in system.glob(path)]
            fixed = path[: min(path.index(sign) for sign in "*?[" if sign in path)]
            return Files(system, paths, fixed[: fixed.rfind("/") + 1], suffixes)
        if system.isdir(path):
            paths = [str(name) for name in system.find(path)]
            return Files(system, paths, path.rstrip("/") + "/", suffixes)
        if not system.exists(path):
            raise UnsuitableInputError(f"{printable(source)}: there is no such file or folder")
    except (OSError, ValueError) as error:
        raise UnsuitableInputError(f"{printable(source)}: {printable(error)}") from error
    if path.lower().endswith(_TARS):
        return TarShard(system, path, suffixes)
    if path.lower().endswith(".parquet"):
        return ParquetRows(system, path, column)
    return Files(system, [path], path[: path.rfind("/") + 1], None)


def file_system(source: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path in it."""
    try:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem
    except ImportError as error:
        raise _missing("batch work", error) from error
    if "://" not in source:
        return LocalFileSystem(), str(Path(source).absolute())
    try:
        system, path = fsspec.core.url_to_fs(source)
    except ImportError as error:
        raise MissingWeightsError(f"{printable(source)}: {printable(error)}") from error
    except (OSError, ValueError) as error:
        raise UnsuitableInputError(f"{printable(source)}: {printable(error)}") from error
    return system, path


def output_name(name: str, suffix: str) -> str:
    """The path of an output inside the folder of outputs, for the item ``name``.

    Raises ``UnsuitableInputError`` for a name that leads out of the folder or has control
    characters.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    bad = path.is_absolute() or not path.name or ".." in path.parts or ":" in path.parts[0]
    if bad or printable(name) != name:
        raise UnsuitableInputError(f"{printable(name)!r} cannot be the name of an output")
    return str(path.with_suffix(suffix))


def all_items(readers: Iterable[Reader]) -> Iterator[Item]:
    """The items of all readers; a reader that fails gives one last item, which cannot be read."""
    for reader in readers:
        try:
            yield from reader.items()
        except SedicError as error:
            yield Item(reader.source, "unread", partial(_refuse, error))


class Files:
    """Files of one file system, named by their path after ``root``."""

    def __init__(
        self, system: Any, paths: list[str], root: str, suffixes: frozenset[str] | None
    ) -> None:
        self._system = system
        self._root = self.source = root
        self._paths = sorted(path for path in paths if suffixes is None or _has(path, suffixes))

    def count(self) -> int | None:
        return len(self._paths)

    def split(self, count: int) -> list[Reader]:
        starts = range(0, len(self._paths), count)
        parts = [self._paths[start : start + count] for start in starts]
        return [Files(self._system, part, self._root, None) for part in parts]

    def items(self) -> Iterator[Item]:
        for path in self._paths:
            yield Item(path, path.removeprefix(self._root), partial(self._read, path))

    def _read(self, path: str) -> bytes:
        try:
            with self._system.open(path, "rb") as file:
                return _bounded(file, path)
        except (OSError, ValueError) as error:
            raise UnsuitableInputError(f"cannot be read: {printable(error)}") from error


class TarShard:
    """The files of a tar archive, as WebDataset writes them; it is read once, as a stream."""

    def __init__(self, system: Any, path: str, suffixes: frozenset[str]) -> None:
        self._system, self._path, self._suffixes = system, path, suffixes
        self.source = path

    def count(self) -> int | None:
        return None

    def split(self, count: int) -> list[Reader]:
        return [self]  # a tar archive is read from its begin on

    def items(self) -> Iterator[Item]:
        stem = PurePosixPath(self._path).name.partition(".")[0]
        try:
            with (
                self._system.open(self._path, "rb") as file,
                tarfile.open(fileobj=file, mode="r|*") as shard,
            ):
                for member in shard:
                    shard.members = []  # type: ignore[attr-defined]  # it would keep them all
                    if not (member.isfile() and _has(member.name, self._suffixes)):
                        continue
                    source = f"{self._path}/{member.name}"
                    read_member = self._reader(shard, member)
                    yield Item(source, f"{stem}/{member.name.removeprefix('./')}", read_member)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise DamagedFileError(
                f"{printable(self._path)}: the archive is damaged: {printable(error)}"
            ) from error

    def _reader(self, shard: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            if member.size > MAX_BYTES:
                raise LimitError(f"more than {MAX_BYTES} bytes")
            try:
                file = shard.extractfile(member)
                data = file.read() if file else b""
            except (tarfile.TarError, OSError, EOFError, ValueError) as error:
                raise DamagedFileError(f"cannot be read: {printable(error)}") from error
            if len(data) != member.size:
                raise DamagedFileError("the archive ends within this file")
            return data

        return read


class ParquetRows:
    """The rows of a Parquet file with a column of bytes, or of ``datasets``' images."""

    def __init__(self, system: Any, path: str, column: str | None) -> None:
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise _missing("Parquet", error) from error
        self._errors = (ArrowException, OSError, ValueError)
        self._system, self._path = system, path
        self.source = path
        try:
            self._file = ParquetFile(system.open(path, "rb"))
        except self._errors as error:
            raise DamagedFileError(f"{printable(path)}: {printable(error)}") from error
        self._column = column or self._only_column()
        if self._column not in self._file.schema_arrow.names:
            raise UnsuitableInputError(
                f"{printable(path)}: there is no column {printable(self._column)!r}; one of"
                f" {printable(', '.join(self._file.schema_arrow.names))}"
            )

    def __reduce__(self) -> tuple[type[ParquetRows], tuple[Any, str, str]]:
        return ParquetRows, (self._system, self._path, self._column)

    def count(self) -> int | None:
        return int(self._file.metadata.num_rows)

    def split(self, count: int) -> list[Reader]:
        return [self]

    def items(self) -> Iterator[Item]:
        stem = PurePosixPath(self._path).stem
        number = 0
        try:
            for batch in self._file.iter_batches(_ROWS_AT_ONCE, columns=[self._column]):
                for value in batch.column(0).to_pylist():
                    name = f"{number:08}"
                    read = partial(_bytes_of, value)
                    yield Item(f"{self._path}/{name}", f"{stem}/{name}", read)
                    number += 1
        except self._errors as error:
            raise DamagedFileError(f"{printable(self._path)}: {printable(error)}") from error

    def _only_column(self) -> str:
        """The one column that holds bytes."""
        columns = []
        for field in self._file.schema_arrow:
            kind = str(field.type)
            if kind in ("binary", "large_binary") or kind.startswith("struct<bytes: binary"):
                columns.append(field.name)
        if len(columns) != 1:
            names = printable(", ".join(columns)) or "none"
            raise UnsuitableInputError(
                f"{printable(self._path)}: name the column of bytes with --column ({names})"
            )
        return str(columns[0])


def _bytes_of(value: object) -> bytes:
    """The bytes of a row: a value of bytes, or the ``bytes`` of a structure."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise UnsuitableInputError("this row has no bytes")
    if len(value) > MAX_BYTES:
        raise LimitError(f"more than {MAX_BYTES} bytes")
    return value


def _refuse(error: SedicError) -> bytes:
    raise error


def _has(path: str, suffixes: frozenset[str]) -> bool:
    return PurePosixPath(path).suffix.lower() in suffixes


def _bounded(file: BinaryIO, path: str) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LimitError(f"{printable(path)}: more than {MAX_BYTES} bytes")
    return data


def _missing(what: str, error: ImportError) -> MissingWeightsError:
    return MissingWeightsError(f"{what} needs {error.name}: pip install 'sedic[batch]'")
