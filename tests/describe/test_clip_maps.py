"""CLIP Surgery against the numbers of the original code, and MISC's 8 x 8 blocks."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from safetensors.numpy import load_file, save_file
from transformers.models.clip.configuration_clip import CLIPConfig
from transformers.models.clip.modeling_clip import CLIPModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from sedic.describe.clip_maps import (
    LEVEL,
    TEMPLATES,
    ClipMaps,
    coarse,
    image_features,
    levels,
    shares,
    similarities,
    similarity_maps,
    spread,
    text_features,
)
from sedic.errors import SedicError
from sedic.semantics import (
    Mask,
)

END_OF_TEXT = 49_407


@pytest.fixture(scope="module")
def stored(shared: Path) -> dict[str, np.ndarray]:
    return load_file(shared / "parity" / "clip_surgery" / "io.safetensors")


@pytest.fixture(scope="module")
def model(shared: Path) -> CLIPModel:
    """The network of the golden numbers, its weights renamed from OpenAI's keys."""
    folder = shared / "parity" / "clip_surgery"
    config = json.loads((folder / "config.json").read_text())["config"]
    text = {
        "hidden_size": config["transformer_width"],
        "intermediate_size": 4 * config["transformer_width"],
        "num_hidden_layers": config["transformer_layers"],
        "num_attention_heads": config["transformer_heads"],
        "vocab_size": config["vocab_size"],
        "max_position_embeddings": config["context_length"],
        "eos_token_id": END_OF_TEXT,
    }
    vision = {
        "hidden_size": config["vision_width"],
        "intermediate_size": 4 * config["vision_width"],
        "num_hidden_layers": config["vision_layers"],
        "num_attention_heads": config["vision_width"] // 64,
        "image_size": config["image_resolution"],
        "patch_size": config["vision_patch_size"],
    }
    model = CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=config["embed_dim"])
    ).eval()
    weights = {
        k: v.astype(np.float32) for k, v in load_file(folder / "weights_fp16.safetensors").items()
    }
    ids = weights.pop("token_embedding_rows.ids").astype(int)
    rows = weights.pop("token_embedding_rows.values")
    weights["token_embedding.weight"] = np.zeros((config["vocab_size"], rows.shape[1]), np.float32)
    weights["token_embedding.weight"][ids] = rows
    renamed = transformers_keys(weights)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in renamed.items()})
    return model


