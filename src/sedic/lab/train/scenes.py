"""Measured descriptions of training photographs, made once and kept as files.

The restorer learns from the same words and masks that it will meet in files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sedic.describe import sidecar
from sedic.describe.description import Description
from sedic.describe.measured import describe
from sedic.errors import SedicError
from sedic.lab.train.photos import Photograph, leaving_out
from sedic.semantics import Rate


def describe_all(
    photographs: Sequence[Photograph], folder: Path, progress: Callable[[int], None]
) -> list[tuple[Photograph, Description]]:
    """Each photograph with its description, of as many objects and words as a file may have.

    Descriptions are kept as sidecar files in ``folder``; those already there are only read. A
    photograph whose description fails is named in the log and left out; ``SedicError`` if all are.
    """
    limits = Rate(1)
    described = []
    for done, photograph in enumerate(photographs, 1):
        path, pixels = photograph.path, photograph.pixels
        sidecar_path = folder / path.parent.name / f"{path.stem}.json"
        with leaving_out(path):
            if not sidecar_path.is_file():
                sidecar_path.parent.mkdir(parents=True, exist_ok=True)
                description = describe(
                    pixels, limits.max_objects, limits.detail_words, limits.overall_words
                )
                sidecar.save_description(description, sidecar_path)
            height, width = pixels.shape[:2]
            described.append((photograph, sidecar.load_description(sidecar_path, width, height)))
        progress(done)
    if not described:
        raise SedicError("none of the photographs can be described")
    return described
