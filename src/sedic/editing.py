"""Changes the words of a file, without the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sedic.coding.container import repack
from sedic.decoder import Bytes, Decoder
from sedic.describe.description import begin, one_line
from sedic.errors import UnsuitableInputError
from sedic.profile import Profile
from sedic.semantics import MAX_NAME_WORDS, ObjectLayer
from sedic.synthesis.touch import strengths


def edit(
    data: Bytes,
    profile: Profile,
    *,
    overall: str | None = None,
    details: Mapping[int, str] | None = None,
    dropped: Sequence[int] = (),
) -> bytes:
    """The bytes of a file with other words. Objects count from 1, as ``inspect`` does.

    ``overall`` becomes the overall description, ``details[number]`` the detail of an object, and
    the objects of ``dropped`` are left out. A detail that does not begin with the object's name
    names it anew by its words up to the first comma, if they are few enough for a name; else the
    old name is put in front. Reference image, masks, settings and coders stay.

    Raises ``UnsuitableInputError`` where there is no such object or where an object is both
    described and dropped; and as ``Decoder.semantic_image`` does.
    """
    decoder = Decoder(profile)
    container = decoder.parse(data)
    image = decoder.semantic_image(data)
    details = details or {}
    count = len(image.objects)
    for number in (*dropped, *details):
        if not 1 <= number <= count:
            raise UnsuitableInputError(f"there is no object {number}: the file has {count}")
    if twice := sorted(set(dropped) & set(details)):
        raise UnsuitableInputError(f"object {twice[0]} is both described and dropped")
    objects = [
        _describe_anew(layer, details[number]) if number in details else layer
        for number, layer in enumerate(image.objects, 1)
        if number not in dropped
    ]
    whole = image.overall if overall is None else one_line(overall)
    changed = replace(image, overall=whole, objects=tuple(objects))
    return repack(container, changed, profile).to_bytes()


def shows(before: Bytes, after: Bytes, profile: Profile) -> bool:
    """Whether the picture of an edited file visibly differs from that of the file before.

    Diffusion models react to all words. The embedded networks react only to words of surfaces
    inside an object's mask (``synthesis.touch``). Files whose decoder changes nothing
    (``Settings.changes_nothing``) do not react to words.
    """
    decoder = Decoder(profile)
    if not profile.restores or decoder.settings(after).changes_nothing:
        return False
    if "restorer" not in profile.store:
        return True
    old, new = (decoder.semantic_image(data) for data in (before, after))
    textures = [strengths(image.objects, image.width, image.height, 1.0) for image in (old, new)]
    return not np.array_equal(textures[0], textures[1])


def _describe_anew(layer: ObjectLayer, detail: str) -> ObjectLayer:
    detail = one_line(detail)
    first = detail.partition(",")[0]
    named = detail.casefold().startswith(layer.name.casefold())
    few = len(first.split(" ")) <= MAX_NAME_WORDS
    name, detail = begin(first if few and first and not named else layer.name, detail)
    return ObjectLayer(name, detail, layer.mask)
