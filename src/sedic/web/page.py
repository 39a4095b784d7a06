"""The page, laid out with gradio, and its endpoints for programs.

One ``.sedic`` file is open at a time: made from a photograph, or a visitor's own. Everything below
the two ways in shows that file. The endpoints ``/compress``, ``/decode`` and ``/edit`` do the same
for ``gradio_client``, without state between calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from sedic.web import views
from sedic.web.events import OUTPUTS, WHOLE, Events, as_endpoint
from sedic.web.limits import MAX_BYTES, MIN_BYTES
from sedic.web.storage import Files
from sedic.web.work import Work

STYLE = (Path(__file__).parent / "page.css").read_text()
# Fonts of the system: gradio's own themes load theirs from elsewhere.
THEME: dict[str, Any] = {
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


def build(work: Work, folder: Path) -> gr.Blocks:
    """The page; ``folder`` is where gradio keeps the visitors' files."""
    limits = work.limits
    events = Events(work, Files(folder, limits.upload_bytes))
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
                        photo = gr.Image(
                            sources=["upload", "clipboard"],
                            type="filepath",
                            label="Photograph",
                            height=240,
                            buttons=[],
                        )
                        size = gr.Slider(
                            MIN_BYTES,
                            MAX_BYTES,
                            value=600,
                            step=10,
                            label="Bytes of the file, at most",
                            info="A radio packet takes about 200, a long SMS 600.",
                            buttons=[],
                        )
                        start = gr.Button("Compress and decode", variant="primary")
                    with gr.Tab(".sedic file"):
                        file = gr.File(
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
                parts["target"] = gr.Dropdown([WHOLE], value=WHOLE, label="Of what", min_width=240)
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
                        elem_classes="difference",
                        interactive=False,
                        format="png",
                        buttons=[],
                    )
        for taken in (photo, file):
            _hand_on(taken)
        _endpoints(events, photo, size, file)
        controls = {"photo": photo, "size": size, "file": file}
        _connect(events, parts, **controls, start=start, again=again, change=change)
    return blocks


def _hand_on(component: Any) -> None:
    """Make a component return files as they were uploaded: sedic reads all pictures itself."""
    component.preprocess = lambda payload: payload.path if payload else None


def _part(title: str, text: str) -> None:
    gr.HTML(f'<h2 class="part">{title}</h2><p class="explain">{text}</p>', padding=False)


def _connect(events: Events, parts: dict[str, Any], **controls: Any) -> None:
    """Connect the controls with their event handlers. One queue runs one request at a time."""
    outputs = [parts[name] for name in OUTPUTS]
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
        controls["start"].click(events.compress, [controls["photo"], controls["size"]], **codec),
        controls["file"].upload(events.open, [controls["file"]], **codec),
        controls["again"].click(events.open, [controls["file"]], **codec),
        controls["change"].click(events.edit, [opened, target, words], **codec),
        words.submit(events.edit, [opened, target, words], **codec),
    ]
    parts["stop"].click(
        lambda: (views.done(["Stopped."]), gr.update(visible=False)),
        outputs=[parts["status"], parts["stop"]],
        cancels=running,
        queue=False,
        api_visibility="private",
    )
    target.input(events.words_of, [opened, target], [words], queue=False, api_visibility="private")


def _endpoints(events: Events, photo: gr.Image, size: gr.Slider, file: gr.File) -> None:
    """``/compress``, ``/decode`` and ``/edit``, for ``gradio_client``."""
    with gr.Row(visible=False):
        number = gr.Number(0, precision=0, label="Object, 0 for the whole picture")
        words = gr.Textbox(label="Words")
        results = [gr.File(label="File"), gr.File(label="Picture"), gr.JSON(label="Facts")]
        for name, function, inputs, text in (
            ("compress", events.api_compress, [photo, size], "Code a photograph and decode it."),
            ("decode", events.api_decode, [file], "Decode a .sedic file."),
            ("edit", events.api_edit, [file, number, words], "Change words of a .sedic file."),
        ):
            gr.Button(name).click(
                as_endpoint(function),
                inputs,
                results,
                api_name=name,
                api_description=f"{text} Gives the file, the decoded picture, and what"
                " `sedic inspect --json` says.",
                concurrency_id="codec",
                concurrency_limit=1,
            )
