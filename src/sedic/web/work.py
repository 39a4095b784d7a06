"""Compresses, decodes and edits for the page, step by step, without gradio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sedic import editing
from sedic.decoder import Decoder
from sedic.encoder import Encoder
from sedic.errors import LimitError, UnsuitableInputError
from sedic.inspection import summary
from sedic.picture import read_picture, resized
from sedic.provenance import Provenance
from sedic.rate import rate_for
from sedic.semantics import GRID
from sedic.web.limits import MAX_BYTES, MIN_BYTES, Limits

if TYPE_CHECKING:
    from sedic.picture import Picture, Region
    from sedic.profile import Profile
    from sedic.synthesis.stages import Stage


@dataclass(frozen=True)
class Step:
    """How far the work is.

    ``text``: what is done now; ``share``: of the work that is done, 0 to 1, where 1 is the end;
    ``data``: the bytes of the ``.sedic`` file, empty before it is made; ``original``: the
    photograph, if there was one; ``stages``: the decoder's results so far; ``notes``: lines for
    the visitor.
    """

    text: str
    share: float
    data: bytes = b""
    original: Picture | None = None
    stages: tuple[Stage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def picture(self) -> Picture | None:
        """The best picture so far, (height, width, 3) uint8."""
        return self.stages[-1].picture if self.stages else None


class Work:
    """Codes and decodes with one profile, within limits."""

    def __init__(self, profile: Profile, limits: Limits) -> None:
        self.profile = profile
        self.limits = limits
        self._decoder = Decoder(profile)

    def compress(self, photograph: bytes, max_bytes: int) -> Iterator[Step]:
        """Code the bytes of a picture file in at most ``max_bytes``, then decode that.

        Raises ``UnsuitableInputError`` for a size that is not ``MIN_BYTES`` to ``MAX_BYTES``,
        and as ``read_picture``, ``Encoder.compress`` and ``Decoder.stages`` do.
        """
        if not MIN_BYTES <= max_bytes <= MAX_BYTES:
            raise UnsuitableInputError(f"a file has {MIN_BYTES} to {MAX_BYTES} bytes here")
        yield Step("Reading the photograph", 0.02)
        loaded = read_picture(photograph)
        picture, notes = self._shrunk(loaded.pixels), loaded.notes
        height, width = picture.shape[:2]
        if picture is not loaded.pixels:
            before = f"{loaded.pixels.shape[1]} × {loaded.pixels.shape[0]}"
            notes += (f"The photograph of {before} pixels was made smaller: {width} × {height}.",)
        yield Step("Finding words and masks", 0.05, original=picture, notes=notes)
        rate = rate_for(width, height, max_bytes=max_bytes, profile=self.profile)
        encoder = Encoder(self.profile)
        described = encoder.describe(picture, rate)
        yield Step(f"Coding at most {max_bytes:,} bytes", 0.3, original=picture, notes=notes)
        made = encoder.compress(picture, rate, described.description)
        notes += described.notes + made.notes
        yield from self._decoded(Step("", 0.6, made.data, picture, notes=notes))

    def open(self, data: bytes) -> Iterator[Step]:
        """Decode a ``.sedic`` file, stage by stage.

        Raises as ``Decoder.stages`` does, and ``LimitError`` for a file of too many pixels.
        """
        container = self._decoder.parse(data)
        if container.width * container.height > self.limits.pixels:
            raise LimitError(
                f"this file asks for {container.width} × {container.height} pixels; this page"
                f" decodes at most {self.limits.pixels:,} (`sedic decompress` has no such limit)"
            )
        self._decoder.semantic_image(data)  # words and masks are read before long work
        yield from self._decoded(Step("", 0.1, data))

    def edit(self, data: bytes, number: int, words: str) -> Iterator[Step]:
        """Change the words of object ``number`` (0: the whole picture), then decode the file.

        Raises as ``editing.edit`` and ``open`` do.
        """
        if number:
            changed = editing.edit(data, self.profile, details={number: words})
        else:
            changed = editing.edit(data, self.profile, overall=words)
        yield from self.open(changed)

    def facts(self, data: bytes) -> dict[str, Any]:
        """The facts of a file that ``sedic inspect --json`` prints."""
        return summary(data, self.profile)

    def regions(self, data: bytes) -> list[Region]:
        """The regions of a file's objects at the size of its picture, (height, width) each."""
        container = self._decoder.parse(data)
        width, height = container.coded_size
        size = container.width, container.height
        return [
            np.array(
                Image.fromarray(
                    layer.mask.array.repeat(GRID, 0).repeat(GRID, 1)[:height, :width]
                ).resize(size, Image.Resampling.NEAREST)
            )
            for layer in self._decoder.semantic_image(data).objects
        ]

    def provenance(self, data: bytes) -> Provenance:
        """The provenance of a file's decoded picture."""
        return Provenance.of_file(self._decoder.parse(data), self.profile)

    def _decoded(self, step: Step) -> Iterator[Step]:
        """Decode the file of ``step``; yields it after every stage, with the stages so far."""
        begin, start = step.share, time.monotonic()
        yield replace(step, text="Decoding the reference image")
        for stage in self._decoder.stages(step.data):
            last = stage.number == stage.count
            step = replace(
                step,
                text="Done" if last else f"Painting: stage {stage.number + 1} of {stage.count}",
                share=begin + (1 - begin) * (stage.number + 1) / (stage.count + 1),
                stages=(*step.stages, stage),
            )
            yield step
            if not last and time.monotonic() - start > self.limits.seconds:
                raise LimitError(
                    f"this took more than {self.limits.seconds:.0f} s and was stopped after"
                    f" stage {stage.number} of {stage.count}"
                )

    def _shrunk(self, picture: Picture) -> Picture:
        """The picture with no more pixels than the limit."""
        height, width = picture.shape[:2]
        factor = (self.limits.pixels / (width * height)) ** 0.5
        if factor >= 1:
            return picture
        return resized(picture, max(1, int(width * factor)), max(1, int(height * factor)))


def difference(before: Picture, after: Picture) -> Picture:
    """How much two pictures differ, eight times amplified: black is no change."""
    changed = np.abs(before.astype(np.int16) - after).max(axis=2, keepdims=True)
    return np.broadcast_to(np.minimum(8 * changed, 255).astype(np.uint8), before.shape).copy()


def mean_change(before: Picture, after: Picture, where: Region) -> float:
    """The mean change of a sample, 0 to 255, where the mask ``where`` is set (0: nowhere)."""
    if not where.any():
        return 0.0
    return float(np.abs(before[where].astype(np.int16) - after[where]).mean())
