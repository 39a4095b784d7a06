from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sedic.cli.models import models_app
from sedic.errors import SedicError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(models_app, arguments)
    if isinstance(done.exception, SedicError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_list_says_what_each_model_costs_and_under_which_licence(folder: Path) -> None:
    said = run("list")
    assert "stable-diffusion-2-1-base" in said and "CreativeML Open RAIL++-M" in said
    assert "yes" not in said and str(folder) in said


def test_help_teaches_the_first_command() -> None:
    assert "sedic models fetch sd21" in run("--help")


def test_unknown_names_list_the_known_ones() -> None:
    for command in ("fetch", "verify"):
        with pytest.raises(SedicError, match=r"known: .*sd21"):
            run(command, "sd99")


def test_verify_fails_where_files_are_missing() -> None:
    with pytest.raises(SedicError, match="12 files missing"):
        run("verify", "sd21")


def test_convert_names_the_file_it_cannot_use(folder: Path) -> None:
    path = folder / "else.pth"
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(SedicError, match=r"else\.pth: x is none of the names"):
        run("convert", str(path))
    assert not (folder / "sd21" / "unet").exists()
