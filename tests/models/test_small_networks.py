"""The embedded networks' own modules and tokenizer against diffusers' and transformers' classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sedic.models import diffusion, mini
from sedic.models.clip_tokenizer import Merges, Tokenizer, tokenizer_of
from sedic.models.patch_autoencoder import PatchAutoencoder, PatchConfig
from sedic.models.small_text import TextConfig, TextEncoder
from sedic.models.small_unet import ControlNet, UNet, UNetConfig

LIMIT = 1e-5  # of a difference, float32


@pytest.fixture(autouse=True)
def plain_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides take torch's own convolutions; Winograd's have tests of their own."""
    monkeypatch.setattr("sedic.models.convolution._is_faster", lambda: False)


def theirs_of(networks: mini.MiniNetworks) -> diffusion.DiffusionNetworks:
    """The same weights in the classes of diffusers and transformers."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    def shape(config: UNetConfig) -> dict[str, Any]:
        names = ("block_out_channels", "down_block_types", "layers_per_block", "in_channels")
        more = ("cross_attention_dim", "attention_head_dim", "norm_num_groups")
        return {name: getattr(config, name) for name in names + more}

    config = networks.unet.config
    up = [kind.replace("Down", "Up") for kind in reversed(config.down_block_types)]
    unet = UNet2DConditionModel(
        **shape(config), out_channels=config.out_channels, up_block_types=tuple(up)
    )
    controlnet = diffusion.ir_controlnet(
        {**shape(networks.controlnet.config), "conditioning_embedding_out_channels": (8, 8)}
    )
    text = networks.text_encoder.config
    vocabulary = networks.tokenizer.vocabulary
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            **vars(text),
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
        )
    )
    for own, other in (
        (networks.unet, unet),
        (networks.controlnet, controlnet),
        (networks.text_encoder, text_encoder),
    ):
        other.load_state_dict(own.state_dict())
    return diffusion.DiffusionNetworks(
        nn.Identity(),
        text_encoder,
        tokenizer_of(merges_of(networks.tokenizer)),
        unet,
        controlnet,
        networks.schedule,
        networks.condition,
    )


def merges_of(tokenizer: Tokenizer) -> Merges:
    return list(tokenizer._ranks)


def random_networks(config: UNetConfig) -> mini.MiniNetworks:
    """Networks of these sizes in which no weight is zero."""
    torch.manual_seed(0)
    latent = config.in_channels
    tokenizer = Tokenizer([("r", "e"), ("re", "d</w>")])
    text = TextConfig(len(tokenizer), config.cross_attention_dim, 48, 2, 4)
    control = UNetConfig(**{**vars(config), "in_channels": 2 * latent, "out_channels": None})
    networks: tuple[Any, ...] = UNet(config), ControlNet(control), TextEncoder(text)
    for network in networks:
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        network.eval().requires_grad_(False)
    unet, controlnet, text_encoder = networks
    vae: Any = nn.Identity()
    return mini.MiniNetworks(vae, text_encoder, tokenizer, unet, controlnet)


CONFIGS = {
    "two levels": UNetConfig(4, 4, (16, 32), cross_attention_dim=32),
    "three levels": UNetConfig(
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32, 32),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        layers_per_block=2,
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=4,
    ),
}


@pytest.fixture(scope="module", params=[*CONFIGS, "shipped"])
def networks(request: pytest.FixtureRequest) -> mini.MiniNetworks:
    if request.param == "shipped":
        from importlib.resources import files
        from pathlib import Path

        weights = Path(str(files("sedic") / "weights"))
        return mini.load_mini(weights / "vae.safetensors", weights / "restorer.safetensors")
    return random_networks(CONFIGS[request.param])


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


@torch.no_grad()
def test_both_implementations_agree(networks: mini.MiniNetworks) -> None:
    theirs = theirs_of(networks)
    latent = networks.unet.config.in_channels
    draw = torch.Generator().manual_seed(1)
    z, condition = torch.randn(2, 1, latent, 8, 12, generator=draw)
    texts = "dark green object with strong fine texture, at the left", "", "zygote 😀 " * 40
    embedded = [networks.embed(text) for text in texts]
    for text, own in zip(texts, embedded, strict=True):
        assert difference(own, theirs.embed(text)) < LIMIT
        for words in (1, 2, 50):
            assert networks.word_tokens(text, words) == theirs.word_tokens(text, words)
    contexts = torch.cat(embedded[:2])
    for t, strength in ((999, 1.0), (249, 0.3), (0, 0.0)):
        own = networks.predict(z, t, contexts, condition, strength)
        other = theirs.predict(z, t, contexts, condition, strength)
        assert difference(own, other) < LIMIT * max(1.0, float(other.abs().max()))
    assert networks.multiple == theirs.multiple
    assert networks.unet.config.out_channels == theirs.channels


def test_attention_maps_and_their_gradients_agree(networks: mini.MiniNetworks) -> None:
    from sedic.synthesis.guidance import attention_maps, energy, gradient_of

    latent = networks.unet.config.in_channels
    z, condition = torch.randn(2, 1, latent, 8, 12, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(8, 12, dtype=torch.bool)
    mask[2:7, 1:5] = True
    found = []
    for each in (networks, theirs_of(networks)):
        context = each.embed("red object, smooth").detach()

        def maps_of(x: Tensor, each: Any = each, context: Tensor = context) -> list[Tensor]:
            return attention_maps(each.unet, lambda: each.predict(x, 500, context, condition))

        gradient = gradient_of(lambda x, of=maps_of: energy(of(x), mask, [1, 2]), z)
        found.append([*maps_of(z), 100 * gradient])
    own, other = found
    assert len(own) == len(other) >= 4
    for a, b in zip(own, other, strict=True):
        assert difference(a, b) < LIMIT


def test_networks_infer_only_and_speak_float32(networks: mini.MiniNetworks) -> None:
    import copy

    half = copy.deepcopy(networks)
    half.vae = PatchAutoencoder(PatchConfig(4, 16, 16, 16)).eval().requires_grad_(False)
    half.to("cpu", torch.bfloat16)
    z = torch.randn(1, networks.unet.config.in_channels, 4, 4)
    text = half.embed("red bus")
    for out in (text, half.predict(z, 9, text, z), half.decode(z[:, :4])):
        assert out.dtype == torch.float32 and not out.requires_grad
    assert half.dtype == torch.bfloat16


MERGES: Merges = [
    ("r", "e"),
    ("re", "d</w>"),
    ("a", "b"),
    ("ab", "a"),
    ("b", "a</w>"),
    ("'", "s</w>"),
]
OURS, THEIRS = Tokenizer(MERGES), tokenizer_of(MERGES)

# Which characters are letters depends on the version of Unicode for those assigned since.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cn", "Cs"))


@settings(max_examples=300, deadline=None)
@example("it's the dogs' bone, don't you'll 'sam !'s ''s")
@example("a <|endoftext|> b<|startoftext|>c <|ENDOFTEXT|>")
@example("12 ab34 ٣٤ ½ Ⅷ x²")
@example("ababa rered red Red ΣΑΣ İstanbul ẞ ß e\u0301 \u2028 \u3000x\x1cy\x85z")
@given(st.text(st.one_of(st.sampled_from("abred's 1,"), CHARACTERS), max_size=30))
def test_ids_are_those_of_transformers(text: str) -> None:
    expected = THEIRS(text, verbose=False).input_ids
    assert OURS(text).input_ids == expected
    if len(expected) < 20:
        whole = THEIRS(text, padding="max_length", max_length=20).input_ids
        assert OURS.padded(text, 20) == whole


def test_long_texts_lose_whole_words() -> None:
    ids = OURS("red " * 18 + "red").input_ids
    assert len(ids) == 21
    assert OURS.padded("red " * 30 + "x", 21) == ids
    one_word = OURS.padded("x" * 100, 21)
    assert len(one_word) == 21 and one_word[-1] == OURS.vocabulary["<|endoftext|>"]
