"""The event handlers of the page, and the functions of its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr
import numpy as np

from sedic.errors import SedicError, UnsuitableInputError
from sedic.failures import translated
from sedic.picture import Picture
from sedic.synthesis.stages import Stage
from sedic.web import views
from sedic.web.storage import Files
from sedic.web.work import Step, Work, difference, mean_change

WHOLE = "The whole picture"


@dataclass(frozen=True)
class Opened:
    """The file that a visitor looks at. ``source_bytes``: of the photograph's file, or 0."""

    data: bytes
    stem: str
    picture: Picture
    original: Picture | None = None
    source_bytes: int = 0


class Events:
    """The functions behind the page's events. Those for visitors yield ``OUTPUTS``."""

    def __init__(self, work: Work, files: Files) -> None:
        self.work = work
        self.files = files

    # ---- for visitors ------------------------------------------------------------------------

    def compress(self, photo: str | None, max_bytes: float) -> Iterator[tuple[Any, ...]]:
        def steps() -> Iterator[tuple[Any, ...]]:
            data, stem = self.files.read(photo)
            for step in self.work.compress(data, int(max_bytes)):
                yield from self._shown(step, stem, len(data))

        yield from _guarded(steps())

    def open(self, file: str | None) -> Iterator[tuple[Any, ...]]:
        def steps() -> Iterator[tuple[Any, ...]]:
            data, stem = self.files.read(file)
            for step in self.work.open(data):
                yield from self._shown(step, stem, 0)

        yield from _guarded(steps())

    def edit(
        self, opened: Opened | None, target: str | None, words: str
    ) -> Iterator[tuple[Any, ...]]:
        def steps() -> Iterator[tuple[Any, ...]]:
            if opened is None:
                raise UnsuitableInputError("the file is not here any more: open it again")
            number = _number(target)
            for step in self.work.edit(opened.data, number, words):
                yield from self._shown(step, opened.stem, opened.source_bytes, opened, number)

        yield from _guarded(steps())

    def words_of(self, opened: Opened | None, target: str | None) -> str:
        """The present words of what is to be edited."""
        if opened is None:
            return ""
        return self._words(self.work.facts(opened.data), _number(target))

    # ---- for programs ------------------------------------------------------------------------

    def api_compress(self, photo: str, max_bytes: float) -> tuple[str, str, dict[str, Any]]:
        data, stem = self.files.read(photo)
        return self._result(self.work.compress(data, int(max_bytes)), stem)

    def api_decode(self, file: str) -> tuple[str, str, dict[str, Any]]:
        data, stem = self.files.read(file)
        return self._result(self.work.open(data), stem)

    def api_edit(self, file: str, number: float, words: str) -> tuple[str, str, dict[str, Any]]:
        data, stem = self.files.read(file)
        return self._result(self.work.edit(data, int(number), words), stem)

    def _result(self, steps: Iterator[Step], stem: str) -> tuple[str, str, dict[str, Any]]:
        *_, last = steps
        assert last.picture is not None
        xmp = self.work.provenance(last.data).to_xmp()
        file = self.files.write(f"{stem}.sedic", last.data)
        picture = self.files.write_picture(f"{stem}-decoded.png", last.picture, xmp)
        return file, picture, self.work.facts(last.data)

    # ---- outputs -----------------------------------------------------------------------------

    def _shown(
        self,
        step: Step,
        stem: str,
        source_bytes: int,
        before: Opened | None = None,
        number: int = 0,
    ) -> Iterator[tuple[Any, ...]]:
        """The outputs after a step: a bar and the picture so far, at the end everything."""
        if step.share < 1 or step.picture is None:
            yield _outputs(
                status=views.status(step.text, step.share),
                stop=gr.update(visible=True),
                compare=self._early(step),
            )
            return
        facts = self.work.facts(step.data)
        original = before.original if before else step.original
        opened = Opened(step.data, stem, step.picture, original, source_bytes)
        xmp = self.work.provenance(step.data).to_xmp()
        picture = self.files.write_picture(f"{stem}-decoded.png", step.picture, xmp)
        regions = self.work.regions(step.data)
        names = [f"{n}: {one['name']}" for n, one in enumerate(facts["objects"], 1)]
        chosen = names[number - 1] if number else WHOLE
        shown = {
            "status": views.done(step.notes),
            "stop": gr.update(visible=False),
            "opened": opened,
            "compare": gr.update(
                value=(
                    opened.original if original is not None else step.stages[0].picture,
                    picture,
                ),
                label="Left: original. Right: decoded."
                if original is not None
                else "Left: reference image. Right: decoded.",
            ),
            "headline": views.headline(facts, source_bytes),
            "file": gr.update(
                value=self.files.write(f"{stem}.sedic", step.data),
                label=f"Download {stem}.sedic ({len(step.data):,} bytes)",
            ),
            "picture": gr.update(value=picture),
            "downloads": gr.update(visible=True),
            "details": gr.update(visible=True),
            "words": views.words(facts),
            "masks": gr.update(
                value=(step.picture, list(zip(regions, names, strict=True))),
                color_map=dict(zip(names, views.COLOURS, strict=False)),
                visible=bool(names),
            ),
            "bytes": views.bytes_of(facts),
            "stages": [
                (stage.picture, f"{stage.number}. {_title(stage)}") for stage in step.stages
            ],
            "target": gr.update(choices=[WHOLE, *names], value=chosen),
            "new_words": self._words(facts, number),
            "edited": gr.update(visible=before is not None),
        }
        if before is not None:
            where = regions[number - 1] if number else np.ones(step.picture.shape[:2], np.bool_)
            name = facts["objects"][number - 1]["name"] if number else ""
            changed = [mean_change(before.picture, step.picture, part) for part in (where, ~where)]
            inside, outside = changed if number else (0.0, changed[0])
            sizes = len(before.data), len(step.data)
            shown["change"] = views.change(name, inside, outside, sizes)
            shown["before_after"] = (before.picture, picture)
            shown["difference"] = difference(before.picture, step.picture)
        yield _outputs(**shown)

    def _early(self, step: Step) -> Any:
        """The comparison of pictures while work goes on."""
        if step.picture is None:
            return gr.skip()
        left = step.original if step.original is not None else step.stages[0].picture
        return gr.update(
            value=(left, step.picture), label="So far: the reference image on the right"
        )

    @staticmethod
    def _words(facts: dict[str, Any], number: int) -> str:
        if number > len(facts["objects"]):
            return ""
        return str(facts["objects"][number - 1]["detail"] if number else facts["overall"])


