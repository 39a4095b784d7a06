"""Pieces of a page of HTML that needs nothing else: every text that comes in is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

# Nothing is fetched, sent or run but what is written here.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:#1f2328;
 background:#fff;overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:.2em 0}h2{margin:2em 0 .4em;font-size:1.25rem;
 border-bottom:1px solid #d8dee4}
p{max-width:48rem}.note{color:#57606a;font-size:.9rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem}
.plots svg{width:100%;max-width:38rem;height:auto;border:1px solid #d8dee4;border-radius:6px}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid #d8dee4;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff;
 white-space:normal;min-width:8rem}
td small{color:#57606a}td.best{font-weight:700}
details{margin:.6rem 0}summary{cursor:pointer}
dl{display:grid;grid-template-columns:minmax(6rem,auto) 1fr;gap:.2rem 1rem;font-size:.85rem}
dt{color:#57606a}dd{margin:0}
@media(max-width:40rem){dl{display:block}dd{margin:0 0 .5rem}}
.strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(46%,11rem),1fr));gap:.6rem}
figure{margin:0}figure img{width:100%;height:auto;display:block;margin-bottom:3px}
figcaption{font-size:.8rem;line-height:1.3;margin:.2rem 0}
figcaption small{color:#57606a;display:block}
.compare{position:relative;max-width:640px;margin:.6rem 0;touch-action:pan-y}
.compare img{display:block;width:100%;height:auto}
.compare img+img{position:absolute;inset:0;clip-path:inset(0 0 0 50%)}
.compare input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;
 cursor:ew-resize}
.compare i{position:absolute;top:0;bottom:0;left:50%;width:2px;background:#fff;
 box-shadow:0 0 3px #000;pointer-events:none}
.compare input:focus-visible+i{background:#ff0}
.choose{display:flex;flex-wrap:wrap;gap:.5rem}select{max-width:100%;font:inherit;font-size:.9rem}
"""

_SCRIPT = """
for (const box of document.querySelectorAll('.compare')) {
  const strip = document.getElementById(box.dataset.strip)
  const shown = [...strip.querySelectorAll('img.whole')]
  const [left, right] = box.querySelectorAll('img')
  const line = box.querySelector('i'), range = box.querySelector('input')
  const place = () => {
    line.style.left = range.value + '%'
    right.style.clipPath = 'inset(0 0 0 ' + range.value + '%)'
  }
  range.addEventListener('input', place)
  const [a, b] = box.previousElementSibling.querySelectorAll('select')
  const choose = () => { left.src = shown[a.value].src; right.src = shown[b.value].src }
  for (const select of [a, b]) {
    shown.forEach((image, i) => select.add(new Option(image.alt, i)))
    select.addEventListener('change', choose)
  }
  a.value = 0
  b.value = box.dataset.right
  choose()
  place()
}
"""


def document(title: str, lead: str, sections: Iterable[str]) -> str:
    """The page: ``lead`` is text, ``sections`` are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(lead)}</p>\n"
        + "\n".join(sections)
        + f"\n<script>{_SCRIPT}</script></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what is under it, HTML; nothing if that is empty."""
    body = "\n".join(filter(None, parts))
    return f"<h2>{escape(title)}</h2>\n{body}" if body else ""


def subsection(title: str, body: str) -> str:
    """A smaller heading and HTML."""
    return f"<h3>{escape(title)}</h3>\n{body}"


def note(text: str) -> str:
    """A line in small print."""
    return f'<p class="note">{escape(text)}</p>'


def plots(svgs: Iterable[str]) -> str:
    """Plots (SVG) in as many columns as fit."""
    return f'<div class="plots">{"".join(svgs)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> str:
    """A table that scrolls sideways in itself where the screen is too narrow."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>"
        + "".join(
            cell.html if isinstance(cell, Cell) else f"<td>{escape(cell)}</td>" for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


class Cell:
    """A number of a table with something small beside it, bold if it is the ``best``."""

    def __init__(self, text: str, small: str = "", *, best: bool = False) -> None:
        mark = ' class="best"' if best else ""
        beside = f" <small>{escape(small)}</small>" if small else ""
        self.html = f"<td{mark}>{escape(text)}{beside}</td>"


def folded(title: str, body: str, *, unfolded: bool = False) -> str:
    """HTML that opens on a click; nothing if there is none."""
    if not body:
        return ""
    state = " open" if unfolded else ""
    return f"<details{state}><summary>{escape(title)}</summary>{body}</details>"


def facts(pairs: Mapping[str, str]) -> str:
    """Names and what they are."""
    items = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs.items())
    return f"<dl>{''.join(items)}</dl>"


def bullets(items: Iterable[str]) -> str:
    """A list of texts, or nothing."""
    found = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else ""


def figure(title: str, caption: str, image: str, detail: str) -> str:
    """A picture and an enlarged part of it, both data URLs, with what they are below."""
    return (
        f'<figure><img class="whole" src="{escape(image)}" alt="{escape(title)}" loading="lazy">'
        f'<img src="{escape(detail)}" alt="{escape(title)}, enlarged" loading="lazy">'
        f"<figcaption>{escape(title)}<small>{escape(caption)}</small></figcaption></figure>"
    )


def comparison(identity: str, figures: Sequence[str], right: int) -> str:
    """Figures in a strip, and two of them above one another under a slider.

    ``right``: the number of the figure that the first one is compared with to begin with.
    """
    return (
        '<div class="choose"><label>left <select></select></label>'
        "<label>right <select></select></label></div>"
        f'<div class="compare" data-strip="{escape(identity)}" data-right="{right}">'
        '<img alt="left"><img alt="right"><input type="range" min="0" max="100" value="50"'
        ' aria-label="how much of the left picture is shown"><i></i></div>'
        f'<div class="strip" id="{escape(identity)}">{"".join(figures)}</div>'
    )
