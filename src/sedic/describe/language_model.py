"""A language model as a describer: it gives the words, and other models locate the objects.

SEDIC verifies names with Grounding DINO and draws masks with SAM; MISC asks CLIP for coarse maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sedic import extras
from sedic.describe.answers import Describer as WordSource
from sedic.describe.answers import ObjectWords, Words, fit_clip
from sedic.describe.description import DescriberResult, Description
from sedic.semantics import MAX_OBJECTS, ObjectLayer, Rate

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.profile import Profile

GROUNDER, CLIP = "grounding-dino-tiny", "clip-vit-base-patch16"
SEGMENTERS = ("sam-vit-huge", "sam-vit-base")  # the papers' first; either will do
LOCAL = ("qwen2.5-vl-3b", "smolvlm2-500m")  # the best first


def api_describer(profile: Profile, model: str = "", source: Path | None = None) -> LanguageModel:
    """A model behind an OpenAI-compatible endpoint; ``model`` is its name there.

    The environment names endpoint, model and key (``api.ApiDescriber``).
    """
    from sedic.describe.api import ApiDescriber

    return LanguageModel(profile, lambda method: ApiDescriber(model=model, method=method))


def local_describer(profile: Profile, model: str = "", source: Path | None = None) -> LanguageModel:
    """A model on this machine: a folder, an id on the hub or a name of ``sedic models``.

    "" is the best that was fetched.
    """
    from sedic.describe.local import LocalDescriber
    from sedic.models.registry import models, require

    def ask(method: str) -> WordSource:
        name = model
        if not name or name in {known_model.name for known_model in models()}:
            fetched = (candidate for candidate in LOCAL if _is_here(candidate))
            name = str(require(name or next(fetched, LOCAL[-1])))
        return LocalDescriber(name, method)

    return LanguageModel(profile, ask)


class LanguageModel:
    """Words from ``ask(method)``, cut to what the profile's text encoder reads, and masks for them.

    Where the models that find objects are not installed, the language model describes only the
    whole picture, and a note says so.
    """

    def __init__(self, profile: Profile, ask: Callable[[str], WordSource]) -> None:
        self._profile = profile
        self._ask = ask

    def describe(self, picture: Picture, rate: Rate, method: str = "sedic") -> DescriberResult:
        """See ``description.Describer``."""
        finders = (CLIP,) if method == "misc" else (GROUNDER, _segmenter())
        notes = []
        objects = min(rate.max_objects, MAX_OBJECTS)
        missing = [name for name in finders if not _is_here(name)]
        if objects and missing:
            notes.append(
                "no objects, only the whole picture: nothing here could find them;"
                f" get it: sedic models fetch {' '.join(missing)}"
            )
            objects = 0
        with extras.named():
            return self._described(picture, replace(rate, max_objects=objects), method, notes)

    def _described(
        self, picture: Picture, rate: Rate, method: str, notes: list[str]
    ) -> DescriberResult:
        budget = rate.max_objects, rate.detail_words, rate.overall_words
        words = self._fit(self._ask(method).describe(picture, *budget))
        notes += words.warnings
        if words.usage.sent:
            cost = "" if words.usage.cost is None else f", cost {words.usage.cost:.4f}"
            notes.append(f"tokens: {words.usage.sent} sent, {words.usage.received} received{cost}")
        if not words.objects:
            return DescriberResult(Description(words.overall), tuple(notes))
        description, more = (_map if method == "misc" else _segment)(picture, words)
        return DescriberResult(description, (*notes, *more))

    def _fit(self, words: Words) -> Words:
        """The words, cut to what the decoder's text encoder reads."""
        tokenizer = self._profile.tokenizer
        objects = []
        for item in words.objects:
            detail = fit_clip(item.detail, tokenizer)
            whole = detail.startswith(item.name)  # a name of many tokens is sent all the same
            objects.append(replace(item, detail=detail if whole else item.name))
        overall = fit_clip(words.overall, tokenizer)
        return replace(words, overall=overall, objects=tuple(objects))


def segment(picture: Picture, objects: Mapping[str, str], method: str = "sedic") -> DescriberResult:
    """Masks for the caller's ``objects``: names and their details, the most important one first.

    Grounding DINO finds them and SAM draws the masks; for the method ``misc`` CLIP makes 8 x 8
    maps. A name that is not found is left out, and a note says so. Raises ``MissingWeightsError``,
    with the command that gets them, where these models are not here.
    """
    items = tuple(ObjectWords(name, detail) for name, detail in objects.items())
    words = Words("", items)
    with extras.named():
        description, notes = (_map if method == "misc" else _segment)(picture, words)
    return DescriberResult(description, tuple(notes))


def _segment(picture: Picture, words: Words) -> tuple[Description, list[str]]:
    """Objects as boxes by Grounding DINO and masks by SAM; a line about each name."""
    from sedic.describe.grounding import Grounder
    from sedic.describe.segmentation import Segmenter, locate
    from sedic.models.registry import require

    device = _device()
    grounder = Grounder(require(GROUNDER), device=device)
    segmenter = Segmenter(require(_segmenter()), device=device)
    description, report = locate(picture, words, grounder, segmenter)
    return description, [f"{verdict.name}: {verdict.outcome}" for verdict in report.verdicts]


def _map(picture: Picture, words: Words) -> tuple[Description, list[str]]:
    """Objects as 8 x 8 maps by CLIP."""
    from sedic.describe.clip_maps import ClipMaps
    from sedic.models.registry import require

    finder = ClipMaps(require(CLIP), device=_device())
    masks = finder.maps(picture, [item.name for item in words.objects])
    layers = (
        ObjectLayer(item.name, item.detail, mask)
        for item, mask in zip(words.objects, masks, strict=True)
    )
    return Description(words.overall, tuple(layers)), []


def _device() -> str:
    from sedic.models.precision import placement

    return str(placement().device)


def _segmenter() -> str:
    """The best segmenter that was fetched, or the name of the smallest to fetch."""
    return next((name for name in SEGMENTERS if _is_here(name)), SEGMENTERS[-1])


def _is_here(name: str) -> bool:
    from sedic.models.registry import select

    return all(model.here for model in select(name))