OUTPUTS = (
    "status",
    "stop",
    "opened",
    "compare",
    "headline",
    "downloads",
    "file",
    "picture",
    "details",
    "words",
    "masks",
    "bytes",
    "stages",
    "target",
    "new_words",
    "edited",
    "change",
    "before_after",
    "difference",
)


def _outputs(**values: Any) -> tuple[Any, ...]:
    """Values in the order of ``OUTPUTS``; what is not named stays as it is."""
    return tuple(values.get(name, gr.skip()) for name in OUTPUTS)


def _guarded(steps: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """``steps``, and a line instead of an error."""
    try:
        with translated("this did not work"):
            yield from steps
    except SedicError as error:
        yield _outputs(status=views.problem(str(error)), stop=gr.update(visible=False))


def as_endpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for programs, whose errors reach them as one line."""

    @wraps(function)  # endpoints have the names of its parameters
    def run(*arguments: Any) -> Any:
        try:
            with translated("this did not work"):
                return function(*arguments)
        except SedicError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return run


def _number(target: str | None) -> int:
    """The object that a choice of the list names; 0 is the whole picture."""
    head = (target or "").partition(":")[0]
    return int(head) if head.isdigit() else 0


def _title(stage: Stage) -> str:
    if stage.number == 0:
        return "Reference image, as it was sent"
    return f"Object {stage.object_number}: {stage.title}" if stage.object_number else "The whole"
