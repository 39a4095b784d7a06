"""Who describes a picture for `sedic compress`, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sedic.describe.description import Description
from sedic.errors import SedicError
from sedic.semantics import (
    MAX_OBJECTS,
    ObjectLayer,
    Rate,
)

if TYPE_CHECKING:
    from sedic.describe.answers import Words
    from sedic.picture import Picture

GROUNDER, CLIP = "grounding-dino-tiny", "clip-vit-base-patch16"
SEGMENTERS = ("sam-vit-huge", "sam-vit-base")  # the papers' first; either will do
LOCAL = ("qwen2.5-vl-3b", "smolvlm2-500m")  # the best first


def describe(
    picture: Picture,
    describer: str,
    model: str,
    method: str,
    profile: str,
    rate: Rate,
    say: Callable[[str], None],
) -> tuple[Description, list[str]]:
    """A description by ``describer`` (measured, api or local), and lines about how it came about.

    A language model's texts are cut to what the text encoder of the ``profile`` reads.

    ``model`` is the endpoint's name of it, or for ``local`` a folder, an id on the hub or a name of
    ``sedic models``; "" is the environment's, or the best that was fetched.

    A language model's objects have to be found in the picture: by Grounding DINO and SAM or, for
    ``misc``, by CLIP. Where these models are not here, it is asked for the whole picture only, and
    a line says so. ``say`` is told what is being done.
    """
    if describer == "measured":
        from sedic.describe import measured

        budget = rate.max_objects, rate.detail_words, rate.overall_words
        return measured.describe(picture, *budget), []
    finders = (CLIP,) if method == "misc" else (GROUNDER, _segmenter())
    notes = []
    objects = min(rate.max_objects, MAX_OBJECTS)
    missing = [name for name in finders if not _here(name)]
    if objects and missing:
        notes.append(
            "no objects, only the whole picture: nothing here could find them;"
            f" get it: sedic models fetch {' '.join(missing)}"
        )
        objects = 0
    say("describing")
    words = _words(picture, describer, model, method, replace(rate, max_objects=objects))
    words = _fitting(words, profile)
    notes += words.warnings
    if words.usage.sent:
        cost = "" if words.usage.cost is None else f", cost {words.usage.cost:.4f}"
        notes.append(f"tokens: {words.usage.sent} sent, {words.usage.received} received{cost}")
    if not words.objects:
        return Description(words.overall), notes
    say("looking for what was described")
    found, more = (_mapped if method == "misc" else _looked)(picture, words)
    return found, notes + more


def _fitting(words: Words, profile: str) -> Words:
    """The words that the decoder's text encoder would not cut off."""
    from sedic.describe.answers import fit_clip
    from sedic.models import tokenizer_of

    tokenizer = tokenizer_of(profile)
    objects = []
    for said in words.objects:
        detail = fit_clip(said.detail, tokenizer)
        whole = detail.startswith(said.name)  # a name of many tokens is sent all the same
        objects.append(replace(said, detail=detail if whole else said.name))
    return replace(words, overall=fit_clip(words.overall, tokenizer), objects=tuple(objects))


def _words(picture: Picture, describer: str, model: str, method: str, rate: Rate) -> Words:
    budget = rate.max_objects, rate.detail_words, rate.overall_words
    if describer == "api":
        from sedic.describe.api import ApiDescriber

        return ApiDescriber(model=model, method=method).describe(picture, *budget)
    if describer == "local":
        from sedic.describe.local import LocalDescriber
        from sedic.models.registry import models, require

        if not model or model in {known.name for known in models()}:
            fetched = (name for name in LOCAL if _here(name))
            model = str(require(model or next(fetched, LOCAL[-1])))
        return LocalDescriber(model, method).describe(picture, *budget)
    raise SedicError(f"unknown describer {describer!r}; one of measured, api, local, sidecar")


def _looked(picture: Picture, words: Words) -> tuple[Description, list[str]]:
    from sedic.describe.grounding import Grounder
    from sedic.describe.segmentation import Segmenter, look
    from sedic.models.registry import require

    device = _device()
    grounder = Grounder(require(GROUNDER), device=device)
    segmenter = Segmenter(require(_segmenter()), device=device)
    description, report = look(picture, words, grounder, segmenter)
    return description, [f"{verdict.name}: {verdict.fate}" for verdict in report.verdicts]


def _mapped(picture: Picture, words: Words) -> tuple[Description, list[str]]:
    from sedic.describe.clip_maps import ClipMaps
    from sedic.models.registry import require

    finder = ClipMaps(require(CLIP), device=_device())
    masks = finder.maps(picture, [said.name for said in words.objects])
    layers = (
        ObjectLayer(said.name, said.detail, mask)
        for said, mask in zip(words.objects, masks, strict=True)
    )
    return Description(words.overall, tuple(layers)), []


def _device() -> str:
    from sedic.models.precision import fastest

    return str(fastest()[0])


def _segmenter() -> str:
    """The best segmenter that was fetched, or the name of the smallest to fetch."""
    return next((name for name in SEGMENTERS if _here(name)), SEGMENTERS[-1])


def _here(name: str) -> bool:
    from sedic.models.registry import select

    return all(model.here for model in select(name))
