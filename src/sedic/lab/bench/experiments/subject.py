"""Our codec as experiments measure it: encodes and decodes pictures of a dataset, timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sedic.coding.container import Container, repack
from sedic.decoder import Decoder
from sedic.encoder import Compressed, Encoder
from sedic.lab.bench.experiments import Cell, Outcome
from sedic.profile import Profile
from sedic.rate import rate_for
from sedic.semantics import (
    MAX_OBJECTS,
    Rate,
    SemanticImage,
)
from sedic.settings import Settings

if TYPE_CHECKING:
    from sedic.describe.description import Description
    from sedic.lab.bench.datasets import Dataset
    from sedic.picture import Picture

PARTS = ("header", "settings", "text", "masks", "reference", "carried")
VALUES = ("bytes", "bpp", "objects", "encode s", "decode s", *(f"{part} bytes" for part in PARTS))
DETAIL_WORDS, OVERALL_WORDS = 30, 50  # the most that the papers send (SEDIC section 4.1)

TellProgress = Callable[[str], None]  # is told what is being done
Describe = Callable[["Picture", str, TellProgress], "Description"]  # of a picture and its name


class Subject:
    """A profile, a method and decoder settings, on a dataset.

    A picture is described once, and every file cuts the description to its own budget, so the
    column ``encode s`` does not count describing.
    """

    def __init__(
        self,
        dataset: Dataset,
        describe: Describe,
        profile: str | Profile = "mini",
        method: str = "sedic",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.profile = profile if isinstance(profile, Profile) else Profile.load(profile)
        self.dataset, self.method = dataset, method
        self.settings, self.seed, self.describe = dict(settings or {}), seed, describe
        self.encoder, self.decoder = Encoder(self.profile), Decoder(self.profile)

        @lru_cache(2)  # a picture's own, and another's words (ablation)
        def description(index: int) -> Description:
            sample = dataset.samples[index]
            return describe(sample.load(), sample.name, lambda _: None)

        self.description = description

    def rate(self, picture: Picture, limit: float, objects: int | None = None) -> Rate:
        """The rate of ``limit`` bits per pixel, with at most ``objects`` objects if given."""
        height, width = picture.shape[:2]
        rate = rate_for(width, height, bpp=limit, method=self.method, profile=self.profile)
        if objects is None:
            return rate
        return replace(rate, max_objects=objects)

    def coded(
        self,
        index: int,
        picture: Picture,
        rate: Rate,
        cell: Cell,
        reference: Cell | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Iterator[Outcome]:
        """Encode picture ``index``: the decoded picture in ``cell`` and, if given, the file's
        reference image in the cell ``reference``. ``settings`` add to the subject's own."""
        try:
            description = self.description(index)
            start = perf_counter()
            compressed = self.encoder.compress(
                picture,
                rate,
                description,
                method=self.method,
                seed=self.seed,
                settings={**self.settings, **(settings or {})},
            )
            seconds = perf_counter() - start
        except Exception as error:  # of whatever library
            for missed in filter(None, (cell, reference)):
                yield Outcome.of_error(missed, error)
            return
        if reference is not None:
            container = Container.parse(compressed.data)
            yield Outcome(
                reference, compressed.preview, measures(container), self.words(compressed.data)
            )
        yield self.decoded(compressed.data, cell, {"encode s": seconds})

    def whole(self, index: int, picture: Picture, limit: float, objects: int) -> Compressed:
        """The file of picture ``index`` that variants are made from: at most ``limit`` bits per
        pixel, with all words. ``SedicError`` where there is none so small."""
        rate = Rate(self.rate(picture, limit).max_bytes, objects)
        description = self.description(index)
        return self.encoder.compress(
            picture, rate, description, seed=self.seed, settings=self.settings
        )

    def decoded(self, data: bytes, cell: Cell, known: Mapping[str, float] | None = None) -> Outcome:
        """The outcome of decoding a file; ``known``: values to report besides."""
        try:
            start = perf_counter()
            picture = self.decoder.decompress(data)
            seconds = perf_counter() - start
        except Exception as error:  # of whatever library
            return Outcome.of_error(cell, error)
        container = Container.parse(data)
        values = {**(known or {}), **measures(container), "decode s": seconds}
        return Outcome(cell, picture, values, self.words(data))

    def file(
        self,
        whole: bytes,
        image: SemanticImage,
        mask_coder: str | None = None,
        settings: Mapping[str, Any] | None = None,
        mark: bytes | None = None,
    ) -> bytes:
        """A file of ``image``, in everything that is not given here like the file ``whole``."""
        container = Container.parse(whole)
        defaults = self.profile.settings(image.method)
        decoder = Settings.from_bytes(container.settings, defaults)
        changes: dict[str, Any] = {"mark": mark} if mark else {}
        if mask_coder:
            changes["mask_coder"] = mask_coder
        changed = replace(decoder, **(settings or {}))
        return repack(
            container, image, self.profile, settings=changed.to_bytes(defaults), **changes
        ).to_bytes()

    def words(self, data: bytes) -> str:
        """All words of a file, those of the whole picture first."""
        image = self.decoder.semantic_image(data)
        return " ".join(filter(None, [image.overall, *(layer.detail for layer in image.objects)]))

    @property
    def weights(self) -> dict[str, str]:
        """What our numbers depend on besides the code."""
        return weights_of(self.profile)


def weights_of(profile: Profile) -> dict[str, str]:
    """The weights of a profile and their sha256, by part."""
    pins = {name: f"sha256:{pin.sha256[:16]}" for name, pin in profile.store.pins.items()}
    restorer = profile.restorer_fingerprint
    pins["restorer"] = restorer.hex()[:16] if restorer else "none: the reference image is shown"
    return {f"{profile.name} {name}": pin for name, pin in pins.items()}


def measures(container: Container) -> dict[str, float]:
    """The bytes of a file and of each of its parts, its bits per pixel, its objects."""
    parts = container.parts()
    total = sum(parts.values())
    sizes = {f"{part} bytes": float(parts.get(part, 0)) for part in PARTS}
    sizes["carried bytes"] = total - sum(sizes.values())
    rate = 8 * total / (container.width * container.height)
    return {"bytes": total, "bpp": rate, "objects": container.object_count, **sizes}


def measured(picture: Picture, name: str, say: TellProgress) -> Description:
    """Describes a picture by measurement, without a model."""
    from sedic.describe.measured import describe

    return describe(picture, MAX_OBJECTS, DETAIL_WORDS, OVERALL_WORDS)
