"""``sedic find`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sedic.cli.main import app
from sedic.coding.container import pack
from sedic.errors import UnsuitableInputError
from sedic.profile import Profile
from sedic.semantics import Mask, ObjectLayer, ReferenceImage, SemanticImage

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, mini: Profile, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        "sedic.word_cache.default_path", lambda: tmp_path / "cache" / "words.sqlite"
    )
    mask = Mask.of(np.ones((2, 3), np.bool_))
    layer = ObjectLayer("macaw", "macaw in red, sharp", mask)
    image = SemanticImage(24, 16, ReferenceImage("pixel", b"x"), "a red macaw", (layer,))
    (tmp_path / "a.sedic").write_bytes(pack(image, mini, profile="mini", mark=b"ab").to_bytes())
    (tmp_path / "bad\x1b.sedic").write_bytes(b"nothing")
    return tmp_path


def test_lines_for_people(folder: Path) -> None:
    found = RUNNER.invoke(app, ["find", str(folder), "red macaw"])
    assert found.exit_code == 0
    assert f"{folder / 'a.sedic'}: macaw in red, sharp" in found.output
    assert "\x1b" not in found.output


def test_json_lines_for_programs(folder: Path) -> None:
    found = RUNNER.invoke(app, ["find", str(folder), "macaw", "--json"])
    facts = [json.loads(line) for line in found.stdout.splitlines()]
    assert facts == [
        {
            "file": str(folder / "a.sedic"),
            "score": 2,
            "where": "macaw in red, sharp",
            "overall": "a red macaw",
            "objects": ["macaw"],
        }
    ]


def test_nothing_found_ends_with_one(folder: Path) -> None:
    assert RUNNER.invoke(app, ["find", str(folder), "boat"]).exit_code == 1


@pytest.mark.parametrize(("where", "words"), [(".", " ,"), ("nowhere", "boat")])
def test_useless_questions_are_refused(folder: Path, where: str, words: str) -> None:
    found = RUNNER.invoke(app, ["find", str(folder / where), words])
    assert isinstance(found.exception, UnsuitableInputError)
