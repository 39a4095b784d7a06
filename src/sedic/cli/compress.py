"""``sedic compress``. Imports stay light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sedic.cli.compress_options import (
    CodingOptions,
    KeepOptions,
    ReferenceOptions,
    SizeOptions,
    WordOptions,
)
from sedic.cli.console import busy, note
from sedic.cli.option_groups import grouped
from sedic.cli.options import (
    STANDARD,
    Force,
    check_output,
    load_profile,
    standard_input,
    write_output,
)
from sedic.errors import SedicError
from sedic.files import printable

if TYPE_CHECKING:
    from sedic.encoder import Compressed
    from sedic.picture import Picture
    from sedic.profile import Profile
    from sedic.semantics import Rate


@grouped
def compress(
    photo: Annotated[Path, typer.Argument(help="Any picture that Pillow reads; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The .sedic file to write; - for a pipe.")],
    *,
    size: SizeOptions,
    words: WordOptions,
    reference: ReferenceOptions,
    coding: CodingOptions,
    kept: KeepOptions,
    force: Force = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say why rate control chose what it chose.")
    ] = False,
) -> None:
    """Turn a picture into a .sedic file."""
    from sedic.encoder import Encoder
    from sedic.picture import read_picture

    words.check()
    inputs = (photo, words.semantics, reference.reference_file)
    check_output(output, force=force, inputs=inputs)
    if words.save_semantics is not None:
        check_output(words.save_semantics, force=force, inputs=inputs)
        if words.save_semantics.absolute() == output.absolute():
            raise typer.BadParameter("--save-semantics and the output are the same file")
    encoder_options = coding.encoder_options()
    source = standard_input() if photo == STANDARD else photo
    loaded = read_picture(source, keep=kept.names())
    height, width = loaded.pixels.shape[:2]
    with busy("loading the codec") as say:
        profile = load_profile(
            coding.profile, language=coding.language, reference=reference.codec()
        )
        own_words = words.semantics is not None
        limit = size.limit(width, height, words.method, profile, own_words=own_words)
        say("describing")
        encoder = Encoder(profile)
        described = encoder.describe(
            loaded.pixels,
            limit,
            method=words.method,
            describer=words.describer_name,
            model=words.describer_model,
            source=words.semantics,
        )
        say("compressing")
        compressed = encoder.compress(
            loaded, limit, described.description, method=words.method, **encoder_options
        )
    if size.is_default and limit.max_bytes > 0.03 * width * height / 8:
        note(f"  so small a picture gets {limit.max_bytes} bytes, which is more than 0.03 bpp")
    for line in (*loaded.notes, *described.notes, *compressed.notes):
        note(f"  {printable(line)}")
    if words.save_semantics is not None:
        _save_semantics(words.save_semantics, compressed, force=force)
    write_output(output, compressed.data, force=force)
    bpp = 8 * len(compressed.data) / (width * height)
    note(f"{printable(output)}: {len(compressed.data)} bytes, {bpp:.4f} bpp")
    _advise(profile)
    if verbose:
        _explain(compressed, loaded.pixels, limit, profile, coding)


def _save_semantics(path: Path, compressed: Compressed, *, force: bool) -> None:
    """Write the words and masks of a file as JSON."""
    from sedic.describe import sidecar
    from sedic.describe.description import Description

    image = compressed.image
    data = sidecar.to_json(Description(image.overall, image.objects))
    write_output(path, data, force=force)


def _explain(
    compressed: Compressed, picture: Picture, limit: Rate, profile: Profile, coding: CodingOptions
) -> None:
    """Say why rate control chose what it chose, and whether the decoded picture misleads.

    Where the networks that decode are not embedded, the reference image stands for what they make.
    """
    method = compressed.image.method
    note(f"  at most J = {limit.max_objects} (profile {profile.name}, method {method})")
    for reason in compressed.choice.reasons:
        note(f"  {reason}")
    misled = getattr(profile.describer(), "misled", None)
    if misled is None:
        return
    from sedic.decoder import Decoder

    decoded = compressed.preview
    if "restorer" in profile.store:
        decoded = Decoder(profile, bare=coding.bare).decompress(compressed.data)
    if warning := misled(picture, decoded[..., :3]):
        note(f"  {printable(warning)}")


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
