from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sedic.errors import SedicError
from sedic.models.diffusion import DiffusionNetworks, NoConditioning, ir_controlnet, load_diffusion


@pytest.fixture
def networks(tiny_networks: Callable[..., DiffusionNetworks]) -> DiffusionNetworks:
    return tiny_networks()


def test_pictures_become_latents_at_an_eighth_and_come_back(networks: DiffusionNetworks) -> None:
    latent = networks.encode(torch.rand(1, 3, 32, 48) * 2 - 1)
    assert latent.shape == (1, 4, 4, 6)
    assert latent.dtype == torch.float32
    assert networks.decode(latent).shape == (1, 3, 32, 48)


def test_a_distributions_mode_is_scaled_and_shifted(networks: DiffusionNetworks) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    blocks = 4
    vae = AutoencoderKL(
        block_out_channels=(8,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        norm_num_groups=4,
        scaling_factor=0.5,
        shift_factor=0.25,
    ).eval()
    picture = torch.rand(1, 3, 16, 16)
    ours = replace(networks, vae=vae)
    latent = ours.encode(picture)
    assert torch.equal(latent, ours.encode(picture))
    assert torch.allclose(latent, (vae.encode(picture).latent_dist.mean - 0.25) * 0.5)
    expected = vae.decode(latent / 0.5 + 0.25).sample
    assert torch.allclose(ours.decode(latent), expected, atol=1e-6)


def test_texts_are_padded_and_lose_whole_words_at_the_end(networks: DiffusionNetworks) -> None:
    length = networks.text_encoder.config.max_position_embeddings
    assert networks.embed("").shape == networks.embed("red " * 500 + "bus").shape
    assert networks.embed("").shape == (1, length, 32)
    # "red" is one token, "bus" three; two mark the ends
    fits = " ".join(["red"] * (length - 4))
    assert torch.equal(networks.embed(fits + " bus now and then"), networks.embed(fits))
    assert not torch.equal(networks.embed(fits + " red"), networks.embed(fits))
    assert torch.isfinite(networks.embed("x" * 2000)).all()  # one word, longer than everything


def test_tokens_of_the_first_words(networks: DiffusionNetworks) -> None:
    assert networks.word_tokens("red bus, an old one", 1) == [1]
    assert networks.word_tokens("red bus, an old one", 2) == [1, 2, 3, 4]
    assert networks.word_tokens("x" * 2000, 1) == list(range(1, 76))


def test_only_tokens_up_to_a_word_depend_on_it(networks: DiffusionNetworks) -> None:
    """What ``word_tokens`` points at is where ``embed`` has the words: the encoder is causal."""
    one, other = networks.embed("red bus, an old one"), networks.embed("red bus, a new one")
    last = networks.word_tokens("red bus, an old one", 2)[-1]
    assert torch.allclose(one[:, : last + 1], other[:, : last + 1], atol=1e-6)
    changed = networks.embed("red cat, an old one")
    assert not torch.allclose(one[:, last], changed[:, last], atol=1e-3)


@pytest.mark.parametrize("condition", ["latent", "picture"])
def test_a_prediction_for_each_context(
    tiny_networks: Callable[..., DiffusionNetworks], condition: str
) -> None:
    networks = tiny_networks(condition=condition)
    z = torch.randn(1, 4, 4, 6)
    seen = torch.randn(1, 4, 4, 6) if condition == "latent" else torch.rand(1, 3, 32, 48)
    texts = [networks.embed("red bus"), networks.embed("")]
    both = networks.predict(z, 500, torch.cat(texts), seen)
    assert both.shape == (2, 4, 4, 6)
    for row, text in zip(both, texts, strict=True):
        alone = networks.predict(z, 500, text, seen)
        assert torch.allclose(row, alone[0], atol=1e-5)
        assert not torch.allclose(alone, networks.predict(z, 500, text, seen.flip(3)), atol=1e-4)
    without = networks.predict(z, 500, texts[0], seen, strength=0.0)
    flipped = networks.predict(z, 500, texts[0], seen.flip(3), strength=0.0)
    assert torch.allclose(without, flipped, atol=1e-5)


def test_networks_infer_only(networks: DiffusionNetworks) -> None:
    for network in (networks.vae, networks.text_encoder, networks.unet, networks.controlnet):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_bfloat16_networks_still_speak_float32(
    tiny_networks: Callable[..., DiffusionNetworks],
) -> None:
    import copy

    networks = copy.deepcopy(tiny_networks()).to("cpu", torch.bfloat16)
    assert networks.dtype == torch.bfloat16
    z, text = torch.randn(1, 4, 4, 4), networks.embed("red bus")
    for out in (text, networks.predict(z, 9, text, z), networks.decode(z)):
        assert out.dtype == torch.float32


def test_the_vae_may_compute_in_another_format(
    tiny_networks: Callable[..., DiffusionNetworks],
) -> None:
    import copy

    networks = copy.deepcopy(tiny_networks()).to("cpu", torch.bfloat16, torch.float32)
    exact = tiny_networks()
    picture = torch.rand(1, 3, 16, 16) * 2 - 1
    latent = networks.encode(picture)
    assert torch.allclose(latent, exact.encode(picture), atol=1e-5)
    assert torch.allclose(networks.decode(latent), exact.decode(latent), atol=1e-5)
    assert networks.dtype == torch.bfloat16


def save(networks: DiffusionNetworks, folder: Path) -> None:
    for name in ("vae", "unet", "controlnet", "text_encoder"):
        getattr(networks, name).save_pretrained(folder / name, safe_serialization=True)
    networks.tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(networks.schedule))


