"""The decoder: the bytes of a file become a ``SemanticImage``, and that becomes a picture.

bytes --coding--> SemanticImage --synthesis--> picture, stage by stage
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sedic import extras
from sedic.coding.carried import decode as decode_carried
from sedic.coding.container import Container
from sedic.errors import DamagedFileError, MissingWeightsError, SedicError
from sedic.picture import without_colour
from sedic.profile import Profile
from sedic.reference_picture import enlarge, show_reference
from sedic.semantics import Carried, ReferenceImage, SemanticImage, grid_size
from sedic.settings import Settings
from sedic.transparency import with_alpha

if TYPE_CHECKING:
    from sedic.models.interface import Networks
    from sedic.picture import Picture
    from sedic.reference import ReferenceCodec
    from sedic.synthesis.stages import Stage

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Partial:
    """What the first bytes of a file give.

    ``picture``: (height, width, 3) uint8; None where no byte of the reference image has arrived.
    ``words``: the overall description. ``reference_bytes``: how many bytes of the reference image
    were there. ``complete``: the file is whole, and the picture is its picture.
    """

    picture: Picture | None
    words: str
    reference_bytes: int
    complete: bool


class Decoder:
    """Reads the files of one profile; the bare ones if ``bare``, which nothing in them says."""

    def __init__(self, profile: Profile, *, bare: bool = False) -> None:
        self.profile = profile
        self.bare = bare

    def parse(self, data: Bytes) -> Container:
        """The parts of a file of this profile; nothing is decoded.

        Raises ``DamagedFileError`` where the bytes are no such file, and ``MissingWeightsError``
        where another profile made it.
        """
        if self.bare:
            name = self.profile.name
            return Container.parse_bare(bytes(data), name, self.profile.reference_name)
        container = Container.parse(bytes(data))
        self._of_this_profile(container)
        return container

    def settings(self, data: Bytes) -> Settings:
        """How a file wants to be restored; ``SedicError`` where that exceeds the limits."""
        container = self.parse(data)
        defaults = self.profile.settings(container.method)
        return Settings.from_bytes(container.settings, defaults)

    def semantic_image(self, data: Bytes) -> SemanticImage:
        """The words, masks and reference bytes of a file; no network runs.

        Raises ``MissingWeightsError`` where the file was made with other tables, so that its words
        and masks would be others.
        """
        container = self.parse(data)
        if not container.bare:
            self.profile.check_tables(container.mark, container.reference_codec)
        return container.unpack(self.profile)

    def preview(self, data: Bytes) -> Picture:
        """A file's reference image, (height, width, 3) uint8: no network of Algorithm 1 is loaded.

        It has alpha, (height, width, 4), where the file carries it. Raises ``SedicError`` where the
        bytes are no such file or need other weights.
        """
        container = self.parse(data)
        reference = self._reference_codec(container, restored=False)
        image = container.unpack(self.profile)
        try:
            settings = self.settings(data)
        except SedicError:  # settings of another sedic: the preview needs none of them
            settings = self.profile.settings(container.method)
        from sedic.models.precision import own_torch_state

        with own_torch_state():
            picture = show_reference(reference, image, settings)
        picture = enlarge(picture, container.size, image.carried.ground)
        return with_alpha(picture, image.carried.opaque, container.coded_size)

    def carried(self, data: Bytes) -> Carried:
        """What travels with a file's picture: where it is opaque, EXIF, a colour profile.

        Raises as ``semantic_image`` does.
        """
        container = self.parse(data)
        grid = grid_size(*container.coded_size)
        return decode_carried(container.carried, self.profile, grid)

    def partial(self, data: Bytes, *, restored: bool = True) -> Partial:
        """The best picture that the first bytes of a file allow.

        Symbols of the reference image that have arrived are those of the whole file; the others
        are at their means. Objects come last in a file, so they are painted only if it is whole.
        ``restored``: run the last stage of Algorithm 1, too.

        Raises ``DamagedFileError`` where not even the words have arrived, and for a file of
        version 1; damage goes unnoticed.
        """
        whole = self._whole(bytes(data))
        if whole is not None:
            picture = self.decompress(data) if restored else self.preview(data)
            overall, _ = whole.words(self.profile)
            return Partial(picture, overall, len(whole.reference), True)
        name, codec = self.profile.name, self.profile.reference_name
        container = Container.parse_prefix(bytes(data), name, codec, bare=self.bare)
        self._of_this_profile(container)
        reference = self._reference_codec(container, restored=restored)
        overall, _ = container.words(self.profile)
        if not container.reference or not hasattr(reference, "decode_prefix"):
            return Partial(None, overall, 0, False)
        from sedic.models.precision import own_torch_state
        from sedic.synthesis.stages import restore

        length = len(container.reference)
        image = SemanticImage(
            *container.coded_size,
            ReferenceImage(container.reference_codec, container.reference),
            overall,
            method=container.method,
            seed=container.seed,
            grey=container.grey,
        )
        settings = Settings.from_bytes(container.settings, self.profile.settings(container.method))
        with extras.named(), own_torch_state():
            picture = reference.decode_prefix(
                container.reference, *container.coded_size, settings.realism
            )
            if restored and self.profile.restores and not settings.changes_nothing:
                negative = self.profile.negative(image.method)
                networks = self.profile.networks
                *_, last = restore(picture, image, networks, settings, None, negative, every=False)
                picture = last.picture
        if image.grey:
            picture = without_colour(picture)
        return Partial(enlarge(picture, container.size, None), overall, length, False)

    def _whole(self, data: bytes) -> Container | None:
        """The file if nothing is missing. A bare one does not say: the decoder takes it as told."""
        if self.bare:
            return None
        try:
            return self.parse(data)
        except DamagedFileError:
            return None

    def decompress(self, data: Bytes, tile: int | None = None) -> Picture:
        """The picture of a file, (height, width, 3) uint8: the last of ``stages``.

        It has alpha, (height, width, 4), where the file carries it. Its colours are sRGB, whatever
        profile the file carries.
        """
        *_, last = self.stages(data, tile, every=False)
        return self.with_alpha(last.picture, data)

    def with_alpha(self, picture: Picture, data: Bytes) -> Picture:
        """The picture of a stage, which is without alpha, with the one that the file carries."""
        size = self.parse(data).coded_size
        return with_alpha(picture, self.carried(data).opaque, size)

    def decompress_many(self, files: Sequence[Bytes], tile: int | None = None) -> list[Picture]:
        """The pictures of several files, as ``decompress`` gives them but for rounding.

        Those of one coded size share the steps of the networks, as one batch: for GPUs, which one
        picture does not fill. Memory grows with the number of files. Where some cannot be decoded,
        what the first of them raises is raised when all have ended.
        """
        from sedic.models.precision import own_torch_state
        from sedic.synthesis.together import run_together

        if not self.profile.restores:
            return [self.decompress(data, tile) for data in files]

        def job(data: Bytes) -> Callable[[Networks], Picture]:
            def run(networks: Networks) -> Picture:
                with own_torch_state():  # which a thread does not inherit
                    *_, last = self._stages(data, tile, networks, every=False)
                return self.with_alpha(last.picture, data)

            return run

        with extras.named(), own_torch_state():
            return run_together(self.profile.networks, [job(data) for data in files])

    def stages(
        self, data: Bytes, tile: int | None = None, *, every: bool = True
    ) -> Iterator[Stage]:
        """The picture as it gets restored: stage 0 is the reference image, the last the result.

        Pictures of more than ``tile``**2 pixels are restored in overlapping tiles of that side.
        The networks are loaded after stage 0; a profile that has none has stage 0 alone. Without
        ``every`` there are only the first and the last stage, which is faster.

        Raises ``DamagedFileError`` where the bytes are no such file, ``LimitError`` where they ask
        for more than the limits allow, ``MissingWeightsError`` where weights are not here.
        """
        from sedic.models.precision import own_torch_state

        steps = self._stages(data, tile, every=every)
        while True:
            # The caller's state is back while he looks at a stage.
            with extras.named(), own_torch_state():
                stage = next(steps, None)
            if stage is None:
                return
            yield stage

    def _stages(
        self,
        data: Bytes,
        tile: int | None,
        networks: Networks | None = None,
        *,
        every: bool,
    ) -> Iterator[Stage]:
        from sedic.synthesis.stages import Stage, restore

        container = self.parse(data)
        settings = self.settings(data)
        reference = self._reference_codec(container, restored=True)
        image = container.unpack(self.profile)
        restores = self.profile.restores and not settings.changes_nothing
        visible = sum(layer.mask.area > 0 for layer in image.objects)
        picture = show_reference(reference, image, settings)
        size, ground = container.size, image.carried.ground
        count = visible + 1 if restores else 0
        yield Stage(0, count, "reference", enlarge(picture, size, ground))
        if restores:
            networks = networks or self.profile.networks
            negative = self.profile.negative(image.method)
            for stage in restore(picture, image, networks, settings, tile, negative, every=every):
                result = without_colour(stage.picture) if image.grey else stage.picture
                yield replace(stage, picture=enlarge(result, size, ground))

    def _reference_codec(self, container: Container, *, restored: bool) -> ReferenceCodec:
        reference = self.profile.reference_codec(container.reference_codec)
        if not container.bare:
            fingerprint = self.profile.reference_fingerprint(container.reference_codec)
            self.profile.check(container.mark, fingerprint, restored=restored)
        return reference

    def _of_this_profile(self, container: Container) -> None:
        if container.profile != self.profile.name:
            raise MissingWeightsError(
                f"the file was made with profile {container.profile!r} and is read with"
                f" {self.profile.name!r}: use Profile.load({container.profile!r})"
            )