def transformers_keys(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """OpenAI's tensors of a CLIP under the names of transformers' ``CLIPModel``."""
    single = {
        "logit_scale": "logit_scale",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
    }
    parts = {
        "visual.transformer.resblocks.": "vision_model.encoder.layers.",
        "transformer.resblocks.": "text_model.encoder.layers.",
        "visual.ln_pre.": "vision_model.pre_layrnorm.",
        "visual.ln_post.": "vision_model.post_layernorm.",
        "ln_final.": "text_model.final_layer_norm.",
        ".attn.out_proj.": ".self_attn.out_proj.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".mlp.c_fc.": ".mlp.fc1.",
        ".mlp.c_proj.": ".mlp.fc2.",
    }
    renamed = {}
    for key, value in weights.items():
        if key in ("visual.proj", "text_projection"):
            name = "visual_projection" if key == "visual.proj" else "text_projection"
            renamed[f"{name}.weight"] = value.T.copy()
            continue
        name = single.get(key, key)
        if name == key:
            for old, new in parts.items():
                name = name.replace(old, new)
        if ".attn.in_proj_" in name:
            for part, third in zip("qkv", np.split(value, 3), strict=True):
                renamed[name.replace(".attn.in_proj_", f".self_attn.{part}_proj.")] = third
        else:
            renamed[name] = value
    return renamed


@pytest.fixture(scope="module")
def words(model: CLIPModel, stored: dict[str, np.ndarray]) -> torch.Tensor:
    """The features of the three texts and of no text."""
    tokens = torch.from_numpy(stored["tokens_3texts_plus_empty"]).long()
    with torch.inference_mode():
        return torch.stack([text_features(model, prompts) for prompts in tokens])


def test_text_features_are_those_of_the_original(
    words: torch.Tensor, stored: dict[str, np.ndarray]
) -> None:
    for size in (56, 80):
        np.testing.assert_allclose(words[:3], stored[f"res{size}.out.text_features"], atol=2e-5)
        nothing = stored[f"res{size}.out.redundant_features"]
        np.testing.assert_allclose(words[3:], nothing, atol=2e-5)


@pytest.mark.parametrize("size", [56, 80])  # 80: the position embedding is resized
@torch.inference_mode()
def test_similarity_maps_are_those_of_the_original(
    model: CLIPModel, words: torch.Tensor, stored: dict[str, np.ndarray], size: int
) -> None:
    golden = {key.removeprefix(f"res{size}."): value for key, value in stored.items()}
    image = image_features(model, torch.from_numpy(golden["in.image"]))
    np.testing.assert_allclose(image, golden["out.image_features_raw"], atol=2e-5)
    similarity = similarities(image, words[:3], words[3])
    np.testing.assert_allclose(similarity, golden["out.similarity"], atol=1e-4)
    height, width = golden["out.map_uint8"].shape[:2]
    maps = similarity_maps(similarity, height, width)
    expected = np.moveaxis(golden["out.similarity_map"][0], -1, 0)
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    off = levels(maps).astype(int) - np.moveaxis(golden["out.map_uint8"], -1, 0)
    assert np.abs(off).max() <= 1
    for number, level in enumerate(levels(maps)):
        grid = stored[f"mask_block.map_res{size}_{number}.num8.grid"]
        np.testing.assert_array_equal(shares(level) > LEVEL, grid)


def test_blocks_are_those_of_the_original(stored: dict[str, np.ndarray]) -> None:
    cases = [
        key.removesuffix(".in")
        for key in stored
        if key.startswith("mask_block") and key.endswith(".in")
    ]
    assert len(cases) == 15
    for case in cases:
        level, grid = stored[f"{case}.in"], stored[f"{case}.grid"]
        strength = shares(level, blocks=len(grid))
        np.testing.assert_allclose(strength, stored[f"{case}.resized"], atol=1e-6)
        np.testing.assert_array_equal(strength > LEVEL, grid)
        cells = spread(grid.astype(bool), *level.shape)
        np.testing.assert_array_equal(cells, stored[f"{case}.out_u8"] == 255)


def test_the_templates_are_the_prompts_of_the_golden_numbers(
    stored: dict[str, np.ndarray],
) -> None:
    """Without CLIP's vocabulary: every word must always be the same tokens, and no other's.

    A word's tokens are learnt where it is the only new one of its prompt, or each new one has
    one token; all prompts must then read as their tokens do.
    """
    prompts = [
        (
            template.replace("{}", text)
            .replace("-", " - ")
            .replace(".", " .")
            .replace("jpeg c", "jpeg_c")
            .split(),
            ids,
        )
        for text, rows in zip(
            ("motorcycle", "red barn", "white astronaut helmet", ""),
            stored["tokens_3texts_plus_empty"],
            strict=True,
        )
        for template, ids in zip(TEMPLATES, tokens_between(rows), strict=True)
    ]
    common = {"a": 320, "of": 539, "the": 518}  # in every CLIP vocabulary
    known = {word: (token,) for word, token in common.items()}
    while True:
        before = len(known)
        for words, ids in prompts:
            new = [word for word in words if word not in known]
            spare = len(ids) - sum(len(known[word]) for word in words if word in known)
            if len(new) not in (1, spare):
                continue
            rest = iter(ids)
            for word in words:
                count = len(known[word]) if word in known else spare // len(new)
                known[word] = tuple(islice(rest, count))
        if len(known) == before:
            break
    assert all(known.values()) and len(set(known.values())) == len(known)
    for words, ids in prompts:
        assert [token for word in words for token in known[word]] == ids


def tokens_between(rows: np.ndarray) -> list[list[int]]:
    return [row[1 : row.tolist().index(END_OF_TEXT)].tolist() for row in rows]


@given(
    st_numpy.arrays(np.bool_, st.tuples(st.integers(1, 70), st.integers(1, 70))),
)
@settings(max_examples=30)
def test_coarse_masks_are_blocks(cells: np.ndarray) -> None:
    mask = Mask.of(cells)
    once = coarse(mask)
    assert (once.width, once.height) == (mask.width, mask.height)
    assert coarse(once) == once
    assert (once.area == 0) == (mask.area == 0)


def test_coarse_masks_by_hand() -> None:
    cells = np.zeros((18, 24), bool)  # blocks of 3 x 3 cells in two rows, then of 2 x 3
    cells[0, 0:3] = True  # a third of a block: too little
    cells[3:5, 3:5] = True  # 4 of 9: enough
    cells[6:8, 21:22] = True  # 2 of 6: too little
    expected = np.zeros((18, 24), bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(coarse(Mask.of(cells)).array, expected)
    only = np.zeros((18, 24), bool)
    only[0, 0] = True  # never enough, but the fullest block
    assert coarse(Mask.of(only)).area == 9


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP on disk, with a tokenizer that spells."""
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    vocab = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={token: i for i, token in enumerate(vocab)}, merges=[]).save_pretrained(
        folder
    )
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {**sizes, "vocab_size": len(vocab), "eos_token_id": len(vocab) - 1}
    vision = {**sizes, "image_size": 64, "patch_size": 32}
    torch.manual_seed(1)
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    ).save_pretrained(folder)
    return folder


def test_maps_of_a_model_on_disk(tiny_clip: Path) -> None:
    clip = ClipMaps(tiny_clip)
    picture = np.random.default_rng(3).integers(0, 256, (90, 131, 3)).astype(np.uint8)
    picture[:, 60:] = 255
    found = clip.maps(picture, ["dog", "a red 100% {barn}"])
    assert [(mask.width, mask.height) for mask in found] == [(17, 12)] * 2
    assert all(mask.area and coarse(mask) == mask for mask in found)
    assert found[0] == clip.maps(picture, ["dog"])[0]  # not what else is asked for
    assert clip.maps(picture, []) == []
    assert clip.maps(picture[:1, :1], ["dog"])[0].area == 1


def test_what_is_no_clip_is_one_clear_error(tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot load CLIPModel"):
        ClipMaps(tmp_path / "nothing")
    copy = tmp_path / "clip"
    shutil.copytree(tiny_clip, copy)
    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SedicError, match=r"no whole CLIPModel: visual_projection\.weight"):
        ClipMaps(copy)
    (copy / "model.safetensors").unlink()
    torch.save(CLIPModel.from_pretrained(tiny_clip).state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(SedicError, match="cannot load CLIPModel"):
        ClipMaps(copy)  # what may run code is not read
