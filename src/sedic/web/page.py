"""The page, laid out with gradio, and its endpoints for programs.

One ``.sedic`` file is open at a time: made from a photograph, or a visitor's own. Everything below
the two ways in shows that file. The endpoints ``/compress``, ``/decode`` and ``/edit`` do the same
for ``gradio_client``, without anything remembered between calls.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sedic.cli.progress import slug
from sedic.errors import LimitError, SedicError, UnsuitableInputError
from sedic.failures import translated
from sedic.picture import Picture, save_picture
from sedic.web import views
from sedic.web.limits import LEAST_BYTES, MOST_BYTES
from sedic.web.work import Step, Work, difference, mean_change

STYLE = (Path(__file__).parent / "page.css").read_text()
# Fonts of the system: gradio's own themes load theirs from elsewhere.
LOOKS: dict[str, Any] = {
    "theme": gr.themes.Base(
        primary_hue="teal",
        neutral_hue="gray",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_700",
    ),
    "css": STYLE,
}
_WHOLE = "The whole picture"


class _Photograph(gr.Image):
    """An image that is handed on as it was uploaded: sedic is the only reader of pictures."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


class _File(gr.File):
    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


@dataclass(frozen=True)
class Opened:
    """The file that a visitor looks at. ``source_bytes``: of the photograph's file, or 0."""

    data: bytes
    stem: str
    picture: Picture
    original: Picture | None = None
    source_bytes: int = 0


