"""The options of ``sedic compress``, in groups. Imports stay light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from sedic.cli.options import (
    Language,
    choice,
    help_lines,
    read_input,
    reference_codec,
    settings_from,
)
from sedic.parts import DESCRIBERS, MASK_CODERS, REFERENCE_CODECS, TEXT_CODERS
from sedic.semantics import MAX_OBJECTS, MAX_REFERENCE_BYTES, METHODS, Rate

if TYPE_CHECKING:
    from sedic.profile import Profile
    from sedic.reference import ReferenceCodec

PRESETS = {"low": 0.03, "high": 0.05}  # the paper's operating points in bpp (SEDIC section 4.1)


@dataclass(frozen=True)
class SizeOptions:
    """How large the file may be, and how many objects it may describe."""

    PANEL: ClassVar[str] = "Size of the file"

    bpp: Annotated[
        float | None, typer.Option(help="At most so many bits per pixel, all bytes counted.")
    ] = None
    max_bytes: Annotated[int | None, typer.Option(min=1, help="At most so many bytes.")] = None
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="low|high",
            help="The paper's points: low = 0.03 bpp (the default), high = 0.05 bpp.",
        ),
    ] = None
    objects: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_OBJECTS,
            help="Describe at most so many objects (default: as many as are worth their bytes).",
        ),
    ] = None

    @property
    def is_default(self) -> bool:
        """Whether no limit of bytes was given."""
        return (self.bpp, self.max_bytes, self.rate) == (None, None, None)

    def limit(
        self, width: int, height: int, method: str, profile: Profile, *, own_words: bool
    ) -> Rate:
        """The limit for a picture of this size in pixels: the low preset if none was given.

        ``own_words``: the caller brings them, and they are sent whole, as far as they fit. Raises
        ``typer.BadParameter`` for an unknown preset or more than one limit.
        """
        from sedic.rate import rate_for

        bpp = self.bpp
        if sum(value is not None for value in (bpp, self.max_bytes, self.rate)) > 1:
            raise typer.BadParameter("give one of --bpp, --max-bytes and --rate")
        if self.rate is not None:
            if self.rate not in PRESETS:
                raise typer.BadParameter(f"--rate {self.rate}: one of {', '.join(PRESETS)}")
            bpp = PRESETS[self.rate]
        rate = rate_for(
            width, height, bpp=bpp, max_bytes=self.max_bytes, method=method, profile=profile
        )
        if own_words:
            rate = rate.for_own_words()
        return rate if self.objects is None else replace(rate, max_objects=self.objects)


@dataclass(frozen=True)
class WordOptions:
    """Which words and masks are sent, and who finds them."""

    PANEL: ClassVar[str] = "Words and masks"

    method: Annotated[
        str,
        typer.Option(metavar="|".join(METHODS), help="The system: which words and masks are sent."),
    ] = "sedic"
    describer: Annotated[
        str | None, choice(DESCRIBERS, f"Who finds the words. {help_lines(DESCRIBERS)}.")
    ] = None
    describer_model: Annotated[
        str,
        typer.Option(help="The api's name of the model; for local a folder or a fetched model."),
    ] = ""
    semantics: Annotated[
        Path | None,
        typer.Option(help="Your own words and masks: a JSON file (docs/DESCRIBERS.md)."),
    ] = None
    save_semantics: Annotated[
        Path | None, typer.Option(help="Also write the words and masks as JSON.")
    ] = None

    def check(self) -> None:
        """Raises ``typer.BadParameter`` where the options contradict each other."""
        if self.method not in METHODS:
            raise typer.BadParameter(f"--method {self.method}: one of {', '.join(METHODS)}")
        if self.semantics is not None and self.describer not in (None, "sidecar"):
            raise typer.BadParameter("--semantics goes with --describer sidecar")
        if self.describer == "sidecar" and self.semantics is None:
            raise typer.BadParameter("--describer sidecar needs --semantics FILE")

    @property
    def describer_name(self) -> str | None:
        """The describer to ask; ``None``: the profile's own."""
        return "sidecar" if self.semantics is not None else self.describer


@dataclass(frozen=True)
class ReferenceOptions:
    """How the reference image is coded."""

    PANEL: ClassVar[str] = "Reference image"

    reference: Annotated[
        str | None,
        choice(REFERENCE_CODECS, f"Another reference codec. {help_lines(REFERENCE_CODECS)}."),
    ] = None
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec (cheng2020: required).")
    ] = None
    reference_file: Annotated[
        Path | None,
        typer.Option(help="Carry this WebP, AVIF or JPEG XL file of the photo as reference image."),
    ] = None

    def codec(self) -> ReferenceCodec | None:
        """The reference codec that the options ask for; ``None`` is the profile's own."""
        if self.reference_file is None:
            return reference_codec(self.reference, self.reference_weights)
        if self.reference not in (None, "external"):
            raise typer.BadParameter("--reference-file goes with --reference external")
        from sedic.reference.external import External

        return External(file=read_input(self.reference_file, MAX_REFERENCE_BYTES))


@dataclass(frozen=True)
class CodingOptions:
    """How words and masks are coded, and what the file says to its decoder."""

    PANEL: ClassVar[str] = "Coding and decoding"

    profile: Annotated[
        str, typer.Option(help="Which set of models: mini, sd21, sd15, or your own TOML file.")
    ] = "mini"
    text_coder: Annotated[
        str | None, choice(TEXT_CODERS, f"Another text coder. {help_lines(TEXT_CODERS)}.")
    ] = None
    language: Language = None
    mask_coder: Annotated[
        str | None, choice(MASK_CODERS, f"Another mask coder. {help_lines(MASK_CODERS)}.")
    ] = None
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the decoder that the file shall carry, such as last_steps=8;"
            " repeat for more. A wrong name lists them all.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")] = 0
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="Leave out checksum and profile: the receiver must know that it is a bare file.",
        ),
    ] = False

    @property
    def settings(self) -> dict[str, int | float | str]:
        """The settings of the decoder that were given, by name."""
        return settings_from(self.setting or [])

    def encoder_options(self) -> dict[str, Any]:
        """The keyword arguments of ``Encoder.compress`` that these options are."""
        return {
            "seed": self.seed,
            "settings": self.settings,
            "text_coder": self.text_coder,
            "mask_coder": self.mask_coder,
            "bare": self.bare,
        }


@dataclass(frozen=True)
class KeepOptions:
    """What travels with the picture besides its pixels."""

    PANEL: ClassVar[str] = "What travels with the picture"

    keep: Annotated[
        str,
        typer.Option(
            metavar="exif,gps,icc,alpha",
            help="What shall travel in the file, counted in its bytes: EXIF, which has no place"
            " without gps; the colour profile; transparency. Nothing, if not said.",
        ),
    ] = ""
    alpha: Annotated[
        bool,
        typer.Option(
            "--alpha",
            help="Keep transparency, as a mask, instead of a white ground: as --keep alpha.",
        ),
    ] = False

    def names(self) -> list[str]:
        """What is kept, as names of ``picture.KEPT``. Raises ``typer.BadParameter``."""
        from sedic.picture import KEPT

        names = [name.strip() for name in self.keep.split(",") if name.strip()]
        if unknown := sorted(set(names) - set(KEPT)):
            known = ", ".join(KEPT)
            raise typer.BadParameter(f"--keep {unknown[0]}: {known} or several with commas")
        return [*names, "alpha"] if self.alpha else names
