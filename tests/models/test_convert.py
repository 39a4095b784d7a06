from __future__ import annotations

import json
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sedic.errors import SedicError
from sedic.models import convert as conversion
from sedic.models import diffusion, originals, registry
from sedic.models.convert import convert, parts, read_checkpoint
from sedic.synthesis.samplers import Sampler

HEAD = 16  # channels a head in the small networks of the golden numbers
LAYERS = 4  # of their text tower
SMALL: dict[str, Any] = {"prediction": "epsilon", "head": HEAD, "layers": LAYERS}
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "parity"


def stored(path: Path, prefix: str) -> dict[str, Tensor]:
    state = load_file(path)
    return {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}


def renamed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def recipe(prefix: str, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """The seeded weights of the golden numbers: see their README."""
    state = {}
    for key, shape in shapes.items():
        seed = zlib.crc32(f"0:{prefix}:{key}".encode())
        n = np.random.RandomState(seed).standard_normal(int(np.prod(shape))).reshape(shape)
        if len(shape) >= 2:
            n = 0.16 * n if "embedding" in key else n / np.sqrt(np.prod(shape[1:]))
        else:
            n = 0.05 * n if key.endswith("bias") else 1 + 0.1 * n
        state[key] = torch.from_numpy(n.astype(np.float16))
    return state


def filled(part: originals.Part) -> Any:
    network = part.empty().to_empty(device="cpu").eval()
    network.load_state_dict({k: v.float() for k, v in part.tensors.items()}, strict=False)
    if part.folder == "controlnet":
        network.controlnet_cond_embedding = diffusion.NoConditioning()
    if part.folder == "text_encoder":  # a buffer, which is not in checkpoints
        network.embeddings.position_ids = torch.arange(part.config["max_position_embeddings"])[None]
    return network


@pytest.fixture(scope="module")
def small(golden: Path) -> dict[str, dict[str, Tensor]]:
    """Every small original network, under names without prefix."""
    both = golden / "ircontrolnet" / "stored_weights_fp16.safetensors"
    rest = golden / "sd_vae_text" / "vae_text_weights_fp16.safetensors"
    return {
        "unet": stored(both, "unet."),
        "controlnet": stored(both, "controlnet."),
        "vae": stored(rest, "vae."),
        "text": stored(rest, "clip.model."),
    }


def check_control(unet: Any, controlnet: Any, io: dict[str, Tensor]) -> None:
    z, t, context = io["in.z_t"], io["in.t"], io["in.context"]
    seen = torch.cat((z, io["in.cond_latent"]), 1)
    with torch.inference_mode():
        down, middle = controlnet(seen, t, context, io["in.cond_latent"], return_dict=False)
        for index, control in enumerate([*down, middle]):
            torch.testing.assert_close(control, io[f"out.control.{index:02d}"], atol=1e-4, rtol=0)
        for scale, name in ((0.0, "no_control"), (0.5, "control_0.5"), (1.0, "control_1.0")):
            (eps,) = unet(
                z,
                t,
                context,
                down_block_additional_residuals=[scale * d for d in down],
                mid_block_additional_residual=scale * middle,
                return_dict=False,
            )
            torch.testing.assert_close(eps, io[f"out.eps_{name}"], atol=2e-5, rtol=0)


def test_ircontrolnet_computes_what_the_original_does(
    small: dict[str, dict[str, Tensor]], golden: Path
) -> None:
    unet = filled(originals.unet(small["unet"], HEAD))
    controlnet = filled(originals.controlnet(small["controlnet"], HEAD))
    check_control(unet, controlnet, load_file(golden / "ircontrolnet" / "stored_io.safetensors"))


@pytest.fixture(scope="module")
def regenerated(golden: Path) -> dict[str, dict[str, Tensor]]:
    manifest = json.loads((golden / "ircontrolnet" / "recipe_weights_manifest.json").read_text())
    states: dict[str, dict[str, Tensor]] = {}
    for prefix in ("unet", "controlnet"):
        entries = {
            key.removeprefix(prefix + "."): entry
            for key, entry in manifest["tensors"].items()
            if key.startswith(prefix + ".")
        }
        states[prefix] = recipe(prefix, {key: entry["shape"] for key, entry in entries.items()})
        for key, entry in entries.items():
            digest = sha256(states[prefix][key].numpy().tobytes()).hexdigest()
            assert digest.startswith(entry["sha256_16"])
    return states


def test_other_widths_convert_too(regenerated: dict[str, dict[str, Tensor]]) -> None:
    unet = originals.unet(regenerated["unet"], HEAD)
    assert unet.config["block_out_channels"] == [32, 64, 128, 128]
    assert unet.config["cross_attention_dim"] == 64
    assert originals.controlnet(regenerated["controlnet"], HEAD).config["in_channels"] == 8


def test_the_regenerated_network_computes_what_the_original_does(
    regenerated: dict[str, dict[str, Tensor]], golden: Path
) -> None:
    path = golden / "ircontrolnet" / "recipe_io.safetensors"
    if not path.is_file():
        pytest.skip("recipe_io.safetensors is not in the shared folder, only its sha256")
    unet = filled(originals.unet(regenerated["unet"], HEAD))
    controlnet = filled(originals.controlnet(regenerated["controlnet"], HEAD))
    check_control(unet, controlnet, load_file(path))


def test_vae_computes_what_the_original_does(
    small: dict[str, dict[str, Tensor]], golden: Path
) -> None:
    io = load_file(golden / "sd_vae_text" / "vae_text_io.safetensors")
    vae = filled(originals.vae(small["vae"]))
    with torch.inference_mode():
        found = vae.encode(io["in.image"]).latent_dist
        decoded = vae.decode(io["in.z"]).sample
    torch.testing.assert_close(found.mode(), io["out.mean"], atol=3e-5, rtol=0)
    torch.testing.assert_close(found.logvar, io["out.logvar"], atol=3e-5, rtol=0)
    scaled = found.mode() * vae.config.scaling_factor
    torch.testing.assert_close(scaled, io["out.scaled_mode"], atol=3e-5, rtol=0)
    torch.testing.assert_close(decoded, io["out.decoded"], atol=3e-5, rtol=0)


def test_text_encoder_computes_what_the_original_does(
    small: dict[str, dict[str, Tensor]], golden: Path
) -> None:
    io = load_file(golden / "sd_vae_text" / "vae_text_io.safetensors")
    text = filled(originals.text_encoder(small["text"], HEAD, LAYERS))
    with torch.inference_mode():
        hidden = text(io["in.tokens"]).last_hidden_state
    torch.testing.assert_close(hidden, io["out.text_hidden"], atol=3e-5, rtol=0)


@pytest.fixture(scope="module")
def full_size(golden: Path) -> dict[str, originals.Part]:
    """Both checkpoints at full size, without memory."""
    manifest = json.loads((golden / "ircontrolnet" / "manifest_original_full.json").read_text())
    found = []
    for name in ("sd_ckpt", "controlnet_ckpt"):
        shapes = manifest[name].items()
        found += parts({key: torch.empty(shape, device="meta") for key, shape in shapes})
    return {part.folder: part for part in found}


def test_every_full_size_tensor_has_its_place(
    full_size: dict[str, originals.Part], golden: Path
) -> None:
    keymap = json.loads((golden / "ircontrolnet" / "keymap_original_to_diffusers.json").read_text())
    sizes = {
        name: (len(part.tensors), sum(value.numel() for value in part.tensors.values()))
        for name, part in full_size.items()
    }
    assert sizes["unet"] == (686, 865_910_724)
    assert sizes["controlnet"] == (324, 363_153_280)
    assert sizes["vae"] == (248, 83_653_863)
    for name, part in full_size.items():
        wanted = keymap[name].values()
        if name == "text_encoder":  # its map has lists; transformers 5 left off a prefix
            wanted = [new.removeprefix("text_model.") for news in wanted for new in news or ()]
        assert sorted(part.tensors) == sorted(wanted)
        part.check()  # against the real class, names and shapes


def test_configurations_are_read_off_the_shapes(
    full_size: dict[str, originals.Part], golden: Path
) -> None:
    published = json.loads(
        (golden / "ircontrolnet" / "keymap_original_to_diffusers.json").read_text()
    )["diffusers_configs"]
    for name, class_name in (
        ("unet", "UNet2DConditionModel"),
        ("vae", "AutoencoderKL"),
        ("text_encoder", "CLIPTextModel"),
        ("controlnet", "ControlNetModel_carrier_for_IRControlNet"),
    ):
        ours = full_size[name].config
        shared_keys = ours.keys() & published[class_name].keys()
        assert len(shared_keys) >= 7
        assert {k: ours[k] for k in shared_keys} == {
            k: published[class_name][k] for k in shared_keys
        }


def test_nothing_may_be_missing_or_left_over(small: dict[str, dict[str, Tensor]]) -> None:
    for name, build in (
        ("unet", lambda state: originals.unet(state, HEAD)),
        ("controlnet", lambda state: originals.controlnet(state, HEAD)),
        ("vae", originals.vae),
        ("text", lambda state: originals.text_encoder(state, HEAD, LAYERS)),
    ):
        state = small[name]
        used = [key for key in state if "resblocks.3." not in key]  # the text tower's last layer
        used = [key for key in used if key not in ("text_projection", "logit_scale")]
        for key in used[:: len(used) // 3]:
            with pytest.raises(SedicError):
                build({k: v for k, v in state.items() if k != key})
            with pytest.raises(SedicError):
                build({**state, key: state[key][..., :-1]})
        for extra in ("input_blocks.1.0.in_layers.9.weight", "decoder.up.0.attn.0.q.weight", "x"):
            with pytest.raises(SedicError):
                build({**state, extra: torch.zeros(1)})


def test_what_is_no_checkpoint_is_refused_in_one_line() -> None:
    for state in (
        {},
        {"x": torch.zeros(1)},
        {"zero_convs.0.0.weight": torch.zeros(1)},
        {UNET + "input_blocks." + "9" * 5000 + ".0.op.weight": torch.zeros(1)},
        {UNET + "input_blocks.1.0.in_layers.0.weight": torch.zeros(3)},
        {VAE + "decoder.up.9999.block.0.conv1.weight": torch.zeros(1)},
        {TEXT + "transformer.resblocks.0.ln_1.weight": torch.zeros(1)},
        {TEXT + "token_embedding.weight": torch.zeros(1)},
    ):
        with pytest.raises(SedicError) as caught:
            parts(state)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def checkpoints(
    small: dict[str, dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The small networks as people have them: a .ckpt with leftovers, and a .pth."""
    folder = tmp_path_factory.mktemp("originals")
    state = {
        **renamed(small["unet"], UNET),
        **renamed(small["vae"], VAE),
        **renamed(small["text"], TEXT),
        "betas": torch.zeros(1000),
        "sqrt_recipm1_alphas_cumprod": torch.zeros(1000),
        "model_ema.decay": torch.tensor(0.9),
    }
    torch.save({"state_dict": state, "global_step": 7}, folder / "sd.ckpt")
    torch.save(small["controlnet"], folder / "v2.pth")
    return [folder / "sd.ckpt", folder / "v2.pth"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of CLIP's kind: id 0 is the exclamation mark."""
    folder = tmp_path_factory.mktemp("words")
    plain = ["!", "a", "b"]
    entries = [*plain, *(c + "</w>" for c in plain), "ab</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    return folder


def test_a_converted_folder_loads_and_computes_the_same(
    checkpoints: list[Path], words: Path, golden: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sd21"
    written = convert(checkpoints, out, words, **SMALL)
    names = {path.name for path in written}
    assert names == {"unet", "vae", "text_encoder", "controlnet", "scheduler", "tokenizer"}
    assert {path.name for path in out.iterdir()} == names  # and nothing temporary
    loaded = diffusion.load_diffusion(out).to("cpu", torch.float32)
    assert loaded.condition == "latent"
    assert loaded.schedule["prediction_type"] == "epsilon"
    io = load_file(golden / "ircontrolnet" / "stored_io.safetensors")
    check_control(loaded.unet, loaded.controlnet, io)
    io = load_file(golden / "sd_vae_text" / "vae_text_io.safetensors")
    with torch.inference_mode():
        latent = loaded.encode(io["in.image"])
        hidden = loaded.text_encoder(io["in.tokens"]).last_hidden_state
    torch.testing.assert_close(latent, io["out.scaled_mode"], atol=3e-5, rtol=0)
    torch.testing.assert_close(hidden, io["out.text_hidden"], atol=3e-5, rtol=0)


def test_the_converted_tokenizer_pads_with_zero(words: Path, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    convert([], tmp_path, words)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    ids = tokenizer("AB b", padding="max_length", max_length=77, truncation=True).input_ids
    assert ids == [7, 6, 5, 8] + [0] * 73


def test_real_token_ids(golden: Path) -> None:
    try:
        folder = registry.require("sd21") / "tokenizer"
    except SedicError as error:
        pytest.skip(str(error))
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    own = json.loads((golden / "sd_vae_text" / "openclip_token_ids.json").read_text())["own"]
    for entry in own:
        text = entry["text"]
        ids = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
        assert ids == entry["ids"], text


def test_float16_and_the_stored_precision(
    checkpoints: list[Path], small: dict[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    for half, dtype in ((True, torch.float16), (False, torch.float32)):
        (folder,) = convert(checkpoints[1:], tmp_path / str(half), half=half, **SMALL)
        state = load_file(folder / "diffusion_pytorch_model.safetensors")
        assert {value.dtype for value in state.values()} == {dtype}
        original = small["controlnet"]["input_blocks.0.0.weight"]
        assert torch.equal(state["conv_in.weight"].float(), original)


def test_what_a_network_predicts_must_be_said_and_reaches_the_sampler(
    checkpoints: list[Path], words: Path, tmp_path: Path
) -> None:
    both = {"head": HEAD, "layers": LAYERS}
    for given, message in (
        ({}, "--prediction epsilon"),
        ({"prediction": "x"}, "--prediction epsilon"),
        ({"prediction": "v"}, "--zero-snr"),
        ({"prediction": "epsilon", "zero_snr": True}, "needs --prediction v"),
    ):
        with pytest.raises(SedicError, match=message):
            convert(checkpoints[:1], tmp_path / "refused", **both, **given)
    assert not list((tmp_path / "refused").iterdir())
    for zero_snr in (True, False):
        out = tmp_path / str(zero_snr)
        convert(checkpoints, out, words, prediction="v", zero_snr=zero_snr, **both)
        schedule = diffusion.load_diffusion(out).schedule
        assert schedule["prediction_type"] == "v_prediction"
        sampler = Sampler("ddpm", schedule, 4, blended=False)
        one, none = torch.ones(1), torch.zeros(1)
        assert (float(sampler.noised(one, none, 999)) == 0) == zero_snr


def test_a_checkpoint_s_own_table_tells_a_schedule_that_ends_in_noise(
    small: dict[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    unet = renamed(small["unet"], UNET)
    for last, zero_snr in ((0.0, True), (0.0047, False)):
        path = tmp_path / f"{last}.safetensors"
        save_file({**unet, "alphas_cumprod": torch.tensor([0.999, 0.5, last])}, path)
        out = tmp_path / str(zero_snr)
        convert([path], out, prediction="v", head=HEAD)
        written = json.loads((out / "scheduler" / "scheduler_config.json").read_text())
        assert written.get("rescale_betas_zero_snr", False) == zero_snr


def test_a_unet_and_a_controlnet_of_two_kinds_are_not_run_together(
    checkpoints: list[Path], words: Path, tmp_path: Path
) -> None:
    convert(checkpoints[:1], tmp_path, words, **SMALL)
    convert(checkpoints[1:], tmp_path, **{**SMALL, "prediction": "v"})
    with pytest.raises(SedicError, match="belong together"):
        diffusion.load_diffusion(tmp_path)
    convert(checkpoints[1:], tmp_path, **SMALL, force=True)
    assert diffusion.load_diffusion(tmp_path).condition == "latent"


def test_only_the_last_layer_of_a_whole_text_tower_is_left_out(
    small: dict[str, dict[str, Tensor]],
) -> None:
    whole = small["text"]
    cut = {k: v for k, v in whole.items() if "resblocks.3." not in k}
    shorter = {k: v for k, v in cut.items() if "resblocks.2." not in k}
    parts_of = [originals.text_encoder(state, HEAD, LAYERS) for state in (whole, cut)]
    assert [part.config["num_hidden_layers"] for part in parts_of] == [3, 3]
    assert parts_of[0].tensors.keys() == parts_of[1].tensors.keys()
    with pytest.raises(SedicError, match="2 layers"):
        originals.text_encoder(shorter, HEAD, LAYERS)
    with pytest.raises(SedicError, match="4 layers: Stable Diffusion 2"):
        originals.text_encoder(whole, HEAD)


def test_networks_that_are_there_are_replaced_only_when_asked(
    checkpoints: list[Path], tmp_path: Path
) -> None:
    convert(checkpoints[1:], tmp_path, **SMALL)
    mark = tmp_path / "controlnet" / "mark"
    mark.touch()
    with pytest.raises(SedicError, match="--force"):
        convert(checkpoints[1:], tmp_path, **SMALL)
    assert mark.exists()
    convert(checkpoints[1:], tmp_path, **SMALL, force=True)
    assert not mark.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["controlnet"]


def test_nothing_is_left_of_a_conversion_that_fails(
    small: dict[str, dict[str, Tensor]], tmp_path: Path
) -> None:
    state = {k: v.to(torch.int32) for k, v in small["controlnet"].items()}
    path = tmp_path / "integers.safetensors"
    save_file(state, path)
    with pytest.raises(SedicError, match="int32"):
        convert([path], tmp_path / "out", **SMALL)
    assert not list((tmp_path / "out").iterdir())


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
def test_only_tensors_come_out_of_a_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"file{suffix}"
    torch.save({"state_dict": {"x": torch.zeros(2)}, "more": Malicious()}, path)
    with pytest.raises(SedicError):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    state = {"x": torch.arange(1000.0)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    data = path.read_bytes()
    for damaged in (b"", data[:7], data[: len(data) // 2], b"\x80\x04N.", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(SedicError):
            read_checkpoint(path)
    with pytest.raises(SedicError):
        read_checkpoint(tmp_path / f"absent{suffix}")


def test_a_few_bytes_cannot_claim_to_be_a_large_tensor(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"x": torch.zeros(1).expand(1 << 40)}, path)
    with pytest.raises(SedicError, match="larger than its data"):
        read_checkpoint(path)


def test_old_and_plain_checkpoints_are_read(tmp_path: Path) -> None:
    state = {"x": torch.arange(5.0)}
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(tmp_path / "old.pth")["x"], state["x"])


def test_diffusers_names_are_kept_when_repacked(tmp_path: Path) -> None:
    state = {"controlnet_down_blocks.0.weight": torch.arange(6.0).reshape(2, 3).T}
    torch.save(state, tmp_path / "model.bin")
    conversion.repack(tmp_path / "model.bin", tmp_path / "model.safetensors")
    (name, value), *more = load_file(tmp_path / "model.safetensors").items()
    assert name == "controlnet_down_blocks.0.weight" and not more
    assert torch.equal(value.float(), state[name])


def test_counters_are_left_out_and_precision_is_kept_when_asked(tmp_path: Path) -> None:
    state = {"text_model.embeddings.position_ids": torch.arange(77), "logit_scale": torch.ones(1)}
    torch.save(state, tmp_path / "model.bin")
    for half, dtype in ((True, torch.float16), (False, torch.float32)):
        target = tmp_path / str(half) / "model.safetensors"
        target.parent.mkdir()
        conversion.repack(tmp_path / "model.bin", target, half=half)
        loaded = load_file(target)
        assert {name: value.dtype for name, value in loaded.items()} == {"logit_scale": dtype}
