"""The page of a report: sections of blocks, made into one file of HTML by a Jinja2 template.

The page needs nothing beside it: pictures and plots are data URLs, and the template escapes every
text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """A number of a table with something small beside it, bold if it is the ``best``."""

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class Note:
    """A line in small print."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Plot:
    """A plot as SVG."""

    title: str
    svg: str

    @property
    def url(self) -> str:
        """The plot as a data URL."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass(frozen=True)
class Plots:
    """Plots in as many columns as fit."""

    kind: ClassVar[str] = "plots"
    plots: Sequence[Plot]


@dataclass(frozen=True)
class Table:
    """A table that scrolls sideways in itself where the screen is too narrow."""

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]


@dataclass(frozen=True)
class Bullets:
    """A list of texts."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"
    pairs: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """A picture and an enlarged part of it, both data URLs, with what they are below."""

    title: str
    note: str
    whole: str
    detail: str


@dataclass(frozen=True)
class Comparison:
    """Figures in a strip, and two of them above one another under a slider.

    ``right``: the number of the figure that the first one is compared with to begin with.
    """

    kind: ClassVar[str] = "comparison"
    title: str
    figures: Sequence[Figure]
    right: int


@dataclass(frozen=True)
class Folded:
    """Blocks that open on a click."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]
    unfolded: bool = False


Block = Note | Plots | Table | Bullets | Facts | Comparison | Folded


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    blocks: Sequence[Block]


def document(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The page as HTML; sections without blocks are left out."""
    from jinja2 import Environment, StrictUndefined

    source = (files("sedic") / "lab" / "bench" / "report" / "page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    whole = [section for section in sections if section.blocks]
    template = environment.from_string(source)
    return template.render(title=title, lead=lead, sections=whole) + "\n"
