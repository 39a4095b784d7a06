"""Counting names: what is named and right at every threshold, of the photographs judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from sedic.errors import MissingWeightsError, SedicError
from sedic.lab.bench.naming import Naming, draw, look_at, read_judgement, sheet, table
from sedic.models import classifier

FOUND = [Naming("a.png", "fox", 0.95), Naming("b.png", "ram", 0.55), Naming("c.png", "cup", 0.35)]


def rows(wrong: frozenset[str]) -> dict[str, list[str]]:
    lines = table(FOUND, 10, wrong).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_precision_rises_where_wrong_names_are_unsure() -> None:
    found = rows(frozenset({"b.png"}))
    assert found["0.3"] == ["3", "30%", "2", "67%"]
    assert found["0.5"] == ["2", "20%", "1", "50%"]
    assert found["0.9"] == ["1", "10%", "1", "100%"]


def test_nothing_named_is_no_precision() -> None:
    assert table([], 5, frozenset()).splitlines()[-1] == "| 0.9 | 0 | 0% | 0 | - |"


def test_a_judgement_of_another_photograph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("# by hand\nb.png a goat\n\nx.png\n")
    assert read_judgement(path) == {"b.png", "x.png"}
    with pytest.raises(SedicError, match=r"x\.png"):
        table(FOUND, 3, read_judgement(path))


def test_photographs_are_named_and_shown(tmp_path: Path) -> None:
    try:
        classifier.checkpoint()
    except MissingWeightsError as error:
        pytest.skip(str(error))
    Image.fromarray(samples.chelsea()).save(tmp_path / "cat.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = look_at([tmp_path / "cat.png", tmp_path / "broken.png"])
    assert [naming.file for naming in found] == ["cat.png"]
    assert "cat" in found[0].name and 0.05 < found[0].chance <= 1
    picture = sheet(found, tmp_path)
    assert picture.dtype == np.uint8 and picture.any()


def test_the_same_photographs_are_drawn_again(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.png").write_bytes(b"")
    assert draw(tmp_path, 20) == draw(tmp_path, 20) and len(set(draw(tmp_path, 20))) == 20
