"""What the pages and the examples show runs as it stands there.

A block of a page that begins with three backticks and ``python`` is run, in order and in one
namespace, in a folder with ``photo.jpg``; not if the line before is ``<!-- skip -->``.
"""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from skimage import data as samples
from typer.core import TyperGroup

import sedic
from sedic.cli.main import app
from sedic.pillow import register_sedic_opener

ROOT = Path(__file__).resolve().parent.parent
FILE = re.compile(r"`([\w.-]+/[\w./-]+\.py)`")
BLOCK = re.compile(r"^(<!-- skip -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The blocks of a page that run; empty lines in front keep the numbers of their lines."""
    text = page.read_text()
    return [
        "\n" * text[: match.start(2)].count("\n") + match[2]
        for match in BLOCK.finditer(text)
        if not match[1]
    ]


PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if blocks(page)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``photo.jpg`` and a folder ``photos``."""
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg"):
        Image.fromarray(samples.chelsea()[20:84, 100:196]).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_on_pages_runs(page: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    try:
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), names)
    finally:
        register_sedic_opener()


def test_every_block_of_python_is_found() -> None:
    for page in PAGES:
        assert len(BLOCK.findall(page.read_text())) == page.read_text().count("```python")
    assert {page.stem for page in PAGES} >= {"index", "pillow", "editing", "batches", "radio"}


def test_python_files_that_pages_name_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / "src/sedic/weights").glob("*.md")
    named = [(p.name, path) for p in pages for path in re.findall(FILE, p.read_text())]
    starts = (ROOT, ROOT / "src", ROOT / "src/sedic")
    missing = [n for n in named if not any((start / n[1]).is_file() for start in starts)]
    assert len(named) > 40 and not missing


@pytest.fixture
def coded(folder: Path) -> Path:
    path = folder / "photo.sedic"
    path.write_bytes(sedic.compress(folder / "photo.jpg", max_bytes=300))
    return path


def example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


def test_example_roundtrip(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example(monkeypatch, "roundtrip.py", folder / "photo.jpg")
    assert "overall: " in capsys.readouterr().out
    assert (folder / "photo.sedic").stat().st_size <= 900
    assert Image.open(folder / "photo-decoded.png").size == (96, 64)


def test_example_contact_sheet(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = coded.with_name("sheet.png")
    example(monkeypatch, "contact_sheet.py", coded.parent, sheet)
    assert Image.open(sheet).size == (960, 174)


def test_example_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example(monkeypatch, "link.py", folder / "photo.jpg", 100, 3)
    assert (folder / "photo-0.png").exists() and (folder / "photo-1.png").exists()


def test_example_edit_words(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = coded.with_name("other.sedic")
    example(monkeypatch, "edit_words.py", coded, other, "A grey evening.")
    assert sedic.read(other.read_bytes()).overall == "A grey evening."


def test_example_rate_curve(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example(monkeypatch, "rate_curve.py", folder / "photo.jpg")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    sizes = [int(line.split()[0]) for line in lines[1:]]
    assert sizes == sorted(sizes) and sizes[-1] <= 2000


def commands(page: str, heading: str) -> list[list[str]]:
    """The commands of the block after a heading, without what is said of them."""
    block = page.split(f"## {heading}\n\n", 1)[1].split("\n\n", 1)[0]
    return [shlex.split(re.split(r"   +", line.strip())[0]) for line in block.splitlines()]


def test_the_way_to_the_papers_picture_is_of_commands_that_exist(folder: Path) -> None:
    from sedic.models import registry

    page = (ROOT / "docs/MODELS.md").read_text()
    walk = commands(page, "From nothing to the paper's picture, on a GPU of 12 GB")
    assert walk[0][:2] == ["pip", "install"] and 3 < len(walk) <= 10
    (folder / "photo.sedic").write_bytes(b"")
    fetched: list[str] = []
    for _, *arguments in walk[1:]:
        context = typer.main.get_command(app).make_context("sedic", arguments)
        while isinstance(context.command, TyperGroup):
            name, command, rest = context.command.resolve_command(context, left(context))
            assert name is not None and command is not None
            context = command.make_context(name, rest, parent=context)
        if arguments[:2] == ["models", "fetch"]:
            fetched += context.params["names"]
        assert context.params.get("profile", "sd21") in (None, "sd21")
    assert {model.profile for name in fetched for model in registry.select(name)} == {"sd21"}


def left(context: Any) -> list[str]:
    """The arguments that a group leaves to its commands."""
    return [*getattr(context, "_protected_args", []), *context.args]
