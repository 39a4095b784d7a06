"""Stages as files, and stopping early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sedic.cli.progress import last_picture
from sedic.errors import SedicError
from sedic.files import slug
from sedic.picture import load_picture
from sedic.synthesis.stages import Stage

TITLES = ("reference", "red bus", "../../etc", "the whole picture")


def stages(seen: list[int]) -> Iterator[Stage]:
    for number, title in enumerate(TITLES):
        seen.append(number)
        yield Stage(number, 3, title, np.full((4, 6, 3), 40 * number, np.uint8))


def test_every_stage_is_written_and_the_last_one_returned(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "stages"
    picture = last_picture(stages([]), None, folder, force=False)
    assert picture.max() == 120
    names = ["00-reference", "01-red-bus", "02-etc", "03-the-whole-picture"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png" for name in names]
    for number, name in enumerate(names):
        assert load_picture(folder / f"{name}.png").max() == 40 * number
    with pytest.raises(SedicError, match="--force"):
        last_picture(stages([]), None, folder, force=False)


def test_what_comes_after_the_last_wanted_stage_is_not_computed() -> None:
    seen: list[int] = []
    assert last_picture(stages(seen), 1, None, force=False).max() == 40
    assert seen == [0, 1]
    seen.clear()
    with pytest.raises(SedicError, match="no stage 4: this file has 0 to 3"):
        last_picture(stages(seen), 4, None, force=False)
    assert seen == [0]


@pytest.mark.parametrize("title", ["", "…", "a/b\\c:d\0\x1b[31m", "x" * 500, "CON.", "Ärger"])
def test_titles_are_safe_in_file_names(title: str) -> None:
    made = slug(title)
    assert 0 < len(made) <= 40 and made.isascii() and made.replace("-", "").isalnum()
