"""A file is written whole or not at all."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from sedic.errors import SedicError
from sedic.files import printable, write_atomically


def test_writes_and_replaces_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"one")
    with pytest.raises(SedicError, match="--force"):
        write_atomically(path, b"two")
    assert path.read_bytes() == b"one"
    write_atomically(path, b"two", force=True)
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_disk_that_fills_leaves_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SedicError, match=r"^cannot write [^\n]*$"):
            write_atomically(path, bytes(2000), force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_pipes_and_places_that_are_not_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    targets = (tmp_path, pipe, tmp_path / "none" / "a", tmp_path / ("x" * 300), tmp_path / "a\0b")
    for target in targets:
        with pytest.raises(SedicError) as caught:
            write_atomically(target, b"data", force=True)
        assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == [pipe]


def test_names_are_safe_to_print() -> None:
    assert printable("é 東 a\x1b[31m\n\udcff") == "é 東 a\\x1b[31m\\n\\udcff"
