"""``sedic decompress``. Imports stay light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from sedic.cli.console import busy, is_terminal, note
from sedic.cli.option_groups import grouped
from sedic.cli.options import (
    MAX_FILE,
    Device,
    Dtype,
    Force,
    Language,
    check_picture_output,
    check_work,
    load_profile,
    read_input,
    reference_codec,
)
from sedic.files import printable

if TYPE_CHECKING:
    from sedic.coding.container import Container
    from sedic.decoder import Decoder
    from sedic.picture import Picture
    from sedic.profile import Profile
    from sedic.semantics import Carried


@dataclass(frozen=True)
class StageOptions:
    """How far the picture is decoded."""

    PANEL: ClassVar[str] = "How far it is decoded"

    preview: Annotated[
        bool,
        typer.Option("--preview", help="The reference image alone, at once and without networks."),
    ] = False
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Show what the first bytes of a file that broke off give."),
    ] = False
    progress_dir: Annotated[
        Path | None, typer.Option(help="Also write the picture after every stage to this folder.")
    ] = None
    until_stage: Annotated[
        int | None, typer.Option(min=0, help="Stop after this stage; 0 is the reference image.")
    ] = None
    tile: Annotated[
        int | None,
        typer.Option(
            min=256,
            help="Pictures larger than a square of this side (640 pixels) are restored in tiles of"
            " about that size: smaller ones need less memory.",
        ),
    ] = None

    def check(self) -> None:
        """Raises ``typer.BadParameter`` where the options contradict each other."""
        if self.progress_dir is None and self.until_stage is None:
            return
        if self.partial:
            raise typer.BadParameter("--partial has no stages")
        if self.preview:
            raise typer.BadParameter("--preview has no stages")


@dataclass(frozen=True)
class ReaderOptions:
    """With what a file is read."""

    PANEL: ClassVar[str] = "What reads the file"

    profile: Annotated[
        str | None,
        typer.Option(help="The profile to read it with, if not the one that the file names."),
    ] = None
    bare: Annotated[
        bool,
        typer.Option("--bare", help="The file is a bare one, of --profile (mini)."),
    ] = False
    reference_weights: Annotated[
        Path | None, typer.Option(help="Weights of the reference codec, if not ours.")
    ] = None
    language: Language = None
    device: Device = "auto"
    dtype: Dtype = "auto"

    def parse(self, data: bytes, *, partial: bool) -> Container:
        """The parts of a file, of which the first bytes suffice where it is ``partial``."""
        from sedic.coding.container import Container

        if self.profile is not None:
            load_profile(self.profile)  # a user's own must be known before its file is read
        if partial:
            return Container.parse_prefix(data, self.profile or "mini", "compact", bare=self.bare)
        if self.bare:
            return Container.parse_bare(data, self.profile or "mini", "compact")
        return Container.parse(data)

    def load(self, container: Container) -> Profile:
        """The profile that reads this file."""
        codec = None
        if self.reference_weights is not None:
            codec = reference_codec(container.reference_codec, self.reference_weights)
        return load_profile(
            self.profile or container.profile,
            language=self.language,
            reference=codec,
            device=self.device,
            dtype=self.dtype,
        )


@grouped
def decompress(
    file: Annotated[Path, typer.Argument(help="A .sedic file; - for a pipe.")],
    output: Annotated[Path, typer.Argument(help="The picture: .png, .jpg, .webp, ...; - for PNG.")],
    *,
    stages: StageOptions,
    reader: ReaderOptions,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse files that ask for a larger picture.")
    ] = 25_000_000,
    caption: Annotated[
        bool, typer.Option("--caption", help="Write the words under the picture.")
    ] = False,
    force: Force = False,
) -> None:
    """Turn a .sedic file into a picture, object by object."""
    stages.check()
    check_picture_output(output, force=force, inputs=(file,))
    data = read_input(file, MAX_FILE)

    from sedic.cli.decoded import write_decoded
    from sedic.provenance import Provenance

    container = reader.parse(data, partial=stages.partial)
    check_work(container.width, container.height, max_pixels, preview=stages.preview)
    with busy("loading the codec"):
        from sedic.decoder import Decoder

        profile = reader.load(container)
    decoder = Decoder(profile, bare=reader.bare)
    if stages.partial:
        picture, carried = _decode_prefix(decoder, data, restored=not stages.preview)
    else:
        picture, carried = _decode(decoder, data, stages, force=force), decoder.carried(data)
    provenance = Provenance.of_file(container, profile)
    write_decoded(picture, output, provenance, carried, caption=caption, force=force)
    note(f"{printable(output)}: {container.width}x{container.height}")


def _decode(decoder: Decoder, data: bytes, options: StageOptions, *, force: bool) -> Picture:
    """The picture of a file, as far as ``options`` want it."""
    if options.preview:
        return decoder.preview(data)
    from sedic.cli.progress import last_picture

    until, folder = options.until_stage, options.progress_dir
    # Without a terminal, nobody sees the pictures of the objects' stages.
    every = is_terminal() or until is not None or folder is not None
    picture = last_picture(
        decoder.stages(data, options.tile, every=every), until, folder, force=force
    )
    return decoder.with_alpha(picture, data)


def _decode_prefix(decoder: Decoder, data: bytes, *, restored: bool) -> tuple[Picture, Carried]:
    """What the first bytes of a file show, and what travels with it.

    Raises ``typer.Exit`` after the words were printed, where they are too few for a picture.
    """
    from sedic.semantics import Carried

    decoded = decoder.partial(data, restored=restored)
    if decoded.picture is None:
        note("too little has arrived for a picture; the words are:")
        typer.echo(printable(decoded.words))
        raise typer.Exit(1)
    state = "the whole file" if decoded.complete else f"{len(data)} bytes of the file"
    note(f"from {state}: {decoded.reference_bytes} bytes of the reference image")
    return decoded.picture, decoder.carried(data) if decoded.complete else Carried()