class Files:
    """The visitors' files, in one folder."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder.resolve()
        self._limit = limit

    def read(self, path: str | None) -> tuple[bytes, str]:
        """An uploaded file, and its name without suffix, of harmless letters.

        Raises ``UnsuitableInputError`` where it is none or gone, ``LimitError`` where it is too
        large.
        """
        if not path:
            raise UnsuitableInputError("choose a file first")
        place = Path(path).resolve()
        if not place.is_relative_to(self._folder) or not place.is_file():
            raise UnsuitableInputError("the file is not here any more: upload it again")
        with place.open("rb") as file:
            data = file.read(self._limit + 1)
        if len(data) > self._limit:
            raise LimitError(f"a file may have at most {self._limit:,} bytes here")
        return data, slug(place.stem)

    def write(self, name: str, data: bytes) -> str:
        """A new file of this name, to be downloaded; its path."""
        path = self._new(name)
        path.write_bytes(data)
        return str(path)

    def write_picture(self, name: str, picture: Picture, xmp: bytes = b"") -> str:
        """The same for a picture, as PNG, with metadata."""
        path = self._new(name)
        save_picture(picture, path, xmp=xmp)
        return str(path)

    def _new(self, name: str) -> Path:
        folder = self._folder / secrets.token_hex(16)
        folder.mkdir()
        return folder / name


class Page:
    """The functions behind the page's events; each yields the outputs of ``build``."""

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

    # ---- what is shown -----------------------------------------------------------------------

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
        chosen = names[number - 1] if number else _WHOLE
        shown = {
            "status": views.done(step.notes),
            "stop": gr.update(visible=False),
            "opened": opened,
            "compare": gr.update(
                value=(opened.original if original is not None else step.stages[0].picture, picture),
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
            "target": gr.update(choices=[_WHOLE, *names], value=chosen),
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
        """What there is to see while work goes on."""
        if step.picture is None:
            return gr.skip()
        left = step.original if step.original is not None else step.stages[0].picture
        return gr.update(value=(left, step.picture), label="So far: the reference image on the right")

    @staticmethod
    def _words(facts: dict[str, Any], number: int) -> str:
        if number > len(facts["objects"]):
            return ""
        return str(facts["objects"][number - 1]["detail"] if number else facts["overall"])


_OUTPUTS = (
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
    """Values in the order of ``_OUTPUTS``; what is not named stays as it is."""
    return tuple(values.get(name, gr.skip()) for name in _OUTPUTS)


def _guarded(steps: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """``steps``, and a line instead of an error."""
    try:
        with translated("this did not work"):
            yield from steps
    except SedicError as error:
        yield _outputs(status=views.problem(str(error)), stop=gr.update(visible=False))


def _as_gradio(function: Any) -> Any:
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


def _title(stage: Any) -> str:
    if stage.number == 0:
        return "Reference image, as it was sent"
    return f"Object {stage.object_number}: {stage.title}" if stage.object_number else "The whole"


def build(work: Work, folder: Path) -> gr.Blocks:
    """The page; ``folder`` is where gradio keeps the visitors' files."""
    limits = work.limits
    page = Page(work, Files(folder, limits.upload_bytes))
    keep = limits.keep_seconds
    parts: dict[str, Any] = {}
    with gr.Blocks(
        title="sedic", analytics_enabled=False, delete_cache=(max(1, keep // 10), keep)
    ) as blocks:
        parts["opened"] = gr.State(None, time_to_live=keep)
        gr.HTML(views.introduction(max(1, keep // 60)), padding=False)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                with gr.Tabs():
                    with gr.Tab("Photograph"):
                        photo = _Photograph(
                            sources=["upload", "clipboard"],
                            type="filepath",
                            label="Photograph",
                            height=240,
                            buttons=[],
                        )
                        size = gr.Slider(
                            LEAST_BYTES,
                            MOST_BYTES,
                            value=600,
                            step=10,
                            label="Bytes of the file, at most",
                            info="A radio packet takes about 200, a long SMS 600.",
                            buttons=[],
                        )
                        start = gr.Button("Compress and decode", variant="primary")
                    with gr.Tab(".sedic file"):
                        file = _File(
                            file_types=[".sedic"], type="filepath", label=".sedic file", height=160
                        )
                        again = gr.Button("Decode", variant="primary")
                parts["stop"] = gr.Button("Stop", size="sm", visible=False)
                parts["status"] = gr.HTML(padding=False)
            with gr.Column(scale=3, min_width=300):
                parts["compare"] = gr.ImageSlider(
                    label="Original and decoded picture",
                    interactive=False,
                    format="png",
                    buttons=["fullscreen"],
                    max_height=560,
                )
                parts["headline"] = gr.HTML(views.BEFORE, padding=False)
                with gr.Row(visible=False) as parts["downloads"]:
                    parts["file"] = gr.DownloadButton("Download", size="md")
                    parts["picture"] = gr.DownloadButton("Download the picture (PNG)", size="md")
        with gr.Column(visible=False) as parts["details"]:
            _part(
                "What the file says",
                "These words and masks are in the file. A program found them in the photograph; it"
                " errs.",
            )
            with gr.Row():
                with gr.Column(min_width=320):
                    parts["words"] = gr.HTML(padding=False)
                parts["masks"] = gr.AnnotatedImage(
                    label="Masks of the objects",
                    format="png",
                    height=300,
                    buttons=[],
                    elem_classes="masks",
                    min_width=320,
                )
            _part("Where the bytes go", "As <code>sedic inspect</code> counts them.")
            parts["bytes"] = gr.HTML(padding=False)
            _part(
                "Stage by stage",
                "The decoder paints over the reference image, object by object, then the whole.",
            )
            parts["stages"] = gr.Gallery(
                show_label=False,
                columns=3,
                rows=1,
                height="auto",
                object_fit="contain",
                format="png",
                interactive=False,
                buttons=["fullscreen"],
                elem_classes="stages",
            )
            _part(
                "Say something else",
                "Change the words of the file and see what the decoder makes of them."
                + (views.SURFACES if work.profile.name == "mini" else ""),
            )
            with gr.Row():
                parts["target"] = gr.Dropdown([_WHOLE], value=_WHOLE, label="Of what", min_width=240)
                parts["new_words"] = gr.Textbox(
                    label="Words; those of an object begin with its name",
                    max_length=600,
                    scale=3,
                    min_width=320,
                )
            change = gr.Button("Decode with these words", variant="primary")
            with gr.Column(visible=False) as parts["edited"]:
                parts["change"] = gr.HTML(padding=False)
                with gr.Row():
                    parts["before_after"] = gr.ImageSlider(
                        label="Left: before. Right: with the new words.",
                        interactive=False,
                        format="png",
                        buttons=["fullscreen"],
                        max_height=420,
                    )
                    parts["difference"] = gr.Image(
                        label="What changed, eight times amplified",
                        interactive=False,
                        format="png",
                        buttons=[],
                    )
        _endpoints(page, photo, size, file)
        controls = {"photo": photo, "size": size, "file": file}
        _connect(page, parts, **controls, start=start, again=again, change=change)
    return blocks


def _part(title: str, text: str) -> None:
    gr.HTML(f'<h2 class="part">{title}</h2><p class="explain">{text}</p>', padding=False)


def _connect(page: Page, parts: dict[str, Any], **controls: Any) -> None:
    """What happens when a visitor acts. All work waits in one queue, one request at a time."""
    outputs = [parts[name] for name in _OUTPUTS]
    codec: dict[str, Any] = {
        "outputs": outputs,
        "concurrency_id": "codec",
        "concurrency_limit": 1,
        "show_progress": "minimal",
        "show_progress_on": [parts["status"]],
        "api_visibility": "private",
    }
    opened, target, words = parts["opened"], parts["target"], parts["new_words"]
    running = [
        controls["start"].click(page.compress, [controls["photo"], controls["size"]], **codec),
        controls["file"].upload(page.open, [controls["file"]], **codec),
        controls["again"].click(page.open, [controls["file"]], **codec),
        controls["change"].click(page.edit, [opened, target, words], **codec),
        words.submit(page.edit, [opened, target, words], **codec),
    ]
    parts["stop"].click(
        lambda: (views.done(["Stopped."]), gr.update(visible=False)),
        outputs=[parts["status"], parts["stop"]],
        cancels=running,
        queue=False,
        api_visibility="private",
    )
    target.input(
        page.words_of, [opened, target], [words], queue=False, api_visibility="private"
    )


def _endpoints(page: Page, photo: gr.Image, size: gr.Slider, file: gr.File) -> None:
    """``/compress``, ``/decode`` and ``/edit``, for ``gradio_client``."""
    with gr.Row(visible=False):
        number = gr.Number(0, precision=0, label="Object, 0 for the whole picture")
        words = gr.Textbox(label="Words")
        results = [gr.File(label="File"), gr.File(label="Picture"), gr.JSON(label="Facts")]
        for name, function, inputs, text in (
            ("compress", page.api_compress, [photo, size], "Code a photograph and decode it."),
            ("decode", page.api_decode, [file], "Decode a .sedic file."),
            ("edit", page.api_edit, [file, number, words], "Change words of a .sedic file."),
        ):
            gr.Button(name).click(
                _as_gradio(function),
                inputs,
                results,
                api_name=name,
                api_description=f"{text} Gives the file, the decoded picture, and what"
                " `sedic inspect --json` says.",
                concurrency_id="codec",
                concurrency_limit=1,
            )
