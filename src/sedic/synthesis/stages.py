"""Algorithm 1 of SEDIC: a picture from its meaning, object by object, then the whole.

Where the paper is silent, ``Settings`` names the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from sedic.errors import SedicError
from sedic.failures import memory_checked
from sedic.models.interface import Networks
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

# Pixels; pictures of more than TILE**2 are made in tiles. Attention grows with the square of a
# window and overlaps with its edge; at this side a megapixel of a large picture is cheapest.
TILE = 640


@dataclass(frozen=True)
class Stage:
    """The picture after one stage of the decoder.

    ``number`` of ``count``: its place, 0 for the reference image; ``title``: what it painted;
    ``picture``: (height, width, 3) uint8. ``object_number`` is the number of the painted object in
    the file, from 1, as ``inspect`` counts; None for the reference image and the whole.
    """

    number: int
    count: int
    title: str
    picture: Picture
    object_number: int | None = None


def restore(
    reference: Picture,
    image: SemanticImage,
    networks: Networks,
    settings: Settings,
    tile: int | None = None,
    negative: str = "",
    *,
    every: bool = True,
) -> Iterator[Stage]:
    """Run Algorithm 1; yields the picture after every stage, the last of which is the result.

    ``reference``: the decoded reference image, (height, width, 3) uint8. Pictures of more than
    ``tile``**2 pixels (default 640**2) are computed in overlapping tiles of about that side.
    ``negative``: the text that classifier-free guidance leads away from. Without ``every``
    only the last stage is yielded, and pictures that no later stage needs are not decoded. Stop
    iterating to stop early. Raises ``OutOfMemoryError`` where memory does not suffice.
    """
    if reference.shape != (image.height, image.width, 3):
        raise SedicError("the reference image does not have the picture's size")
    canvas = Canvas(networks, image.width, image.height, tile or TILE)
    with memory_checked("decoding", "a smaller --tile needs less"):
        yield from _algorithm_1(reference, image, canvas, settings, negative, every)


@torch.no_grad()
def _algorithm_1(
    reference: Picture,
    image: SemanticImage,
    canvas: Canvas,
    settings: Settings,
    negative: str,
    every: bool,
) -> Iterator[Stage]:
    networks = canvas.networks
    if settings.handover == "latent" and networks.condition != "latent":
        raise SedicError("setting handover: these networks see pictures, not latents")
    # From the largest mask to the smallest: where two objects overlap, the later one wins.
    visible = [item for item in enumerate(image.objects, 1) if item[1].mask.area]
    layers = sorted(visible, key=lambda item: -item[1].mask.area)
    count = len(layers) + 1
    picture = reference
    condition = first = canvas.condition(reference)

    @cache
    def latent() -> Tensor:
        """The reference's, "stage -1" of eq. 4: encoded once, and only if it is needed."""
        return first if networks.condition == "latent" else canvas.encode(reference)

    picture_of: Callable[[Tensor], Picture] = canvas.decode
    if settings.result == "added":
        picture_of = _added(canvas, reference, latent(), settings.amount)
    clean = latent() if layers else first
    painted = torch.zeros(clean.shape[2:], dtype=torch.bool, device=clean.device)
    trajectory: list[Tensor] = []  # the earlier stage's latent after each step

    for j, (object_number, layer) in enumerate(layers):
        steps = settings.steps_of(j)
        blended = settings.blending == "steps"
        mask = canvas.mask(layer.mask)
        part = canvas.tiling.whole
        if blended and settings.margin:  # what lies outside comes from the earlier trajectory
            part = canvas.tiling.around(mask, settings.margin)
        sampler = Sampler(settings.sampler, networks.schedule, steps, blended=True)
        stage = Denoising(
            canvas,
            part,
            sampler,
            image.seed,
            j,
            text=layer.detail,
            condition=condition,
            scale=settings.object_cfg,
            strength=settings.strength,
            negative=negative,
        )
        name = networks.word_tokens(layer.detail, len(layer.name.split(" ")))
        eta = settings.eta * (settings.overlap if (mask & painted).any() else 1.0)
        painted |= mask
        noise = stage.noise(0)
        if blended and len(trajectory) != steps:
            # "Stage -1" is the reference's latent, noised to every step; so is any earlier stage
            # that had another number of steps.
            levels = sampler.timesteps[1:]
            trajectory = [*(sampler.noised(clean, noise, t) for t in levels), clean]
        z, mask = part.of(noise), part.of(mask)
        guided = settings.guided_steps(j)
        for i, t in enumerate(sampler.timesteps):
            if i < guided:  # t > T'
                z, reached = stage.guide(z, t, mask, name, eta, settings)  # eq. 2 and 3
                guided = 0 if reached else guided
            z = stage.step(i, z)
            if blended:
                z = blend(z, part.of(trajectory[i]), mask)  # eq. 4
                trajectory[i] = part.put(z, trajectory[i])
        if settings.blending == "end":
            z = blend(z, clean, mask)
        z = part.put(z, clean)
        if every or _needs_picture(settings, last=j + 1 == len(layers)):
            picture = picture_of(z)
        condition = z if settings.handover == "latent" else canvas.condition(picture)
        clean = z  # what the next stage blends with
        if settings.blending == "end":
            clean = condition if networks.condition == "latent" else canvas.encode(picture)
        if every:
            yield Stage(j + 1, count, layer.name, picture, object_number)
    trajectory.clear()

    sampler = Sampler(settings.sampler, networks.schedule, settings.last_steps, blended=False)
    last = Denoising(
        canvas,
        canvas.tiling.whole,
        sampler,
        image.seed,
        len(layers),
        text=image.overall,
        condition=first if settings.last_condition == "reference" else condition,
        scale=settings.last_cfg,
        strength=settings.strength,
        negative=negative,
    )
    z = last.noise(0)
    if settings.start == "low-frequency":
        z = sampler.noised(canvas.encode(smooth_picture(picture)), z, sampler.timesteps[0])
    for i in range(settings.last_steps):
        z = last.step(i, z)
    picture = picture_of(z)
    if settings.colour == "wavelet":
        picture = recolour_picture(picture, reference)
    yield Stage(count, count, "the whole picture", picture)


def _needs_picture(settings: Settings, *, last: bool) -> bool:
    """Whether what follows an object's stage uses its picture; ``last``: of the objects' stages."""
    if settings.handover == "picture" or settings.blending == "end":
        return True
    return last and settings.start == "low-frequency"


def _added(
    canvas: Canvas, reference: Picture, latent: Tensor, amount: float
) -> Callable[[Tensor], Picture]:
    """Instead of ``Canvas.decode``: the reference, and ``amount`` of what was changed since.

    ``latent`` is that of the reference.
    """
    before = canvas.decode(latent).astype(np.float32)

    def picture_of(z: Tensor) -> Picture:
        changed = reference + np.float32(amount) * (canvas.decode(z) - before)
        return np.rint(changed).clip(0, 255).astype(np.uint8)

    return picture_of
