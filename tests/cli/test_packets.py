"""``sedic packets`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sedic.cli.packets import packets_app
from sedic.coding.container import checksum
from sedic.errors import DamagedFileError, SedicError

BODY = bytes(range(256)) * 2
DATA = BODY + checksum(BODY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four packets of a file, one of them for losses."""
    (tmp_path / "a.sedic").write_bytes(DATA)
    assert run("split", tmp_path / "a.sedic", tmp_path / "air") == ""
    assert len(list((tmp_path / "air").iterdir())) == 4
    return tmp_path / "air"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(packets_app, [str(a) for a in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_lost_and_a_foreign_packet_do_not_matter(folder: Path, tmp_path: Path) -> None:
    (folder / "packet-001.bin").unlink()
    (folder / "notes.txt").write_text("not a packet" * 1000)
    run("join", folder, tmp_path / "b.sedic")
    assert (tmp_path / "b.sedic").read_bytes() == DATA


def test_too_few_packets_are_an_error_and_with_partial_a_beginning(
    folder: Path, tmp_path: Path
) -> None:
    for index in (1, 2):
        (folder / f"packet-00{index}.bin").unlink()
    with pytest.raises(DamagedFileError, match=r"1 more .* missing: 1, 2"):
        run("join", folder, tmp_path / "b.sedic")
    assert not (tmp_path / "b.sedic").exists()
    run("join", folder, tmp_path / "b.sedic", "--partial")
    first = (tmp_path / "b.sedic").read_bytes()
    assert first
    assert DATA.startswith(first)


def test_nothing_is_overwritten_without_force(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="--force"):
        run("split", tmp_path / "a.sedic", folder)
    with pytest.raises(SedicError, match="--force"):
        run("join", folder, tmp_path / "a.sedic")
    run("split", tmp_path / "a.sedic", folder, "--force")


def test_a_folder_without_packets_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(SedicError, match=r"folder|packet"):
            run("join", folder, tmp_path / "b.sedic")
