"""How many photographs get a name, and how many of the names are right, by threshold.

Which name is right, only a person can say: ``look_at`` gives the names and ``sheet`` a picture of
them to look at; the files of those that are wrong go into a text file, one a line, and ``table``
counts. Names are of whole pictures, as both looks of the describer give them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sedic.errors import SedicError
from sedic.files import printable, read_bounded
from sedic.lab.train import photos
from sedic.picture import load_picture

if TYPE_CHECKING:
    from sedic.picture import Picture

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TILE, _COLUMNS = 160, 8
_LONGEST = 1 << 20  # bytes of a file of judgements


@dataclass(frozen=True)
class Naming:
    """A photograph's most likely name, and the smaller of its chances in two views."""

    file: str
    name: str
    chance: float


def draw(folder: Path, count: int) -> list[Path]:
    """Photographs of a folder that nothing was trained on, then others with a fixed seed."""
    others = photos.find_photographs([folder], held_out=False)
    random.Random(18).shuffle(others)
    with suppress(SedicError):  # where none is held out
        others = [*photos.find_photographs([folder], held_out=True), *others]
    return others[:count]


def look_at(
    paths: Sequence[Path], progress: Callable[[int], None] = lambda done: None
) -> list[Naming]:
    """The names of photographs; one that cannot be read is named in the log and left out."""
    from sedic.describe import names as table_of_names
    from sedic.describe.activation import whole_looks
    from sedic.models.classifier import load_classifier

    names, classifier = table_of_names.load_names(), load_classifier()
    own = np.equal(names.depth, 0)
    namings = []
    for done, path in enumerate(paths, 1):
        with photos.leaving_out(path):
            chances = names.chances(whole_looks(load_picture(path), classifier)).min(axis=0) * own
            node = int(chances.argmax())
            if node not in names.silent:
                namings.append(Naming(path.name, names.words[node], float(chances[node])))
        progress(done)
    return namings


def read_judgement(path: Path) -> frozenset[str]:
    """The files whose names are wrong: one a line, what follows a blank is a remark."""
    lines = read_bounded(path, _LONGEST).decode("utf-8", "replace").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip() and line[0] != "#")


def table(namings: Sequence[Naming], tried: int, wrong: frozenset[str]) -> str:
    """Named photographs and right names at every threshold, as a Markdown table.

    ``SedicError`` where a file of ``wrong`` is not among ``namings``.
    """
    if unknown := wrong - {naming.file for naming in namings}:
        raise SedicError(f"no such photograph was classified: {printable(min(unknown))}")
    lines = [
        "| chance in both views, at least | named | of all | right | precision |",
        "|---|---|---|---|---|",
    ]
    for threshold in THRESHOLDS:
        named = [naming for naming in namings if naming.chance >= threshold]
        right = sum(naming.file not in wrong for naming in named)
        precision = f"{right / len(named):.0%}" if named else "-"
        share = f"{len(named) / max(tried, 1):.0%}"
        lines.append(f"| {threshold} | {len(named)} | {share} | {right} | {precision} |")
    return "\n".join(lines) + "\n"


def sheet(namings: Sequence[Naming], folder: Path) -> Picture:
    """The photographs under their numbers, names and chances, to be judged by a person."""
    rows = -(-len(namings) // _COLUMNS)
    picture = Image.new("RGB", (_COLUMNS * _TILE, max(rows, 1) * (_TILE + 16)), "black")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for number, naming in enumerate(namings):
        x, y = number % _COLUMNS * _TILE, number // _COLUMNS * (_TILE + 16)
        small = Image.fromarray(load_picture(folder / naming.file))
        small.thumbnail((_TILE - 4, _TILE - 4))
        picture.paste(small, (x, y))
        pen.text((x, y + _TILE - 2), f"{number} {naming.name} {naming.chance:.2f}", "white", font)
    return np.asarray(picture)
