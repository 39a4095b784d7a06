"""One run of the sampler under one text and one condition: a stage of Algorithm 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sedic.models.noise import normal
from sedic.settings import Settings
from sedic.synthesis.canvas import Canvas
from sedic.synthesis.guidance import attention_maps, descend, energy, gradient_of
from sedic.synthesis.samplers import Sampler
from sedic.synthesis.windows import Window


class Denoising:
    """Stage ``number`` of a picture: what Algorithm 1 does with its latent z at every step.

    It runs in ``part`` of the canvas: z, its noise and its mask are those of that window.
    ``text`` guides it, ``condition`` is what the ControlNet sees (``Canvas.condition``, of the
    whole). ``scale`` is that of classifier-free guidance, away from the text ``negative``: 1 leaves
    that pass out, else both run as one batch.
    """

    def __init__(
        self,
        canvas: Canvas,
        part: Window,
        sampler: Sampler,
        seed: int,
        number: int,
        text: str,
        condition: Tensor,
        scale: float,
        strength: float,
        negative: str = "",
    ) -> None:
        networks = canvas.networks
        self._networks, self._sampler = networks, sampler
        self._part, self._tiling = part, canvas.tiling.within(part)
        self._key, self._shape = (seed, number), canvas.latent_shape
        self._scale, self._strength = scale, strength
        self._text = networks.embed(text)
        self._contexts = self._text
        if scale != 1:
            self._contexts = torch.cat((networks.embed(negative), self._text))
        self._zoom = condition.shape[-1] // canvas.tiling.width
        self._condition = part.of(condition, self._zoom)

    def noise(self, step: int) -> Tensor:
        """The standard normals of this stage: 0 to begin with, then one draw for each step.

        Those of the whole canvas, so that a part has the noise that it has within the whole.
        """
        return normal(*self._key, step, self._shape, self._networks.device)

    def step(self, i: int, z: Tensor) -> Tensor:
        """The latent after the sampler's step ``i``."""
        t = self._sampler.timesteps[i]

        def predict(window: Window) -> Tensor:
            says = self._predict(window.of(z), t, self._contexts, window)
            if len(says) == 1:
                return says
            without, with_text = says.chunk(2)
            return without + self._scale * (with_text - without)

        return self._sampler.step(
            i, z, self._tiling.run(predict), lambda step: self._part.of(self.noise(step))
        )

    def guide(
        self,
        z: Tensor,
        t: int,
        mask: Tensor,
        tokens: Sequence[int],
        eta: float,
        settings: Settings,
    ) -> tuple[Tensor, bool]:
        """The latent after eq. 3, and whether its energy has come down to the threshold.

        The energy (eq. 2) is of ``tokens`` inside ``mask``; in a large picture each window of it
        has its own, and all must have come down.
        """

        def gradient(z: Tensor) -> Tensor | None:
            changed = False

            def of(window: Window) -> Tensor:
                nonlocal changed
                part, inside = window.of(z), window.of(mask)
                if not inside.any():
                    return torch.zeros_like(part)
                slope = gradient_of(
                    lambda x: self._energy(x, t, window, inside, tokens), part, settings.threshold
                )
                changed |= slope is not None
                return torch.zeros_like(part) if slope is None else slope

            slope = self._tiling.run(of)
            return slope if changed else None

        return descend(z, gradient, eta, settings.iterations)

    def _energy(
        self, x: Tensor, t: int, window: Window, mask: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        maps = attention_maps(self._networks.unet, lambda: self._predict(x, t, self._text, window))
        return energy(maps, mask, tokens)

    def _predict(self, x: Tensor, t: int, contexts: Tensor, window: Window) -> Tensor:
        condition = window.of(self._condition, self._zoom)
        return self._networks.predict(x, t, contexts, condition, self._strength)
