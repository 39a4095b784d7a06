from __future__ import annotations

import pytest
import torch

from sedic.errors import SedicError
from sedic.models.precision import picture_dtype, placement


def machine(
    monkeypatch: pytest.MonkeyPatch, *, cuda: bool = False, native: bool = True, mps: bool = False
) -> None:
    """Pretend that torch finds these devices."""

    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("here", "device", "dtype", "vae"),
    [
        ({}, "cpu", None, None),
        ({"cuda": True}, "cuda", torch.bfloat16, torch.bfloat16),
        ({"cuda": True, "native": False}, "cuda", torch.float16, torch.float32),  # RTX 20, V100
        ({"mps": True}, "mps", torch.float16, torch.float32),
        ({"cuda": True, "mps": True}, "cuda", torch.bfloat16, torch.bfloat16),
    ],
)
def test_the_fastest_of_what_is_here(
    monkeypatch: pytest.MonkeyPatch,
    here: dict[str, bool],
    device: str,
    dtype: torch.dtype | None,
    vae: torch.dtype | None,
) -> None:
    machine(monkeypatch, **here)
    found = placement()
    assert found.device == torch.device(device)
    assert found.dtype == (dtype or picture_dtype())
    assert found.vae_dtype == (vae or picture_dtype())


def test_what_is_asked_for_is_what_one_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=True)
    assert placement("cpu", "float32").dtype == torch.float32
    assert placement("cuda:0", "float16").vae_dtype == torch.float32
    assert placement("cuda", "float32").dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("cuda", "auto", "no device cuda"),
        ("mps", "auto", "no device mps"),
        ("cuda:1", "auto", "no device cuda:1"),
        ("tpu", "auto", "unknown device"),
        ("meta", "auto", "unknown device"),
        ("cpu", "int8", "unknown number format"),
        ("cpu", "float16", "slower"),
    ],
)
def test_what_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, message: str
) -> None:
    machine(monkeypatch)
    with pytest.raises(SedicError, match=message):
        placement(device, dtype)
