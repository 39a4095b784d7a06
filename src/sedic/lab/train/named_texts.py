"""Named descriptions for the text coder's table, in which all of the classifier's names occur.

In a thousand photographs the classifier gives few names often and most of them never. So colours
and places are measured in photographs, and names are drawn at random: every sentence is one that
the describer could write, and every name occurs about equally often.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sedic.describe import names as table
from sedic.describe.description import cut, cut_detail
from sedic.describe.words import PALETTE
from sedic.errors import SedicError
from sedic.files import write_atomically
from sedic.lab.train import photos
from sedic.picture import load_picture

if TYPE_CHECKING:
    from sedic.describe.region_features import Region

_TIMES = 6  # descriptions of each photograph
_MAX_OBJECTS = 3  # objects


def describe_photos(
    folders: Sequence[Path],
    out: Path,
    count: int = 100,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Writes ``_TIMES`` descriptions of each of ``count`` training photographs, as a corpus.

    Names, regions and word budgets are drawn with a fixed seed. A photograph that cannot be read
    is named in the log and left out; ``SedicError`` if there are none.
    """
    from sedic.describe.named import compose
    from sedic.describe.region_features import measure_maps
    from sedic.describe.things import Thing

    names = table.load_names()
    draw = random.Random(0)
    nodes = [n for n in range(len(names.words)) if n not in names.silent | names.scenes]
    places = sorted(names.scenes)
    lines = []
    for done, path in enumerate(photos.draw(folders, count), 1):
        with photos.leaving_out(path):
            maps = measure_maps(load_picture(path))
            for _ in range(_TIMES):
                things = [
                    Thing(draw.choice(nodes), 1.0, _ellipse(maps.shape, draw))
                    for _ in range(draw.choice((1, 1, 1, 2, 2, _MAX_OBJECTS)))
                ]
                scenes = [draw.choice(places)] if draw.random() < 0.15 else []
                overall, details = compose(maps, things, scenes, names)
                texts = [cut(overall, draw.choice((15, 30, 50)))]
                texts += [cut_detail(name, d, draw.choice((10, 20, 30))) for name, d in details]
                lines.append(json.dumps({"text": "\n".join(texts)}) + "\n")
        progress(done)
    if not lines:
        raise SedicError("none of the photographs can be described")
    write_atomically(out, "".join(lines).encode())


def spell_names(out: Path) -> None:
    """Writes a corpus with every name, at the beginning of a detail and after a colour."""
    names = table.load_names()
    draw = random.Random(0)
    colours = list(PALETTE)
    lines = []
    for node, word in enumerate(names.words):
        if node in names.silent:
            continue
        first, second = draw.choice(colours), draw.choice(colours)
        text = f"{names.with_article(node, first)} and {names.with_article(node, second)} in front"
        lines.append(json.dumps({"text": f"{text}\n{word} in {first}"}) + "\n")
    draw.shuffle(lines)
    write_atomically(out, "".join(lines).encode())


def _ellipse(shape: tuple[int, int], draw: random.Random) -> Region:
    """An ellipse anywhere, a twentieth to half of the raster's sides wide and high."""
    y, x = np.indices(shape)
    centre = [draw.uniform(0.2, 0.8) * size for size in shape]
    radius = [max(1.0, draw.uniform(0.05, 0.5) * size) for size in shape]
    inside: Region = np.hypot((y - centre[0]) / radius[0], (x - centre[1]) / radius[1]) < 1
    return inside


def corpora(folder: Path, progress: Callable[[int], None]) -> list[tuple[Path, int]]:
    """The two corpora in ``folder``, made where they are missing, with their weights."""
    described, spelt = folder / "named.jsonl", folder / "names.jsonl"
    if not described.is_file():
        describe_photos(photos.photo_folders(), described, progress=progress)
    if not spelt.is_file():
        spell_names(spelt)
    return [(described, 1), (spelt, 1)]
