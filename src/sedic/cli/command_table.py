"""The commands of ``sedic``, each imported when it is asked for: a start costs what it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

# Names and places, in the order of the help. A place is a function or a group (``typer.Typer``).
PLACES = {
    "compress": "sedic.cli.compress:compress",
    "decompress": "sedic.cli.decompress:decompress",
    "inspect": "sedic.cli.inspect_command:inspect",
    "edit": "sedic.cli.edit:edit",
    "demo": "sedic.cli.demo_command:demo",
    "find": "sedic.cli.find:find",
    "packets": "sedic.cli.packets:packets_app",
    "batch": "sedic.cli.batch:batch",
    "web": "sedic.cli.web:web",
    "view": "sedic.cli.desktop:view",
    "thumbnail": "sedic.cli.desktop:thumbnail",
    "desktop": "sedic.cli.desktop:desktop_app",
    "models": "sedic.cli.models:models_app",
    "train": "sedic.cli.train:train_app",
    "bench": "sedic.cli.bench:bench_app",
}


class CommandTable(Mapping[str, Any]):
    """The commands by name, as click's kind; to look one up imports it."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = PLACES[name].partition(":")
        made = getattr(import_module(module), attribute)
        if isinstance(made, typer.Typer):
            command: Any = get_group(made)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
            alone.command(name)(made)
            command = get_command(alone)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = CommandTable()  # type: ignore[assignment]
