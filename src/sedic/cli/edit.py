"""``sedic edit``: other words for a file, without the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sedic.cli.inspection import check_words
from sedic.coding.container import Container, pack
from sedic.coding.token_text import TokenModel
from sedic.describe.description import begin, one_line
from sedic.errors import SedicError
from sedic.semantics import (
    MAX_NAME_WORDS,
    ObjectLayer,
)


def edit(
    container: Container,
    overall: str | None = None,
    details: Mapping[int, str] | None = None,
    dropped: Sequence[int] = (),
    language: TokenModel | None = None,
) -> bytes:
    """The bytes of ``container`` with other words; objects count from 1, as ``inspect`` does.

    A detail that does not begin with the object's name names it anew by its words up to the first
    comma, if they are few enough for a name; else it gets the old name in front. Reference image,
    masks, settings and coders stay; ``language`` is for a text that a language model coded. Raises
    ``SedicError`` where there is no such object, and where the words cannot be read or written.
    """
    check_words(container)
    image = container.unpack(language)
    count = len(image.objects)
    for number in (*dropped, *(details or {})):
        if not 1 <= number <= count:
            raise SedicError(f"there is no object {number}: the file has {count}")
    objects = [
        _redescribed(layer, details[number]) if details and number in details else layer
        for number, layer in enumerate(image.objects, 1)
        if number not in dropped
    ]
    whole = image.overall if overall is None else one_line(overall)
    changed = replace(image, overall=whole, objects=tuple(objects))
    return pack(
        changed,
        container.profile,
        container.fingerprint,
        container.text_coder,
        container.mask_coder,
        container.settings,
        language,
    ).to_bytes()


def _redescribed(layer: ObjectLayer, detail: str) -> ObjectLayer:
    detail = one_line(detail)
    first = detail.partition(",")[0]
    named = detail.casefold().startswith(layer.name.casefold())
    few = len(first.split(" ")) <= MAX_NAME_WORDS
    name, detail = begin(first if few and first and not named else layer.name, detail)
    return ObjectLayer(name, detail, layer.mask)
