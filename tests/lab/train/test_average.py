"""The mean of two weight files of ``compact``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sedic.errors import SedicError
from sedic.lab.train.average import average
from sedic.reference import compact
from sedic.reference.compact_network import CompactConfig, CompactNetwork

SMALL = CompactConfig(
    latent=16, hyper=8, wide=16, middle=16, narrow=16, entropy=16, decoder_blocks=(1, 2, 2)
)


def saved(folder: Path, name: str, network: CompactNetwork) -> Path:
    compact.save_compact(network, folder / name)
    return folder / name


def test_the_mean_of_a_network_without_noise_and_one_with_it(tmp_path: Path) -> None:
    plain = CompactNetwork(SMALL)
    noisy = CompactNetwork(SMALL).with_noise((4, 4, 16))
    files = [saved(tmp_path, "a.safetensors", plain), saved(tmp_path, "b.safetensors", noisy)]
    mean = compact.load_compact(
        average([(files[0], 3), (files[1], 1)], tmp_path / "mean.safetensors")
    )[0].state_dict()
    a, b = (compact.load_compact(file)[0].state_dict() for file in files)
    assert set(mean) == set(b) > set(a)
    name = "synthesis.enter.weight"
    torch.testing.assert_close(mean[name], (3 * a[name] + b[name]) / 4, rtol=0, atol=1e-3)
    only = "synthesis.grain.pattern.weight"
    assert torch.equal(mean[only], b[only])


def test_what_cannot_be_averaged_is_refused(tmp_path: Path) -> None:
    one = saved(tmp_path, "a.safetensors", CompactNetwork(SMALL))
    with pytest.raises(SedicError, match="two weight files"):
        average([(one, 1)], tmp_path / "mean.safetensors")
    with pytest.raises(SedicError, match="exists"):
        average([(one, 1), (one, 1)], one)
    other = saved(
        tmp_path, "b.safetensors", CompactNetwork(CompactConfig(**{**SMALL.__dict__, "wide": 32}))
    )
    with pytest.raises(SedicError, match="shape"):
        average([(one, 1), (other, 1)], tmp_path / "mean.safetensors")
