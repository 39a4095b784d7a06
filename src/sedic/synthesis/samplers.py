"""From one noise level to the next: the samplers, on any diffusers noise schedule.

DDPM and DDIM are written out, since both need only alpha-bar and ours must take noise from
``noise``; the multistep solvers are diffusers', imported when asked for. Arithmetic is float32,
coefficients float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sedic.errors import SedicError

_SCHEDULE_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)


_STUDENTS = ("lcm", "tcd")
_TAUGHT = 50  # timesteps that the teacher of a distilled network took
_DATA = 0.5  # deviation of clean latents in the boundary condition of latent consistency models,
_SCALE = 10.0  # and what it multiplies timesteps by
_STOCHASTIC = 0.3  # gamma of trajectory consistency models: how far a step goes beyond the next


class Sampler:
    """One run of a sampler: ``timesteps`` from noise to picture, and a ``step`` for each.

    ``name``: ddpm, ddim, dpm or unipc; for networks that were distilled to a few steps lcm (latent
    consistency: Luo et al., 2023) or tcd (trajectory consistency: Zheng et al., 2024).
    ``schedule``: the configuration of a diffusers scheduler; its ``timestep_spacing`` counts
    where it is "trailing" (few-step networks), and is "linspace" otherwise, as DiffBIR's, which is
    round(linspace(0, 999, n)) for ddpm and ddim. The first timestep is always the last of training.
    ``blended``: the latents are changed between steps (eq. 3-4), so that UniPC must not correct
    them by its own memory.
    """

    def __init__(self, name: str, schedule: dict[str, Any], steps: int, blended: bool) -> None:
        self._name = name
        self._prediction = schedule.get("prediction_type", "epsilon")
        if self._prediction not in ("epsilon", "v_prediction", "sample"):
            raise SedicError(f"the noise schedule predicts {self._prediction!r}, which is unknown")
        if self._prediction == "epsilon" and schedule.get("rescale_betas_zero_snr"):
            raise SedicError("a noise schedule that ends in pure noise cannot predict epsilon")
        spacing = "trailing" if schedule.get("timestep_spacing") == "trailing" else "linspace"
        known = {key: schedule[key] for key in _SCHEDULE_KEYS if key in schedule}
        self._solver = _solver(name, known, spacing, steps, blended)
        if self._solver is None:
            alphas = alpha_bar(known)
            spacing = "taught" if name in _STUDENTS else spacing
            self.timesteps = _timesteps(len(alphas), steps, spacing)
        else:
            alphas = self._solver.alphas_cumprod
            self.timesteps = [int(t) for t in self._solver.timesteps]
        self._alpha_bar = [float(alpha) for alpha in alphas]

    def noised(self, clean: Tensor, noise: Tensor, t: int) -> Tensor:
        """A clean latent at the noise level of timestep ``t`` (eq. 1)."""
        alpha = self._alpha_bar[t]
        return math.sqrt(alpha) * clean + math.sqrt(1 - alpha) * noise

    def step(self, i: int, z: Tensor, prediction: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
        """The latent after step ``i`` (at ``timesteps[i]``) of ``z`` before it; clean at the end.

        ``noise(i + 1)`` is asked for where the sampler is stochastic and the step not the last.
        """
        t = self.timesteps[i]
        if self._solver is not None:
            return self._solver.step(prediction, t, z, return_dict=False)[0]  # type: ignore[no-any-return]
        alpha = self._alpha_bar[t]
        clean, residual = self._split(z, prediction, alpha)
        if self._name == "lcm":
            scaled = (t * _SCALE) ** 2
            share = _DATA**2 / (scaled + _DATA**2)
            clean = share * z + math.sqrt(scaled / (scaled + _DATA**2)) * clean
        if i + 1 == len(self.timesteps):
            return clean
        before = self._alpha_bar[self.timesteps[i + 1]]
        if self._name == "lcm":
            return math.sqrt(before) * clean + math.sqrt(1 - before) * noise(i + 1)
        if self._name == "tcd":
            beyond = self._alpha_bar[math.floor((1 - _STOCHASTIC) * self.timesteps[i + 1])]
            mean = math.sqrt(beyond) * clean + math.sqrt(1 - beyond) * residual
            ratio = before / beyond
            return math.sqrt(ratio) * mean + math.sqrt(1 - ratio) * noise(i + 1)
        if self._name == "ddim":
            return math.sqrt(before) * clean + math.sqrt(1 - before) * residual
        ratio = alpha / before
        variance = (1 - before) / (1 - alpha) * (1 - ratio)
        mean = (
            math.sqrt(before) * (1 - ratio) / (1 - alpha) * clean
            + math.sqrt(ratio) * (1 - before) / (1 - alpha) * z
        )
        return mean + math.sqrt(variance) * noise(i + 1)

    def _split(self, z: Tensor, prediction: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """The clean latent and the noise that a prediction takes ``z`` to consist of."""
        signal, spread = math.sqrt(alpha), math.sqrt(1 - alpha)
        if self._prediction == "epsilon":
            return (z - spread * prediction) / signal, prediction
        if self._prediction == "sample":
            return prediction, (z - signal * prediction) / spread
        return signal * z - spread * prediction, signal * prediction + spread * z


def alpha_bar(schedule: dict[str, Any]) -> Tensor:
    """The share of signal at every timestep of training, float32, as diffusers computes it.

    ``schedule``: a scheduler's configuration. Its defaults are diffusers': 1000 timesteps, betas
    that rise linearly from 0.0001 to 0.02. ``SedicError`` for a ``beta_schedule`` that Stable
    Diffusion does not use.
    """
    count = schedule.get("num_train_timesteps", 1000)
    first, last = schedule.get("beta_start", 0.0001), schedule.get("beta_end", 0.02)
    kind = schedule.get("beta_schedule", "linear")
    if schedule.get("trained_betas") is not None:
        betas = torch.tensor(schedule["trained_betas"], dtype=torch.float32)
    elif kind == "linear":
        betas = torch.linspace(first, last, count, dtype=torch.float32)
    elif kind == "scaled_linear":
        betas = torch.linspace(first**0.5, last**0.5, count, dtype=torch.float32) ** 2
    else:
        raise SedicError(f"the noise schedule's betas are {kind!r}: linear or scaled_linear")
    alphas = torch.cumprod(1 - betas, 0)
    if not schedule.get("rescale_betas_zero_snr"):
        return alphas
    # Lin et al. 2024, algorithm 1: the last timestep becomes pure noise.
    roots = alphas.sqrt()
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    return roots**2


def _timesteps(count: int, steps: int, spacing: str) -> list[int]:
    if spacing == "taught":  # evenly among those that it was taught
        if steps > _TAUGHT:
            raise SedicError(f"the samplers lcm and tcd take at most {_TAUGHT} steps")
        taught = [(i + 1) * (count // _TAUGHT) - 1 for i in range(_TAUGHT)][::-1]
        return [taught[i * _TAUGHT // steps] for i in range(steps)]
    if steps == 1:
        return [count - 1]
    if spacing == "trailing":
        return [round(count - i * count / steps) - 1 for i in range(steps)]
    return [int(t) for t in np.round(np.linspace(0, count - 1, steps))[::-1]]


def _solver(
    name: str, schedule: dict[str, Any], spacing: str, steps: int, blended: bool
) -> Any | None:
    solver: Any
    if name == "dpm":
        from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

        solver = DPMSolverMultistepScheduler.from_config(schedule, timestep_spacing=spacing)
    elif name == "unipc":
        from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

        solver = UniPCMultistepScheduler.from_config(
            schedule,
            timestep_spacing=spacing,
            disable_corrector=list(range(steps)) if blended else [],
        )
    elif name in ("ddpm", "ddim", *_STUDENTS):
        return None
    else:
        raise SedicError(f"unknown sampler {name!r}; ddpm, ddim, dpm, unipc, lcm or tcd")
    solver.set_timesteps(steps)
    return solver
