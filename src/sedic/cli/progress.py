"""Decoding stage by stage on the command line: a progress bar, pictures of stages, early stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sedic.cli.console import is_terminal
from sedic.errors import SedicError
from sedic.files import make_folder, slug
from sedic.picture import save_picture

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.synthesis.stages import Stage


def last_picture(
    stages: Iterator[Stage], until: int | None, folder: Path | None, *, force: bool
) -> Picture:
    """Run ``stages`` up to number ``until`` or to their end, under a progress bar.

    With a ``folder``, the picture after each is written there as ``NUMBER-TITLE.png``, of objects
    as ``NUMBER-object-K-NAME.png`` with K as `inspect` counts. Raises ``SedicError`` where there is
    no such stage, before any is computed.
    """
    if folder is not None:
        make_folder(folder)
    with _bar() as show:
        for stage in stages:
            if until is not None and until > stage.count:
                raise SedicError(f"there is no stage {until}: this file has 0 to {stage.count}")
            show(stage)
            place = f"object-{stage.object_number}-" if stage.object_number else ""
            if folder is not None:
                name = f"{stage.number:02}-{place}{slug(stage.title)}.png"
                save_picture(stage.picture, folder / name, force=force)
            if stage.number == until:
                break
    return stage.picture


@contextmanager
def _bar() -> Iterator[Callable[[Stage], None]]:
    """A progress bar that shows each stage it is called with; nothing without a terminal."""
    if not is_terminal():
        yield lambda stage: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("loading", total=None)

        def show(stage: Stage) -> None:
            place = f"object {stage.object_number}: " if stage.object_number else ""
            title = place + stage.title
            bars.update(bar, completed=stage.number, total=stage.count, description=title)

        yield show
