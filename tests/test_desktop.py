"""What a desktop is told of ``.sedic``, asked of its own programs where they are here."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner

import sedic
from sedic import desktop
from sedic.cli.main import app


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of data, empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "share"


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("desktop") / "a cat.sedic"
    path.write_bytes(sedic.compress(samples.chelsea()[20:84, 100:196].copy(), max_bytes=250))
    return path


def test_install_writes_what_desktops_read(home: Path) -> None:
    assert run("desktop", "install").exit_code == 2
    done = run("desktop", "install", "--user")
    assert done.exit_code == 0, done.output
    written = {Path(line).relative_to(home).as_posix() for line in done.stdout.splitlines()}
    assert written == {*desktop.entries(["sedic"]), "man/man1/sedic.1"}
    (kind,) = ET.parse(home / "mime/packages/sedic.xml").getroot()
    assert kind.get("type") == "image/x-sedic"
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(home / "thumbnailers/sedic.thumbnailer")
    section = entry["Thumbnailer Entry"]
    assert section["MimeType"] == "image/x-sedic;"
    assert section["Exec"].endswith(" thumbnail --force -s %s %i %o")
    assert run("desktop", "install", "--user").exit_code == 0  # ours are written anew
    assert len(run("desktop", "remove", "--user").stdout.splitlines()) == 4
    assert not [path for name in written if (path := home / name).exists()]


def test_the_manual_has_every_command_and_option() -> None:
    text = run("desktop", "manual").stdout
    commands = [line for line in text.splitlines() if line.startswith(".SS")]
    for name in ("compress", "batch", "desktop install", "packets split", "bench report"):
        assert f'.SS "sedic {name}"' in commands
    assert r"\fB\-\-max\-bytes" in text and r"At most so many bytes." in text
    lines = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert lines <= {'.\\"', ".TH", ".SH", ".SS", ".B", ".PP", ".TP"}  # no text became a request


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
def test_man_shows_the_manual(home: Path) -> None:
    assert run("desktop", "install", "--user").exit_code == 0
    done = subprocess.run(
        ["man", "--warnings=w", "-l", home / "man/man1/sedic.1"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.stderr == ""
    assert "sedic - Pictures as 100 bytes" in done.stdout
    assert "--max-bytes <int range>" in done.stdout


def completing(instruction: str, **variables: str) -> str:
    """What the program says to a shell that asks for completion."""
    done = subprocess.run(
        [sys.executable, "-c", "from sedic.cli.main import app; app(prog_name='sedic')"],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "_SEDIC_COMPLETE": instruction, **variables},
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(shell: str) -> None:
    said = completing(f"source_{shell}")
    assert "_SEDIC_COMPLETE" in said and f"complete_{shell}" in said


def test_completion_knows_commands_options_and_values() -> None:
    for words, expected in (
        ("sedic comp", "compress"),
        ("sedic batch --eng", "--engine"),
        ("sedic compress a.jpg --describer nam", "named"),
    ):
        count = str(len(words.split(" ")) - 1)
        said = completing("complete_bash", COMP_WORDS=words, COMP_CWORD=count)
        assert said.split() == [expected]


@pytest.mark.skipif(
    not (shutil.which("gio") and shutil.which("update-mime-database")),
    reason="needs gio and update-mime-database",
)
def test_the_desktop_knows_the_type(home: Path, coded: Path, tmp_path: Path) -> None:
    assert run("desktop", "install", "--user").exit_code == 0
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(b"\x5e\xdc" + coded.read_bytes())  # as files of version 1 begin
    for path in (coded, unnamed):  # by its name, and by its first bytes
        said = subprocess.run(
            ["gio", "info", "-a", "standard::content-type", path],
            capture_output=True,
            check=True,
            env={**os.environ, "XDG_DATA_HOME": str(home)},
        )
        assert b"image/x-sedic" in said.stdout, path


def test_files_of_others_stay(home: Path) -> None:
    mine = home / "thumbnailers/sedic.thumbnailer"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    refused = run("desktop", "install", "--user")
    assert "is not ours" in str(refused.exception)
    assert list(home.rglob("*.*")) == [mine]
    assert run("desktop", "remove", "--user").stdout == "" and mine.read_text() == "mine"
    assert run("desktop", "install", "--user", "--force").exit_code == 0
    assert mine.read_text() != "mine"


@pytest.mark.parametrize("path", ["/usr/bin/sedic", '/home/a b/100%/$x`"\\/sedic'])
def test_paths_are_quoted(path: str) -> None:
    text = desktop.entries([path])["applications/sedic-view.desktop"]
    (line,) = [line for line in text.splitlines() if line.startswith("Exec=")]
    command = line.removeprefix("Exec=").replace("\\\\", "\\")  # the escapes of the key's value
    words = shlex.split(command.replace("%%", "%").replace("\\$", "$").replace("\\`", "`"))
    assert words == [path, "view", "%f"]


def test_thumbnails(coded: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.tmp"
    target.write_bytes(b"")  # as GNOME calls it
    assert "--force" in str(run("thumbnail", "-s", 48, coded, target).exception)
    done = run("thumbnail", "--force", "-s", 48, coded, target)
    assert done.exit_code == 0, done.output
    expected = Image.fromarray(sedic.preview(coded.read_bytes()))
    expected.thumbnail((48, 48))
    with Image.open(target) as made:
        assert (made.format, made.size) == ("PNG", (48, 32))
        assert np.array_equal(np.asarray(made), np.asarray(expected))
    bad = tmp_path / "bad.sedic"
    bad.write_bytes(b"\x5e\xdc and no more")
    assert isinstance(run("thumbnail", bad, tmp_path / "no.png").exception, sedic.SedicError)
    assert not (tmp_path / "no.png").exists()


def test_view_opens_the_decoded_picture(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("typer.launch", lambda path: shown.append(path) or 0)
    assert run("view", coded, "--preview").exit_code == 0
    assert Path(shown[0]).name == "a-cat.png"
    assert np.array_equal(np.asarray(Image.open(shown[0])), sedic.preview(coded.read_bytes()))
    bad = coded.with_name("bad.sedic")
    bad.write_bytes(b"\x5e\xdc and no more")
    assert isinstance(run("view", bad).exception, sedic.SedicError) and len(shown) == 1
    monkeypatch.setattr("typer.launch", lambda path: 3)
    assert "no program here" in str(run("view", coded, "--preview").exception)
