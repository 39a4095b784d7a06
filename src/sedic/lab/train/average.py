"""The mean of several runs' weights of ``compact`` ("model soup", Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from sedic.errors import SedicError
from sedic.failures import translated
from sedic.files import printable
from sedic.reference import compact


def average(sources: Sequence[tuple[Path, float]], out: Path) -> Path:
    """Write the mean of these weight files of ``compact`` to ``out``, which must not exist.

    The number beside each file is its weight in the mean, above 0. The runs must continue one
    another: weights of independent runs have no useful mean. Tensors that only some of the files
    have (the inputs of noise) are the mean of those. ``SedicError`` where files differ in anything
    else.
    """
    if len(sources) < 2:
        raise SedicError("a mean needs two weight files or more")
    if out.exists():
        raise SedicError(f"{printable(out)} exists: choose another --out")
    networks = []
    for source, _ in sources:
        with translated(printable(source)):
            networks.append(compact.load_compact(source)[0])
    largest = max(networks, key=lambda network: len(network.state_dict()))
    states = [network.state_dict() for network in networks]
    mean = {}
    for name, value in largest.state_dict().items():
        parts = [
            (state[name].float(), share)
            for state, (_, share) in zip(states, sources, strict=True)
            if name in state
        ]
        if any(part.shape != value.shape for part, _ in parts):
            raise SedicError(f"the files differ in the shape of {name}")
        total = torch.stack([share * part for part, share in parts]).sum(0)
        mean[name] = total / sum(share for _, share in parts)
    largest.load_state_dict(mean)
    compact.save_compact(largest, out)
    return out
