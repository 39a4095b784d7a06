from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sedic.errors import SedicError
from sedic.models.diffusion import DiffusionNetworks, ir_controlnet
from sedic.synthesis.samplers import Sampler, alpha_bar

SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
SAMPLERS = ("ddpm", "ddim", "dpm", "unipc", "lcm", "tcd")
ONE, ZERO = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)


def shares(sampler: Sampler, t: int) -> tuple[float, float]:
    """How much signal and how much noise a latent holds at ``t``."""
    return float(sampler.noised(ONE, ZERO, t)), float(sampler.noised(ZERO, ONE, t))


def truth(kind: str, sampler: Sampler, t: int, clean: Tensor, z: Tensor) -> Tensor:
    """What a network that knows the clean latent would predict."""
    signal, spread = shares(sampler, t)
    noise = (z - signal * clean) / spread
    if kind == "epsilon":
        return noise
    return clean if kind == "sample" else signal * noise - spread * clean


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("steps", [1, 2, 4, 9])
@pytest.mark.parametrize("spacing", ["linspace", "trailing", "leading"])
def test_every_sampler_arrives_where_a_perfect_network_points(
    name: str, kind: str, steps: int, spacing: str
) -> None:
    schedule = {**SCHEDULE, "prediction_type": kind, "timestep_spacing": spacing}
    sampler = Sampler(name, schedule, steps, blended=steps == 4)
    draw = torch.Generator().manual_seed(steps)
    clean, z = torch.randn(2, 1, 4, 6, 5, generator=draw)
    assert len(sampler.timesteps) == steps
    assert sampler.timesteps[0] == 999
    assert sampler.timesteps == sorted(set(sampler.timesteps), reverse=True)
    for i, t in enumerate(sampler.timesteps):
        says = truth(kind, sampler, t, clean, z)
        z = sampler.step(i, z, says, lambda _: torch.randn(clean.shape, generator=draw))
    assert torch.allclose(z, clean, atol=1e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_schedules_that_begin_in_pure_noise(name: str) -> None:
    schedule = {**SCHEDULE, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    sampler = Sampler(name, schedule, 6, blended=False)
    clean, z = torch.randn(2, 1, 4, 6, 5, generator=torch.Generator().manual_seed(6))
    assert shares(sampler, 999)[0] < 1e-3
    for i, t in enumerate(sampler.timesteps):
        says = truth("v_prediction", sampler, t, clean, z)
        z = sampler.step(i, z, says, lambda _: torch.zeros_like(clean))
    assert torch.allclose(z, clean, atol=2e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_latents_stay_at_the_noise_level_of_their_timestep(name: str) -> None:
    """What eq. 4 relies on: two latents at one step are equally noisy."""
    sampler = Sampler(name, SCHEDULE, 10, blended=True)
    draw = torch.Generator().manual_seed(1)
    clean = torch.full((1, 1, 200, 200), 0.5)
    z = sampler.noised(clean, torch.randn(clean.shape, generator=draw), 999)
    for i, t in enumerate(sampler.timesteps[:-1]):
        says = truth("epsilon", sampler, t, clean, z)
        z = sampler.step(i, z, says, lambda _: torch.randn(clean.shape, generator=draw))
        signal, spread = shares(sampler, sampler.timesteps[i + 1])
        assert abs(float(z.mean()) - 0.5 * signal) < 0.03
        assert abs(float(z.std()) - spread) < 0.03 * spread + 1e-3


def test_only_ddpm_asks_for_noise_and_never_at_the_end() -> None:
    for name in SAMPLERS:
        asked: list[int] = []
        sampler = Sampler(name, SCHEDULE, 4, blended=False)
        z = ONE
        for i in range(4):
            z = sampler.step(i, z, ZERO, lambda step: asked.append(step) or ZERO)  # noqa: B023
        assert asked == ([1, 2, 3] if name in ("ddpm", "lcm", "tcd") else [])


@pytest.mark.parametrize("name", ["lcm", "tcd"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 30, 50])
def test_samplers_of_few_steps_are_diffusers(name: str, prediction: str, steps: int) -> None:
    from diffusers.schedulers.scheduling_lcm import LCMScheduler
    from diffusers.schedulers.scheduling_tcd import TCDScheduler

    schedule = {**SCHEDULE, "prediction_type": prediction}
    theirs = {"lcm": LCMScheduler, "tcd": TCDScheduler}[name].from_config(schedule)
    theirs.set_timesteps(steps)
    ours = Sampler(name, schedule, steps, blended=False)
    assert ours.timesteps == theirs.timesteps.tolist()
    draw, same = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    z = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(6))
    for i, t in enumerate(theirs.timesteps):
        says = 0.7 * z + 0.1
        expected = theirs.step(says, t, z, generator=draw, return_dict=False)[0]
        noise = torch.randn(z.shape, generator=same)
        before, z = z, ours.step(i, z, says, lambda _, noise=noise: noise)
        found = z
        if name == "tcd" and i + 1 == steps:
            # diffusers' last step keeps the noise of timestep 0, ours is clean
            signal, spread = shares(ours, int(t))
            found = ours.noised(z, (before - signal * z) / spread, 0)
        assert torch.allclose(found, expected, atol=1e-5, rtol=1e-4)


def test_few_step_samplers_know_fifty_timesteps() -> None:
    with pytest.raises(SedicError, match="at most 50"):
        Sampler("lcm", SCHEDULE, 51, blended=False)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
        {"rescale_betas_zero_snr": True},
        {"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3},
        {"num_train_timesteps": 50},
    ],
)
def test_noise_levels_are_those_of_diffusers(changed: dict[str, Any]) -> None:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    schedule = {**SCHEDULE, **changed}
    expected = DDPMScheduler.from_config(schedule).alphas_cumprod
    assert (alpha_bar(schedule) - expected).abs().max() < 1e-6
    assert torch.equal(alpha_bar({}), DDPMScheduler().alphas_cumprod)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_ddim_is_that_of_diffusers(kind: str) -> None:
    """What the embedded restorer runs: four steps, trailing, any prediction."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    schedule = {**SCHEDULE, "prediction_type": kind, "timestep_spacing": "trailing"}
    ours = Sampler("ddim", schedule, 4, blended=False)
    theirs = DDIMScheduler.from_config(schedule, clip_sample=False)
    theirs.set_timesteps(4)
    assert ours.timesteps == theirs.timesteps.tolist()
    draw = torch.Generator().manual_seed(0)
    z = expected = torch.randn(1, 4, 6, 5, generator=draw)
    for i, t in enumerate(ours.timesteps):
        says = torch.randn(z.shape, generator=draw)
        z = ours.step(i, z, says, lambda _: ZERO)
        expected = theirs.step(says, t, expected).prev_sample
        assert (z - expected).abs().max() < 1e-6 * max(1.0, float(expected.abs().max()))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(SedicError, match="euler"):
        Sampler("euler", SCHEDULE, 4, blended=False)
    with pytest.raises(SedicError, match="flow"):
        Sampler("ddpm", {**SCHEDULE, "prediction_type": "flow"}, 4, blended=False)
    with pytest.raises(SedicError, match="epsilon"):
        Sampler("ddpm", {**SCHEDULE, "rescale_betas_zero_snr": True}, 4, blended=False)
    with pytest.raises(SedicError, match="cosine"):
        Sampler("ddim", {**SCHEDULE, "beta_schedule": "cosine"}, 4, blended=False)


def test_timesteps_and_start_are_diffbirs(shared: Path) -> None:
    folder = shared / "parity" / "diffbir_sampler"
    golden = load_file(folder / "sampler.safetensors")
    timesteps = json.loads((folder / "meta.json").read_text())["timesteps"]
    for steps in ("2", "4", "5", "10", "20", "40", "50", "100"):
        ours = Sampler("ddpm", SCHEDULE, int(steps), blended=False).timesteps
        assert ours[::-1] == timesteps[steps]
    sampler = Sampler("ddpm", SCHEDULE, 50, blended=False)
    z0, noise = golden["start.in.z0"], golden["start.in.noise"]
    for t, name in ((999, "x_T"), (500, "q_sample_t500")):
        assert (sampler.noised(z0, noise, t) - golden[f"start.out.{name}"]).abs().max() < 2e-6


@pytest.fixture(scope="module")
def diffbir(shared: Path) -> DiffusionNetworks:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from sedic.models.originals import controlnet, unet

    stored = load_file(shared / "parity" / "ircontrolnet" / "stored_weights_fp16.safetensors")

    def of(prefix: str) -> dict[str, Tensor]:
        return {
            key.removeprefix(prefix): value.float()
            for key, value in stored.items()
            if key.startswith(prefix)
        }

    parts = unet(of("unet."), head=16), controlnet(of("controlnet."), head=16)
    models = UNet2DConditionModel.from_config(parts[0].config), ir_controlnet(parts[1].config)
    for model, part in zip(models, parts, strict=True):
        model.load_state_dict(part.tensors)
    return DiffusionNetworks(nn.Identity(), nn.Identity(), None, *models, SCHEDULE, "latent")


@pytest.mark.parametrize("case", ["cfg1", "cfg3.5", "cfg7_strength0.5", "v_zero_snr_cfg4"])
def test_whole_runs_are_diffbirs(shared: Path, diffbir: DiffusionNetworks, case: str) -> None:
    folder = shared / "parity" / "diffbir_sampler"
    golden = load_file(folder / "sampler.safetensors")
    about = json.loads((folder / "meta.json").read_text())[f"run.{case}"]
    schedule = dict(SCHEDULE)
    if about["zero_snr"]:
        schedule |= {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    sampler = Sampler("ddpm", schedule, about["steps"], blended=False)
    given = {key.removeprefix("run.in."): value for key, value in golden.items()}
    texts = [given["c_txt"]] if about["cfg_scale"] == 1 else [given["u_txt"], given["c_txt"]]
    z = given["x_T"]
    for i, t in enumerate(sampler.timesteps):
        with torch.no_grad():
            says = diffbir.predict(
                z, t, torch.cat(texts), given["c_img"], about["control_strength"]
            )
        says = says[:1] + about["cfg_scale"] * (says[-1:] - says[:1]) if len(texts) > 1 else says
        z = sampler.step(i, z, says, lambda step: given[f"noise.{step - 1}"])
        expected = golden[f"run.{case}.latent_after_step.{i}"]
        assert (z - expected).abs().max() < 1e-5 * expected.abs().max()
    assert math.isfinite(float(z.sum()))
