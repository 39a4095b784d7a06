"""The adversarial term: what looks like photographs costs less than what does not."""

from __future__ import annotations

import torch

from sedic.lab.train.critic import Critic


def maps(mean: float, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(4, 8, 16, 16, generator=generator)
    return [torch.cat([noise[:, :4] + mean, noise[:, 4:]], 1)]


def test_a_critic_learns_what_decoded_crops_look_like() -> None:
    torch.manual_seed(0)
    critic = Critic([8])
    for step in range(60):
        critic.loss(maps(1.0, 2 * step), maps(0.0, 2 * step + 1))
    far, near = critic.loss(maps(1.0, 999), maps(0.0, 998)), critic.loss(maps(0.0, 997), maps(0, 1))
    assert far.shape == (4,)
    assert far.min() > 2 * near.max() > 0


def test_its_gradient_reaches_the_decoded_maps_alone() -> None:
    critic = Critic([8])
    decoded, real = maps(1.0, 0), maps(0.0, 1)
    decoded[0].requires_grad_(True)
    critic.loss(decoded, real).sum().backward()
    critic.loss(decoded, real)  # learns from the call before
    assert decoded[0].grad is not None and decoded[0].grad.abs().sum() > 0
