"""The embedded networks: what they begin as, what is stored of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sedic.errors import SedicError
from sedic.models import mini, pack
from sedic.models.clip_tokenizer import Tokenizer, learn_merges, tokenizer_of
from sedic.models.patch_autoencoder import PatchAutoencoder, PatchConfig

TEXTS = ["dark green object with strong fine texture", "pale blue area, smooth shading"] * 3


def test_known_words_are_one_token_each_and_others_fall_back_to_bytes() -> None:
    merges = learn_merges(TEXTS, 500)
    tokenizer = Tokenizer(merges)
    for word in " ".join(TEXTS).replace(",", "").split():
        assert len(tokenizer(word).input_ids) == 3  # with the marks of start and end
    strange = "zygote 😀 ünder"
    theirs = tokenizer_of(merges)
    assert theirs.decode(tokenizer(strange).input_ids, skip_special_tokens=True) == strange
    assert tokenizer.vocabulary == theirs.get_vocab()


def test_the_restorer_begins_as_the_identity() -> None:
    torch.manual_seed(0)
    networks = mini.fresh_restorer(32, learn_merges(TEXTS, 50))
    # Smooth, as latents of a reference image are.
    condition = torch.nn.functional.interpolate(
        torch.randn(1, 32, 4, 6), scale_factor=4, mode="bicubic"
    )
    z, context = torch.randn(1, 32, 16, 24), torch.randn(1, 77, 128)
    with torch.no_grad():
        control = networks["controlnet"](torch.cat([z, condition], 1), 999, context)
        clean = networks["unet"](z, 999, context, control)
    alike = torch.nn.functional.cosine_similarity(clean.flatten(), condition.flatten(), 0)
    assert alike > 0.98


def test_the_vae_begins_as_a_transform_codec_and_normalising_keeps_its_pictures() -> None:
    torch.manual_seed(0)
    vae = PatchAutoencoder(PatchConfig(12, 16, 16, 16)).eval()
    ramp = torch.linspace(-0.9, 0.9, 128).expand(1, 3, 128, 128).contiguous()
    with torch.no_grad():
        latents = vae.encode(ramp)
        assert latents.shape == (1, 12, 16, 16)
        before = vae(ramp)
        assert (before - ramp).abs().mean() < 0.1
        mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) + 0.1
        vae.normalise(mean, deviation)
        expected = (latents - mean[:, None, None]) / deviation[:, None, None]
        torch.testing.assert_close(vae.encode(ramp), expected, atol=1e-4, rtol=1e-4)
        inside = slice(56, 72)  # the rim sees zeros, which now mean something else
        torch.testing.assert_close(
            vae(ramp)[..., inside, inside], before[..., inside, inside], atol=1e-3, rtol=1e-3
        )


def test_a_pack_gives_back_what_was_put_in(tmp_path: Path) -> None:
    merges = learn_merges(TEXTS, 50)
    vae = PatchAutoencoder(PatchConfig(8, 16, 16, 16))
    restorer = mini.fresh_restorer(8, merges)
    pack.save_networks(tmp_path / "vae.safetensors", {"vae": vae})
    pack.save_networks(
        tmp_path / "restorer.safetensors", restorer, merges=merges, schedule=mini.SCHEDULE
    )
    networks = mini.load_mini(tmp_path / "vae.safetensors", tmp_path / "restorer.safetensors")
    for key, value in restorer["unet"].state_dict().items():
        torch.testing.assert_close(networks.unet.state_dict()[key], value.half().float())
    assert networks.schedule == mini.SCHEDULE
    picture = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        latent = networks.encode(picture)
        shown = networks.decode(networks.predict(latent, 999, networks.embed("dark"), latent))
    assert shown.shape == picture.shape


def test_other_files_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    pack.save_networks(good, {"vae": PatchAutoencoder(PatchConfig(8, 16, 16, 16))})
    with safe_open(good, "pt") as file:
        config = json.loads(file.metadata()["sedic"])
    tensors = load_file(good)
    bad = tmp_path / "bad.safetensors"

    def refused() -> None:
        with pytest.raises(SedicError, match="networks vae"):
            pack.load_networks(bad, ("vae",))

    bad.write_bytes(b"no tensors")
    refused()
    save_file(tensors, bad, {"sedic": "{"})
    refused()
    config["vae"]["wide"] = 32
    save_file(tensors, bad, {"sedic": json.dumps(config)})
    refused()
    save_file(tensors | {"unet.extra": torch.zeros(1)}, bad, {"sedic": json.dumps(config)})
    refused()
    with pytest.raises(SedicError, match="networks unet"):
        pack.load_networks(good, ("unet",))