@pytest.mark.parametrize("condition", ["latent", "picture"])
def test_a_folder_in_diffusers_layout(
    tiny_networks: Callable[..., DiffusionNetworks], tmp_path: Path, condition: str
) -> None:
    networks = tiny_networks(condition=condition)
    save(networks, tmp_path)
    loaded = load_diffusion(tmp_path)
    assert loaded.condition == condition
    assert isinstance(loaded.controlnet.controlnet_cond_embedding, NoConditioning) == (
        condition == "latent"
    )
    z, seen = torch.randn(1, 4, 4, 6), torch.rand(1, 3, 32, 48)
    hint = z if condition == "latent" else seen
    text = networks.embed("red bus")
    assert torch.allclose(loaded.embed("red bus"), text, atol=1e-5)
    predicted = loaded.predict(z, 5, text, hint), networks.predict(z, 5, text, hint)
    assert torch.allclose(*predicted, atol=1e-5)
    assert torch.allclose(loaded.encode(seen), networks.encode(seen), atol=1e-5)
    assert loaded.schedule == networks.schedule
    assert loaded.word_tokens("red bus", 2) == networks.word_tokens("red bus", 2)


@pytest.mark.parametrize("part", ["vae", "unet", "controlnet", "text_encoder"])
def test_a_part_that_is_not_there_is_named(
    networks: DiffusionNetworks, tmp_path: Path, part: str
) -> None:
    save(networks, tmp_path)
    weights = next((tmp_path / part).glob("*.safetensors"))
    content = weights.read_bytes()
    weights.unlink()
    with pytest.raises(SedicError, match=part):
        load_diffusion(tmp_path)
    weights.write_bytes(content[:100])
    with pytest.raises(SedicError, match=part):
        load_diffusion(tmp_path)
    weights.rename(weights.with_suffix(".bin"))  # pickles are never opened
    with pytest.raises(SedicError, match=part):
        load_diffusion(tmp_path)


def test_missing_tensors_are_refused(networks: DiffusionNetworks, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(networks, tmp_path)
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("conv_in.bias")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(SedicError, match=r"conv_in\.bias"):
        load_diffusion(tmp_path)


def test_an_ir_controlnet_has_no_hint_weights(networks: DiffusionNetworks) -> None:
    made = ir_controlnet(dict(networks.controlnet.config))
    assert set(made.state_dict()) == set(networks.controlnet.state_dict())
    assert not any("cond_embedding" in key for key in made.state_dict())


@pytest.mark.slow
def test_compiled_networks_predict_the_same_and_keep_gradients(networks: DiffusionNetworks) -> None:
    from sedic.synthesis.guidance import attention_maps

    compiled: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        compiled.append(graph.print_readable(print_output=False))
        return graph.forward

    z, text = torch.randn(1, 4, 8, 8), networks.embed("red bus")
    both = torch.cat((text, networks.embed("")))
    with torch.no_grad():
        plain = [networks.predict(z, t, both, z) for t in (999, 500, 1)]
        ours = replace(networks).compile(backend=backend, dynamic=False)
        again = [ours.predict(z, t, both, z) for t in (999, 500, 1)]
    for expected, found in zip(plain, again, strict=True):
        assert torch.allclose(expected, found, atol=1e-5)
    graphs = len(compiled)
    assert graphs  # and not one for every timestep
    with torch.no_grad():
        ours.predict(z, 250, both, z)
    assert len(compiled) == graphs
    assert len(attention_maps(ours.unet, lambda: ours.predict(z, 9, text, z))) == 4
