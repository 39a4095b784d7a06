"""An adversarial term: small networks that tell decoded crops from photographs by the feature maps
of a frozen classifier (Sauer et al. 2021, "Projected GANs converge faster").

They learn beside the codec, with an optimiser of their own, and are not kept in checkpoints: a run
that is continued begins with new ones, which are as good after some dozens of steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 64
_RATE = 5e-4


class Critic:
    """One network for each feature map; ``loss`` is how little a batch resembles photographs."""

    def __init__(self, channels: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._networks = nn.ModuleList(_network(count) for count in channels).to(device)
        self._optimizer = torch.optim.Adam(self._networks.parameters(), _RATE, betas=(0.0, 0.99))
        self._last_maps: tuple[list[Tensor], list[Tensor]] | None = None

    def loss(self, decoded: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """The adversarial loss of a batch, (b,), from maps (b, channels, h, w) of the decoded crops
        and of their originals: log(1 + exp(-score)), so that it is never negative.

        First the networks learn from the batch of the call before. (They must not change between
        this loss and its gradient.)
        """
        if self._last_maps:
            self._learn(*self._last_maps)
        self._networks.requires_grad_(False)
        loss = torch.stack([F.softplus(-s).mean((1, 2, 3)) for s in self._scores(decoded)]).mean(0)
        self._last_maps = tuple([m.detach().float() for m in maps] for maps in (decoded, real))  # type: ignore[assignment]
        return loss

    def _learn(self, decoded: list[Tensor], real: list[Tensor]) -> None:
        self._networks.requires_grad_(True)
        loss = decoded[0].new_zeros(())
        for fake, true in zip(self._scores(decoded), self._scores(real), strict=True):
            loss = loss + F.softplus(fake).mean() + F.softplus(-true).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _scores(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [network(x.float()) for network, x in zip(self._networks, maps, strict=True)]


def _network(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.GroupNorm(1, channels, affine=False),
        nn.Conv2d(channels, _WIDTH, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, 1, 1),
    )
