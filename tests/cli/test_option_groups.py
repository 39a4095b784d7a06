"""Options that several commands share become one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from sedic.cli.option_groups import grouped


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(min=1, help="Pixels.")]
    height: Annotated[int, typer.Option(min=1)] = 3


@dataclass(frozen=True)
class Wide(Size):
    PANEL: ClassVar[str] = "How large"

    depth: int = 5


def test_fields_become_options_and_come_back_as_an_object() -> None:
    app, seen = typer.Typer(), []

    @app.command()
    @grouped
    def command(*, size: Wide, name: str = "x") -> None:
        """Say it."""
        seen.append((size, name))

    runner = CliRunner()
    assert runner.invoke(app, ["--width", "2", "--name", "y"]).exit_code == 0
    assert runner.invoke(app, ["--width", "4", "--depth", "6", "--height", "7"]).exit_code == 0
    assert seen == [(Wide(2, 3, 5), "y"), (Wide(4, 7, 6), "x")]
    assert runner.invoke(app, []).exit_code == 2  # --width has no default
    assert runner.invoke(app, ["--width", "0"]).exit_code == 2
    text = runner.invoke(app, ["--help"]).stdout
    assert "Say it." in text and "--depth" in text and "Pixels." in text
    panel = text.index("How large")
    assert text.index("--name") < panel < min(text.index("--width"), text.index("--depth"))


def test_two_options_of_one_name_are_a_mistake() -> None:
    def command(*, size: Size, height: int = 1) -> None:
        pass

    with pytest.raises(TypeError, match="two options are named height"):
        grouped(command)
