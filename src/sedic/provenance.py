"""Provenance of a decoded picture: metadata that say that a model made it, and from how many bytes.

``Provenance`` is written into the picture file as XMP, the metadata that picture programs, news
agencies and search engines read: IPTC's ``DigitalSourceType`` for media composed with a trained
algorithm, the words as ``dc:description``, and the facts of the file under a namespace of our own.
``with_caption`` draws the words under the picture, for people who do not see metadata.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sedic._version import __version__
from sedic.errors import DamagedFileError, SedicError
from sedic.files import printable
from sedic.picture import Picture

if TYPE_CHECKING:
    from sedic.coding.container import Container
    from sedic.profile import Profile

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
MAX_XMP_BYTES = 1 << 17

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SEDIC = "urn:sedic:provenance:1/"
_META = "adobe:ns:meta/"
_PREFIXES = {
    "x": _META,
    "rdf": _RDF,
    "dc": _DC,
    "xmp": _XMP,
    "Iptc4xmpExt": _IPTC,
    "sedic": _SEDIC,
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="r"?>'


@dataclass(frozen=True)
class Provenance:
    """What a decoded picture was made from.

    ``file_bytes``: the length of the file; ``weights``: the file's mark, as hexadecimal digits;
    ``words``: the overall description and the objects' details, those that are not empty.
    """

    file_bytes: int
    profile: str
    weights: str
    words: tuple[str, ...] = ()
    tool: str = f"sedic {__version__}"

    def to_xmp(self) -> bytes:
        """The XMP packet, UTF-8."""
        for prefix, namespace in _PREFIXES.items():
            ET.register_namespace(prefix, namespace)
        meta = ET.Element(f"{{{_META}}}xmpmeta")
        rdf = ET.SubElement(meta, f"{{{_RDF}}}RDF")
        about = ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
        for name, value in (
            (f"{{{_IPTC}}}DigitalSourceType", SOURCE_TYPE),
            (f"{{{_XMP}}}CreatorTool", self.tool),
            (f"{{{_SEDIC}}}fileBytes", str(self.file_bytes)),
            (f"{{{_SEDIC}}}profile", self.profile),
            (f"{{{_SEDIC}}}weights", self.weights),
        ):
            ET.SubElement(about, name).text = _NOT_XML.sub("\ufffd", value)
        if self.words:
            words = [_NOT_XML.sub("\ufffd", one) for one in self.words]
            description = ET.SubElement(about, f"{{{_DC}}}description")
            alternatives = ET.SubElement(description, f"{{{_RDF}}}Alt")
            default = {"{http://www.w3.org/XML/1998/namespace}lang": "x-default"}
            ET.SubElement(alternatives, f"{{{_RDF}}}li", default).text = "; ".join(words)
            sequence = ET.SubElement(ET.SubElement(about, f"{{{_SEDIC}}}words"), f"{{{_RDF}}}Seq")
            for one in words:
                ET.SubElement(sequence, f"{{{_RDF}}}li").text = one
        return f"{_BEGIN}{ET.tostring(meta, 'unicode')}{_END}".encode()

    @classmethod
    def of_file(cls, container: Container, profile: Profile) -> Provenance:
        """The provenance of a file's picture; words that cannot be read are left out."""
        try:
            overall, objects = container.words(profile)
        except SedicError:
            overall, objects = "", []
        words = tuple(filter(None, (overall, *(detail for _, detail in objects))))
        size = container.file_bytes or len(container.to_bytes())
        return cls(size, container.profile, container.mark.hex(), words)

    @classmethod
    def of_xmp(cls, data: bytes) -> Provenance | None:
        """What ``to_xmp`` wrote; ``None`` where the packet says nothing of sedic.

        Raises ``DamagedFileError`` where it is no XML, has more than ``MAX_XMP_BYTES`` bytes,
        declares entities, or says nonsense.
        """
        if len(data) > MAX_XMP_BYTES or b"<!DOCTYPE" in data:
            raise DamagedFileError("the picture's XMP is too large, or declares entities")
        try:
            root = ET.fromstring(data.strip().strip(b"\0").decode())
        except (ET.ParseError, ValueError, RecursionError) as error:
            raise DamagedFileError("the picture's XMP cannot be read") from error
        size = root.findtext(f".//{{{_SEDIC}}}fileBytes")
        if size is None:
            return None
        if not (size.isascii() and size.isdigit() and len(size) < 10):
            raise DamagedFileError("the picture's XMP does not say from how many bytes it is")
        words = root.findall(f".//{{{_SEDIC}}}words/{{{_RDF}}}Seq/{{{_RDF}}}li")
        return cls(
            int(size),
            root.findtext(f".//{{{_SEDIC}}}profile") or "",
            root.findtext(f".//{{{_SEDIC}}}weights") or "",
            tuple(one.text or "" for one in words),
            root.findtext(f".//{{{_XMP}}}CreatorTool") or "",
        )

    def lines(self) -> list[str]:
        """The provenance as lines of text that are safe to print."""
        origin = printable(f"made by a model from a file of {self.file_bytes} bytes")
        by = printable(f"by {self.tool}, profile {self.profile}, weights {self.weights}")
        return [origin, by, *(printable(one) for one in self.words)]


def read_provenance(source: Path | BinaryIO) -> Provenance | None:
    """The provenance in a picture file's metadata; ``None`` where there is none of sedic's.

    No pixel is decoded. Raises ``DamagedFileError`` where the file is no picture or its metadata
    are damaged.
    """
    try:
        with Image.open(source) as image:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedFileError("no picture, or one whose metadata cannot be read") from error
    if not xmp:
        return None
    return Provenance.of_xmp(xmp.encode() if isinstance(xmp, str) else bytes(xmp))


def with_caption(picture: Picture, provenance: Provenance) -> Picture:
    """The (height, width, 3 or 4) picture with a white strip below that has a sentence about its
    provenance, and its words."""
    width = picture.shape[1]
    size = max(10, min(28, width // 48))
    margin, step = size // 2, round(1.4 * size)
    font = ImageFont.load_default(size)
    room = max(1, width - 2 * margin)
    texts = [f"Made by a model from {provenance.file_bytes} bytes.", *provenance.words]
    lines = [line for text in texts for line in _wrapped(text, font, room)]
    height = step * len(lines) + 2 * margin
    strip = Image.new("RGBA" if picture.shape[2] == 4 else "RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((margin, margin + step * number), line, "black", font)
    return np.concatenate([picture, np.asarray(strip)])


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> list[str]:
    """``text`` in lines of at most ``room`` pixels; a word that is longer has a line of its own."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
