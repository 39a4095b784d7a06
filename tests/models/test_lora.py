"""Low-rank changes of a UNet, from files as diffusers, peft and kohya's scripts write them."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sedic.errors import SedicError
from sedic.models.interface import Networks
from sedic.models.lora import fold

RANK = 4


@pytest.fixture
def unet(tiny_networks: Callable[..., Networks]) -> Any:
    return copy.deepcopy(tiny_networks().unet)


def low_rank(unet: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Random matrices for every attention's query and for one convolution."""
    draw = torch.Generator().manual_seed(3)
    made = {}
    for name, module in unet.named_modules():
        if name.endswith("to_q"):
            shapes = (RANK, module.in_features), (module.out_features, RANK)
        elif name == "conv_in":
            shapes = (RANK, 4, 3, 3), (module.out_channels, RANK, 1, 1)
        else:
            continue
        made[name] = tuple(torch.randn(shape, generator=draw) for shape in shapes)
    return made


STYLES: dict[str, Callable[[str], tuple[str, str]]] = {
    "peft": lambda n: (
        f"base_model.model.{n}.lora_A.weight",
        f"base_model.model.{n}.lora_B.weight",
    ),
    "diffusers": lambda n: (f"unet.{n}.lora_A.weight", f"unet.{n}.lora_B.weight"),
    "older": lambda n: (f"unet.{n}.lora.down.weight", f"unet.{n}.lora.up.weight"),
    "kohya": lambda n: tuple(  # type: ignore[return-value]
        f"lora_unet_{n.replace('.', '_')}.lora_{part}.weight" for part in ("down", "up")
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_every_way_of_naming_gives_the_same_weights(unet: Any, style: str, tmp_path: Path) -> None:
    made = low_rank(unet)
    before = {name: p.clone() for name, p in unet.named_parameters()}
    tensors = {}
    for name, pair in made.items():
        tensors.update(zip(STYLES[style](name), pair, strict=True))
        if style == "kohya":
            tensors[f"lora_unet_{name.replace('.', '_')}.alpha"] = torch.tensor(RANK / 2)
    save_file(tensors, tmp_path / "lora.safetensors")
    assert fold(unet, tmp_path / "lora.safetensors", strength=0.5) == len(made) > 4
    scale = 0.25 if style == "kohya" else 0.5
    for name, parameter in unet.named_parameters():
        change = parameter - before[name]
        pair = made.get(name.removesuffix(".weight"))
        if pair is None:
            assert not change.any()
            continue
        expected = scale * pair[1].flatten(1) @ pair[0].flatten(1)
        assert torch.allclose(change, expected.reshape(change.shape), atol=1e-5)


def test_the_folded_network_is_the_one_that_diffusers_and_peft_run(
    unet: Any, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="needs peft and accelerate to compare with")
    made = low_rank(unet)
    tensors = {}
    for name, pair in made.items():
        tensors.update(zip(STYLES["diffusers"](name), pair, strict=True))
    save_file(tensors, tmp_path / "lora.safetensors")
    theirs = copy.deepcopy(unet)
    theirs.load_lora_adapter(tmp_path / "lora.safetensors", prefix="unet")
    fold(unet, tmp_path / "lora.safetensors")
    z, context = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 32)
    with torch.no_grad():
        ours, other = (network(z, 500, context).sample for network in (unet, theirs))
    assert (ours - other).abs().max() < 1e-4 * other.abs().max()


def test_what_does_not_fit_changes_nothing(unet: Any, tmp_path: Path) -> None:
    before = {name: p.clone() for name, p in unet.named_parameters()}
    path = tmp_path / "lora.safetensors"
    down, up = "unet.conv_in.lora_A.weight", "unet.conv_in.lora_B.weight"
    right = {down: torch.ones(2, 4, 3, 3), up: torch.ones(16, 2, 1, 1)}
    for wrong, message in (
        ({**right, "unet.absent.lora_A.weight": torch.ones(2, 2)}, "absent"),
        ({down: right[down]}, "does not fit"),
        ({**right, up: torch.ones(15, 2, 1, 1)}, "does not fit"),
        ({**right, up: torch.ones(16, 3, 1, 1)}, "does not fit"),
        ({**right, "text_encoder.x.lora_A.weight": torch.ones(2, 2)}, "text_encoder"),
        ({**right, "unet.conv_in.weight": torch.ones(2)}, "no part of a LoRA"),
        ({}, "no LoRA"),
    ):
        save_file(wrong, path)
        with pytest.raises(SedicError, match=message):
            fold(unet, path)
    path.write_bytes(b"\xff" * 50)
    with pytest.raises(SedicError, match=r"cannot be read|can be read"):
        fold(unet, path)
    assert all(torch.equal(p, before[name]) for name, p in unet.named_parameters())


def test_a_profile_of_few_steps_runs_its_base_s_networks_with_the_change(
    tiny_networks: Callable[..., Networks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedic.models import registry
    from sedic.profile import Profile

    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))
    networks = tiny_networks()
    for model in registry.select("sd21-tcd"):  # all that `here` looks for
        for file in model.files:
            path = tmp_path / model.folder / file.ready
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    folder = tmp_path / "sd21"
    for name in ("vae", "unet", "controlnet", "text_encoder"):
        for stale in (folder / name).glob("*.safetensors"):
            stale.unlink()
        getattr(networks, name).save_pretrained(folder / name, safe_serialization=True)
    shutil.rmtree(folder / "tokenizer")
    networks.tokenizer.save_pretrained(folder / "tokenizer")
    for name in ("merges.txt", "vocab.json", "special_tokens_map.json"):
        if not (folder / "tokenizer" / name).is_file():
            (folder / "tokenizer" / name).write_text("{}")
    schedule = json.dumps(networks.schedule)
    (folder / "scheduler" / "scheduler_config.json").write_text(schedule)
    down, up = torch.ones(2, 4, 3, 3), torch.full((16, 2, 1, 1), 0.5)
    tensors = {"unet.conv_in.lora_A.weight": down, "unet.conv_in.lora_B.weight": up}
    save_file(tensors, tmp_path / "sd21-tcd" / "pytorch_lora_weights.safetensors")
    plain = Profile.load("sd21", device="cpu", dtype="float32").networks.unet.conv_in.weight
    changed = Profile.load("sd21-tcd", device="cpu", dtype="float32").networks.unet.conv_in.weight
    assert torch.allclose(changed, plain + 1.0, atol=1e-6)
