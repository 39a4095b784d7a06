"""``sedic compress``. Imports stay light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedic.cli.console import busy, note
from sedic.cli.options import (
    STANDARD,
    Force,
    Language,
    check_output,
    choice,
    helps,
    load_profile,
    read_input,
    reference_codec,
    settings_from,
    standard_input,
    write_output,
)
from sedic.errors import SedicError
from sedic.files import printable
from sedic.parts import DESCRIBERS, MASK_CODERS, REFERENCE_CODECS, TEXT_CODERS
from sedic.semantics import MAX_OBJECTS, MAX_REFERENCE_BYTES, METHODS, Rate

if TYPE_CHECKING:
    from sedic.encoder import Compressed
    from sedic.picture import Picture
    from sedic.profile import Profile
    from sedic.reference import ReferenceCodec

PRESETS = {"low": 0.03, "high": 0.05}  # the paper's operating points in bpp (SEDIC section 4.1)


def compress(
    photo: Annotated[Path, typer.Argument(help="Any picture that Pillow reads; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    bpp: Annotated[
        float | None, typer.Option(help="At most so many bits per pixel, all bytes counted.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="At most so many bytes.")] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="low|high",
            help="The paper's points: low = 0.03 bpp (the default), high = 0.05 bpp.",
        ),
    ] = None,
    objects: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_OBJECTS,
            help="Describe at most so many objects (default: as many as are worth their bytes).",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(metavar="|".join(METHODS), help="The system: which words and masks are sent."),
    ] = "sedic",
    describer: Annotated[
        str | None, choice(DESCRIBERS, f"Who finds the words. {helps(DESCRIBERS)}.")
    ] = None,
    describer_model: Annotated[
        str,
        typer.Option(help="The api's name of the model; for local a folder or a fetched model."),
    ] = "",
    semantics: Annotated[
        Path | None,
        typer.Option(help="Your own words and masks: a JSON file (docs/DESCRIBERS.md)."),
    ] = None,
    save_semantics: Annotated[
        Path | None, typer.Option(help="Also write the words and masks as JSON.")
    ] = None,
    reference: Annotated[
        str | None,
        choice(REFERENCE_CODECS, f"Another reference codec. {helps(REFERENCE_CODECS)}."),
    ] = None,
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec (cheng2020: required).")
    ] = None,
    reference_file: Annotated[
        Path | None,
        typer.Option(help="Carry this WebP, AVIF or JPEG XL file of the photo as reference image."),
    ] = None,
    text_coder: Annotated[
        str | None, choice(TEXT_CODERS, f"Another text coder. {helps(TEXT_CODERS)}.")
    ] = None,
    language: Language = None,
    mask_coder: Annotated[
        str | None, choice(MASK_CODERS, f"Another mask coder. {helps(MASK_CODERS)}.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the decoder that the file shall carry, such as last_steps=8;"
            " repeat for more. A wrong name lists them all.",
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Which set of models: mini, sd21, sd15, or your own TOML file.")
    ] = "mini",
    seed: Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")] = 0,
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="Leave out checksum and profile: the receiver must know that it is a bare file.",
        ),
    ] = False,
    keep: Annotated[
        str,
        typer.Option(
            metavar="exif,gps,icc",
            help="What shall travel in the file, counted in its bytes: EXIF, which has no place"
            " without gps; the colour profile. Nothing, if not said.",
        ),
    ] = "",
    alpha: Annotated[
        bool,
        typer.Option("--alpha", help="Keep transparency, as a mask, instead of a white ground."),
    ] = False,
    force: Force = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say why rate control chose what it chose.")
    ] = False,
) -> None:
    """Turn a picture into a .sedic file."""
    from sedic.describe import sidecar
    from sedic.describe.description import Description
    from sedic.encoder import Encoder
    from sedic.picture import KEPT, read_picture

    if method not in METHODS:
        raise typer.BadParameter(f"--method {method}: one of {', '.join(METHODS)}")
    if (semantics is not None) and describer not in (None, "sidecar"):
        raise typer.BadParameter("--semantics goes with --describer sidecar")
    if describer == "sidecar" and semantics is None:
        raise typer.BadParameter("--describer sidecar needs --semantics FILE")
    sources = (photo, semantics, reference_file)
    check_output(output, force=force, inputs=sources)
    if save_semantics is not None:
        check_output(save_semantics, force=force, inputs=sources)
        if save_semantics.absolute() == output.absolute():
            raise typer.BadParameter("--save-semantics and the output are the same file")
    settings = settings_from(setting or [])
    wanted = [name.strip() for name in keep.split(",") if name.strip()]
    if unknown := sorted(set(wanted) - set(KEPT)):
        raise typer.BadParameter(f"--keep {unknown[0]}: exif, gps, icc or several with commas")
    source = standard_input() if photo == STANDARD else photo
    loaded = read_picture(source, keep=wanted, alpha=alpha)
    picture = loaded.pixels
    height, width = picture.shape[:2]
    with busy("loading the codec") as say:
        codec = _reference(reference, reference_weights, reference_file)
        owner = load_profile(profile, language=language, reference=codec)
        limit = size_limit(width, height, bpp, max_bytes, rate, method, owner)
        if semantics is not None:
            limit = limit.for_own_words()
        if objects is not None:
            limit = replace(limit, max_objects=objects)
        say("describing")
        name = "sidecar" if semantics is not None else describer
        encoder = Encoder(owner)
        described = encoder.describe(
            picture,
            limit,
            method=method,
            describer=name,
            model=describer_model,
            source=semantics,
        )
        say("compressing")
        compressed = encoder.compress(
            loaded,
            limit,
            described.description,
            method=method,
            seed=seed,
            settings=settings,
            text_coder=text_coder,
            mask_coder=mask_coder,
            bare=bare,
        )
    default = (bpp, max_bytes, rate) == (None, None, None)
    if default and limit.max_bytes > 0.03 * width * height / 8:
        note(f"  so small a picture gets {limit.max_bytes} bytes, which is more than 0.03 bpp")
    for line in (*loaded.notes, *described.notes, *compressed.notes):
        note(f"  {printable(line)}")
    if save_semantics is not None:
        description = Description(compressed.image.overall, compressed.image.objects)
        data = sidecar.to_json(description)
        write_output(save_semantics, data, force=force)
    write_output(output, compressed.data, force=force)
    rate_reached = 8 * len(compressed.data) / (width * height)
    note(f"{printable(output)}: {len(compressed.data)} bytes, {rate_reached:.4f} bpp")
    _advise(owner)
    if verbose:
        note(f"  at most J = {limit.max_objects} (profile {owner.name}, method {method})")
        for reason in compressed.choice.reasons:
            note(f"  {reason}")
        misled = getattr(owner.describer(), "misled", None)
        warning = misled(picture, compressed.preview) if misled else None
        if warning:
            note(f"  {printable(warning)}")


def _warn(profile: Profile, picture: Picture, done: Compressed, *, bare: bool) -> None:
    """Say so where the decoded picture shows something else than the original.

    Where decoding takes networks that are not embedded, the reference image stands for it.
    """
    from sedic.decoder import Decoder

    misled = getattr(profile.describer(), "misled", None)
    if misled is None:
        return
    embedded = "restorer" in profile.store
    decoded = Decoder(profile, bare=bare).decompress(done.data) if embedded else done.preview
    if warning := misled(picture, decoded):
        note(f"  {printable(warning)}")


def size_limit(
    width: int,
    height: int,
    bpp: float | None,
    max_bytes: int | None,
    rate: str | None,
    method: str,
    profile: Profile,
) -> Rate:
    """The one limit that was given, the low preset if none was."""
    from sedic.rate import rate_for

    if sum(value is not None for value in (bpp, max_bytes, rate)) > 1:
        raise typer.BadParameter("give one of --bpp, --max-bytes and --rate")
    if rate is not None:
        if rate not in PRESETS:
            raise typer.BadParameter(f"--rate {rate}: one of {', '.join(PRESETS)}")
        bpp = PRESETS[rate]
    return rate_for(width, height, bpp=bpp, max_bytes=max_bytes, method=method, profile=profile)


def _reference(name: str | None, weights: Path | None, file: Path | None) -> ReferenceCodec | None:
    """The reference codec that the options ask for; None is the profile's own."""
    if file is None:
        return reference_codec(name, weights)
    if name not in (None, "external"):
        raise typer.BadParameter("--reference-file goes with --reference external")
    from sedic.reference.external import External

    return External(file=read_input(file, MAX_REFERENCE_BYTES))


def _advise(profile: Profile) -> None:
    """Say so where this machine cannot decode what it has just encoded."""
    from sedic.models.registry import require, select

    if "restorer" in profile.store or not profile.restores:
        return
    if not all(model.here for model in select(profile.name)):
        try:
            require(profile.name)
        except SedicError as error:
            note(f"  to decompress it here: {error}")
