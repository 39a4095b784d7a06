"""``sedic compress``. Imports stay light."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sedic.cli.console import busy, note
from sedic.cli.streams import STANDARD, Force, Language, language_model, read_input, write_output
from sedic.files import printable, refuse_overwrite
from sedic.semantics import MAX_OBJECTS, MAX_REFERENCE_BYTES, Rate


class Preset(str, Enum):
    """The paper's operating points (SEDIC section 4.1)."""

    low = "low"
    high = "high"

    def bpp(self) -> float:
        return {"low": 0.03, "high": 0.05}[self.value]


class Reference(str, Enum):
    compact = "compact"
    cheng2020 = "cheng2020"
    pixel = "pixel"
    external = "external"


class Method(str, Enum):
    sedic = "sedic"
    misc = "misc"
    image_text = "image-text"


class Describer(str, Enum):
    measured = "measured"
    api = "api"
    local = "local"
    sidecar = "sidecar"


class TextCoder(str, Enum):
    primed = "primed"
    huffman = "huffman"
    model = "model"


class MaskCoder(str, Enum):
    context = "context"
    runlength = "runlength"
    jbig2 = "jbig2"
    blocks = "blocks"


def compress(
    photo: Annotated[Path, typer.Argument(help="Any picture that Pillow reads; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    bpp: Annotated[
        float | None, typer.Option(help="At most so many bits per pixel, all bytes counted.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="At most so many bytes.")] = None,
    rate: Annotated[
        Preset | None,
        typer.Option(help="The paper's points: low = 0.03 bpp (the default), high = 0.05 bpp."),
    ] = None,
    objects: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MAX_OBJECTS,
            help="Describe at most so many objects (default: as many as pay for their bytes;"
            " with mini none below 0.1 bpp).",
        ),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="The system: which words and masks are sent.")
    ] = Method.sedic,
    describer: Annotated[
        Describer | None,
        typer.Option(
            help="Who finds the words: measured (the default), a language model behind an api"
            " (SEDIC_API_BASE, SEDIC_API_MODEL, SEDIC_API_KEY) or a local one, or a sidecar file."
        ),
    ] = None,
    describer_model: Annotated[
        str,
        typer.Option(help="The api's name of the model; for local a folder or a fetched model."),
    ] = "",
    semantics: Annotated[
        Path | None,
        typer.Option(
            help="The sidecar: your own words and masks (JSON) instead of the measured ones."
        ),
    ] = None,
    save_semantics: Annotated[
        Path | None, typer.Option(help="Also write the words and masks as JSON.")
    ] = None,
    reference: Annotated[
        Reference | None, typer.Option(help="Another reference codec than the profile's.")
    ] = None,
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec (cheng2020: required).")
    ] = None,
    reference_file: Annotated[
        Path | None,
        typer.Option(help="Carry this WebP, AVIF or JPEG XL file of the photo as reference image."),
    ] = None,
    text_coder: Annotated[
        TextCoder | None,
        typer.Option(help="primed (the default), the paper's huffman, or model."),
    ] = None,
    language: Language = None,
    mask_coder: Annotated[
        MaskCoder | None,
        typer.Option(help="The method's own is the default; runlength and jbig2 are the papers'."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the decoder that the file shall carry, such as last_steps=8;"
            " repeat for more. A wrong name lists them all.",
        ),
    ] = None,
    profile: Annotated[str, typer.Option(help="Which set of models.")] = "mini",
    seed: Annotated[int, typer.Option(min=0, help="Of the decoder's noise.")] = 0,
    force: Force = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say why rate control chose what it chose.")
    ] = False,
) -> None:
    """Turn a picture into a .sedic file."""
    from sedic.describe import sidecar
    from sedic.describe.description import Description
    from sedic.picture import load_picture

    for target in (output, save_semantics):
        if target is not None and target != STANDARD:
            refuse_overwrite(target, force=force)
    settings = settings_from(setting or [])
    picture = load_picture(sys.stdin.buffer if photo == STANDARD else photo)
    height, width = picture.shape[:2]
    limit = size_limit(width, height, bpp, max_bytes, rate, method.value, profile)
    if describer is not None and (describer is Describer.sidecar) != (semantics is not None):
        raise typer.BadParameter("--describer sidecar goes with --semantics")
    description = None
    if semantics is not None:
        description = sidecar.load(semantics, width, height)
        limit = limit.for_own_words()
    if objects is not None:
        limit = replace(limit, max_objects=objects)
    with busy("loading the codec") as say:
        from sedic.codec import Codec
        from sedic.reference import load

        chosen = load(reference.value, reference_weights) if reference else None
        if reference_file is not None:
            from sedic.reference.external import External

            chosen = External(read_input(reference_file, MAX_REFERENCE_BYTES))
        notes: list[str] = []
        if description is None:
            from sedic.cli.describing import describe

            who = (describer or Describer.measured).value
            description, notes = describe(
                picture, who, describer_model, method.value, profile, limit, say
            )
        say("compressing")
        codec = Codec(
            profile,
            chosen,
            text_coder.value if text_coder else None,
            mask_coder.value if mask_coder else None,
            language=language_model(language),
        )
        done = codec.compress(picture, limit, description, seed, method.value, settings)
    for line in notes:
        note(f"  {printable(line)}")
    if save_semantics is not None:
        said = Description(done.image.overall, done.image.objects)
        sidecar.save(said, save_semantics, force=force)
    write_output(output, done.data, force=force)
    rate_reached = 8 * len(done.data) / (width * height)
    note(f"{printable(output)}: {len(done.data)} bytes, {rate_reached:.4f} bpp")
    if verbose:
        note(f"  at most J = {limit.max_objects} (profile {profile}, method {method.value})")
        for reason in done.choice.reasons:
            note(f"  {reason}")


def size_limit(
    width: int,
    height: int,
    bpp: float | None,
    max_bytes: int | None,
    rate: Preset | None,
    method: str,
    profile: str,
) -> Rate:
    """The one limit that was given, the low preset if none was."""
    from sedic.rate import rate_for

    if sum(value is not None for value in (bpp, max_bytes, rate)) > 1:
        raise typer.BadParameter("give one of --bpp, --max-bytes and --rate")
    if rate is not None:
        bpp = rate.bpp()
    return rate_for(width, height, bpp=bpp, max_bytes=max_bytes, method=method, profile=profile)


def settings_from(items: list[str]) -> dict[str, int | float | str]:
    """``NAME=VALUE`` items as the settings they name; what is no number is a word."""
    settings: dict[str, int | float | str] = {}
    for item in items:
        name, sign, text = item.partition("=")
        if not sign:
            raise typer.BadParameter("--setting takes NAME=VALUE, as in last_steps=8")
        value: int | float | str = text
        for kind in (float, int):  # the stricter one last
            with suppress(ValueError):
                value = kind(text)
        settings[name.strip()] = value
    return settings
