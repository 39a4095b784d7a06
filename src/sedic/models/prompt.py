"""Cleans a text as CLIP's training did: plain quotes, no HTML entities, single blanks."""

from __future__ import annotations

import html
import unicodedata

_LIGATURES = range(0xFB00, 0xFB07)  # ff, fi, fl, ffi, ffl, and two st
_FULL_WIDTH = range(0xFF01, 0xFF5F)  # the width of a Chinese character; else as ASCII
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **{chr(c): unicodedata.normalize("NFKC", chr(c)) for c in (*_LIGATURES, *_FULL_WIDTH)},
    }
)


def clean(text: str) -> str:
    """The text with HTML entities, curly quotes, ligatures and runs of blanks made plain.

    OpenCLIP and CLIP do the same before they tokenize a text; only their repair of wrongly decoded
    text is missing. Without this cleaning a curly quote would become three tokens.
    """
    text = html.unescape(html.unescape(text))
    return " ".join(unicodedata.normalize("NFC", text.translate(_PLAIN)).split())
