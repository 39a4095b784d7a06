"""HTML of the page. Words of files are escaped, because anybody may have written them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

COLOURS = ("#d1495b", "#2e86ab", "#3a9d5d", "#d99a1e", "#8e5ab5", "#2ba6a6", "#d96c2c")  # objects
_PARTS = {
    "header": ("#8a8f98", "size, profile, lengths, checksum"),
    "settings": ("#b8bcc4", "settings of the decoder that are not the usual ones"),
    "reference": ("#2e6f95", "a tiny picture by a learned codec: most of what you see"),
    "text": ("#c8553d", "the words"),
    "masks": ("#4f9d69", "where the objects are"),
}
BEFORE = (
    '<p class="quiet">Drop a photograph and choose how many bytes it may take, or drop a .sedic'
    " file. Coding and decoding take some seconds each.</p>"
)
SURFACES = (
    " With the small networks of <code>mini</code>, words of surfaces act, inside an object's mask:"
    " “very smooth”, “smooth”, “rough”, “very rough”, “grainy”, “coarse”."
)


def introduction(keep_minutes: int) -> str:
    """The head of the page."""
    return f"""<header class="intro"><h1>sedic</h1>
<p>A photograph becomes a file of 100 to 4,000 bytes that says what is in it, and a picture again.
The decoder sees nothing but that file: <b>details are made up by a model</b>. Good for seeing what
was there; no evidence of what it looked like.</p>
<p class="quiet">Pictures go to the computer that runs this page and nowhere else. They are deleted
after {keep_minutes} minutes.</p></header>"""


def status(text: str, share: float) -> str:
    """A line and a bar."""
    return (
        f'<div class="status" role="status"><span>{escape(text)} …</span>'
        f'<div class="track"><i style="width:{share:.0%}"></i></div></div>'
    )


def done(notes: Iterable[str]) -> str:
    """Notes about a result as a list; "" without notes."""
    lines = "".join(f"<li>{escape(_sentence(note))}</li>" for note in notes)
    return f'<ul class="quiet notes">{lines}</ul>' if lines else ""


def problem(message: str) -> str:
    """One line on what went wrong."""
    return f'<div class="problem" role="alert">{escape(_sentence(message))}</div>'


def headline(facts: Mapping[str, Any], source_bytes: int) -> str:
    """The size of a file; ``source_bytes`` is that of the photograph's file, 0 if there is none."""
    size = facts["bytes"]
    text = f"{facts['width']} × {facts['height']} pixels, {facts['bpp']:.4f} bits per pixel"
    if source_bytes > size:
        text += f", {source_bytes / size:,.0f} times smaller than the photograph's file"
    return f'<p class="headline"><b>{size:,} bytes</b> {text}</p>'


def words(facts: Mapping[str, Any]) -> str:
    """The overall description and the objects."""
    if facts["objects"] is None:
        return problem(f"the words cannot be read: {facts['problem']}")
    overall = escape(facts["overall"]) or '<span class="quiet">nothing</span>'
    rows = [f"<dt>The whole picture</dt><dd>{overall}</dd>"]
    for number, (one, colour) in enumerate(zip(facts["objects"], COLOURS, strict=False), 1):
        rows.append(
            f'<dt><i style="background:{colour}"></i>Object {number}'
            f' <span class="quiet">{one["mask_share"]:.0%} of the picture</span></dt>'
            f"<dd>{escape(one['detail'])}</dd>"
        )
    if not facts["objects"]:
        rows.append('<dd class="quiet">No objects: their masks were not worth their bytes.</dd>')
    return f'<dl class="words">{"".join(rows)}</dl>'


def bytes_of(facts: Mapping[str, Any]) -> str:
    """Where the bytes of a file are: a bar and a table. The numbers are those of ``inspect``."""
    total = facts["bytes"]
    parts = [(name, size) for name, size in facts["parts"].items() if size]
    bar, rows = [], []
    for name, size in parts:
        colour, meaning = _PARTS.get(name, ("#77614f", ""))
        bar.append(f'<i style="flex:{size};background:{colour}" title="{escape(name)}"></i>')
        rows.append(
            f'<tr><td><i style="background:{colour}"></i>{escape(name)}</td>'
            f'<td class="quiet">{meaning}</td><td>{size:,}</td><td>{size / total:.0%}</td></tr>'
        )
    rows.append(f"<tr><td>file</td><td></td><td>{total:,}</td><td></td></tr>")
    head = "<tr><th>part</th><th></th><th>bytes</th><th>share</th></tr>"
    return (
        f'<div class="bar">{"".join(bar)}</div><table class="bytes">{head}{"".join(rows)}</table>'
    )


def change(name: str, inside: float, outside: float, sizes: Sequence[int]) -> str:
    """The change by an edit. ``name``: the object's, empty for the whole picture; ``inside`` and
    ``outside``: mean changes of samples, 0 to 255; ``sizes``: bytes before and after."""
    before, after = sizes
    file = f"The file has {after:,} bytes now, {after - before:+,}."
    if not name:
        return f"<p>{file} Samples changed by {outside:.1f} of 255 on average.</p>"
    return (
        f"<p>{file} Samples changed by {inside:.1f} of 255 on average inside the mask of"
        f" <b>{escape(name)}</b>, by {outside:.1f} outside.</p>"
    )


def _sentence(text: str) -> str:
    """A message of the codec with a capital letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
