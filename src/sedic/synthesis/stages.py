"""Algorithm 1 of SEDIC: a picture from its meaning, object by object, then the whole.

Where the paper is silent, ``Settings`` names the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sedic.errors import SedicError
from sedic.models.networks import Networks
from sedic.picture import Picture
from sedic.semantics import (
    SemanticImage,
)
from sedic.settings import Settings
from sedic.synthesis.blend import blend
from sedic.synthesis.canvas import Canvas
from sedic.synthesis.colour import recolour_picture, smooth_picture
from sedic.synthesis.denoising import Denoising
from sedic.synthesis.samplers import Sampler

TILE = 1024  # pixels; pictures of more than TILE**2 are made in tiles


@dataclass(frozen=True)
class Stage:
    """The picture after stage ``number`` of ``count`` (from 1); ``title`` is what it painted."""

    number: int
    count: int
    title: str
    picture: Picture


def restore(
    reference: Picture,
    image: SemanticImage,
    networks: Networks,
    settings: Settings,
    tile: int | None = None,
) -> Iterator[Stage]:
    """Run Algorithm 1; yields the picture after every stage, the last of which is the result.

    ``reference``: the decoded reference image, (height, width, 3) uint8. Pictures of more than
    ``tile``**2 pixels (default 1024**2) are computed in overlapping tiles of about that side.
    Stop iterating to stop early. Raises ``SedicError`` where memory does not suffice.
    """
    if reference.shape != (image.height, image.width, 3):
        raise SedicError("the reference image does not have the picture's size")
    canvas = Canvas(networks, image.width, image.height, tile or TILE)
    try:
        yield from _algorithm_1(reference, image, canvas, settings)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise SedicError("not enough memory for this picture: try a smaller --tile") from error


@torch.no_grad()
def _algorithm_1(
    reference: Picture, image: SemanticImage, canvas: Canvas, settings: Settings
) -> Iterator[Stage]:
    networks = canvas.networks
    if settings.handover == "latent" and networks.condition != "latent":
        raise SedicError("setting handover: these networks see pictures, not latents")
    # From the largest mask to the smallest: where two objects overlap, the later one wins.
    visible = [layer for layer in image.objects if layer.mask.area]
    layers = sorted(visible, key=lambda layer: -layer.mask.area)
    count = len(layers) + 1
    picture = reference
    seen = first = canvas.condition(reference)
    shown = (
        _added(canvas, reference, settings.amount) if settings.result == "added" else canvas.decode
    )
    trajectory: list[Tensor] = []  # the earlier stage's latent after each step

    for j, layer in enumerate(layers):
        sampler = Sampler(settings.sampler, networks.schedule, settings.object_steps, blended=True)
        stage = Denoising(
            canvas,
            sampler,
            image.seed,
            j,
            text=layer.detail,
            condition=seen,
            scale=settings.object_cfg,
            strength=settings.strength,
        )
        mask = canvas.mask(layer.mask)
        name = networks.word_tokens(layer.detail, len(layer.name.split(" ")))
        z = stage.noise(0)
        if j == 0:  # "stage -1" is the reference's latent, noised to every step
            clean = canvas.encode(reference)
            trajectory = [sampler.noised(clean, z, t) for t in sampler.timesteps[1:]] + [clean]
        for i, t in enumerate(sampler.timesteps):
            if i < settings.guided_steps:  # t > T'
                z = stage.guide(z, t, mask, name, settings)  # eq. 2 and 3
            z = stage.step(i, z)
            if settings.blending == "steps":
                z = blend(z, trajectory[i], mask)  # eq. 4
            trajectory[i] = z
        picture = shown(z)
        seen = z if settings.handover == "latent" else canvas.condition(picture)
        yield Stage(j + 1, count, layer.name, picture)
    trajectory.clear()

    sampler = Sampler(settings.sampler, networks.schedule, settings.last_steps, blended=False)
    last = Denoising(
        canvas,
        sampler,
        image.seed,
        len(layers),
        text=image.overall,
        condition=first if settings.last_condition == "reference" else seen,
        scale=settings.last_cfg,
        strength=settings.strength,
    )
    z = last.noise(0)
    if settings.start == "low-frequency":
        z = sampler.noised(canvas.encode(smooth_picture(picture)), z, sampler.timesteps[0])
    for i in range(settings.last_steps):
        z = last.step(i, z)
    picture = shown(z)
    if settings.colour == "wavelet":
        picture = recolour_picture(picture, reference)
    yield Stage(count, count, "the whole picture", picture)


def _added(canvas: Canvas, reference: Picture, amount: float) -> Callable[[Tensor], Picture]:
    """Instead of ``Canvas.decode``: the reference, and ``amount`` of what was changed since."""
    before = canvas.decode(canvas.encode(reference)).astype(np.float32)

    def shown(z: Tensor) -> Picture:
        changed = reference + np.float32(amount) * (canvas.decode(z) - before)
        return np.rint(changed).clip(0, 255).astype(np.uint8)

    return shown
