"""The decoder: the bytes of a file become a ``SemanticImage``, and that becomes a picture.

bytes --coding--> SemanticImage --synthesis--> picture, stage by stage
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sedic import extras
from sedic.coding.container import Container
from sedic.errors import MissingWeightsError
from sedic.preview import show_reference
from sedic.profile import Profile
from sedic.settings import Settings

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import ReferenceCodec
    from sedic.semantics import SemanticImage
    from sedic.synthesis.stages import Stage

Bytes = bytes | bytearray | memoryview


class Decoder:
    """Reads the files of one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def parse(self, data: Bytes) -> Container:
        """The parts of a file of this profile; nothing is decoded.

        Raises ``DamagedFileError`` where the bytes are no such file, and ``MissingWeightsError``
        where another profile made it.
        """
        container = Container.parse(bytes(data))
        if container.profile != self.profile.name:
            raise MissingWeightsError(
                f"the file was made with profile {container.profile!r} and is read with"
                f" {self.profile.name!r}: use Profile.load({container.profile!r})"
            )
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
        self.profile.check_tables(container.mark, container.reference_codec)
        return container.unpack(self.profile)

    def preview(self, data: Bytes) -> Picture:
        """A file's reference image, (height, width, 3) uint8: no network of Algorithm 1 is loaded.

        Raises ``SedicError`` where the bytes are no such file or need other weights.
        """
        container = self.parse(data)
        reference = self._reference_codec(container, restored=False)
        image = container.unpack(self.profile)
        settings = self.settings(data)
        from sedic.models.precision import own_torch_state

        with own_torch_state():
            return show_reference(reference, image, settings)

    def decompress(self, data: Bytes, tile: int | None = None) -> Picture:
        """The picture of a file, (height, width, 3) uint8: the last of ``stages``."""
        *_, last = self.stages(data, tile)
        return last.picture

    def stages(self, data: Bytes, tile: int | None = None) -> Iterator[Stage]:
        """The picture as it gets restored: stage 0 is the reference image, the last the result.

        Pictures of more than ``tile``**2 pixels are restored in overlapping tiles of that side.
        The networks are loaded after stage 0; a profile that has none has stage 0 alone.

        Raises ``DamagedFileError`` where the bytes are no such file, ``LimitError`` where they ask
        for more than the limits allow, ``MissingWeightsError`` where weights are not here.
        """
        from sedic.models.precision import own_torch_state

        steps = self._stages(data, tile)
        while True:
            with (
                extras.named(),
                own_torch_state(),
            ):  # the caller's state is back while he looks at a stage
                stage = next(steps, None)
            if stage is None:
                return
            yield stage

    def _stages(self, data: Bytes, tile: int | None) -> Iterator[Stage]:
        from sedic.synthesis.stages import Stage, restore

        container = self.parse(data)
        settings = self.settings(data)
        reference = self._reference_codec(container, restored=True)
        image = container.unpack(self.profile)
        restores = self.profile.restores
        visible = sum(layer.mask.area > 0 for layer in image.objects)
        picture = show_reference(reference, image, settings)
        yield Stage(0, visible + 1 if restores else 0, "reference", picture)
        if restores:
            negative = self.profile.negative(image.method)
            yield from restore(picture, image, self.profile.networks, settings, tile, negative)

    def _reference_codec(self, container: Container, *, restored: bool) -> ReferenceCodec:
        reference = self.profile.reference_codec(container.reference_codec)
        self.profile.check(container.mark, reference.fingerprint, restored=restored)
        return reference
