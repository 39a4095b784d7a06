"""What the measured description says of every training photograph, made once and kept.

The restorer learns from the same words and masks that it will meet in files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sedic.describe import sidecar
from sedic.describe.description import Description
from sedic.describe.measured import describe
from sedic.lab.train import photos
from sedic.semantics import Rate


def describe_all(
    paths: Sequence[Path], folder: Path, progress: Callable[[int], None]
) -> list[Description]:
    """The descriptions of these photographs, with as many objects and words as a file may have.

    They are kept as sidecar files in ``folder``; those already there are only read.
    """
    most = Rate(1)
    scenes = []
    for done, path in enumerate(paths, 1):
        kept = folder / path.parent.name / f"{path.stem}.json"
        photo = photos.load(path)
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            found = describe(photo, most.max_objects, most.detail_words, most.overall_words)
            sidecar.save(found, kept)
        scenes.append(sidecar.load(kept, photo.shape[1], photo.shape[0]))
        progress(done)
    return scenes
