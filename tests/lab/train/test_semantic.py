"""The semantic loss: its CLIP term sees captions and moves pictures and weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.train import photos
from sedic.lab.train.reference_codec import train
from sedic.lab.train.reference_recipe import ReferenceRecipe, sedic_recipe
from sedic.lab.train.semantic import CaptionSimilarity, read_captions

CAPTIONS = ["an astronaut in orange", "a cat"]


def silent(done: int, total: int, text: str) -> None:
    pass


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny CLIP with a tokenizer of bytes."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer
    from transformers.models.clip import CLIPConfig, CLIPModel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    end = len(words) - 1
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **small,
                "num_hidden_layers": 1,
                "vocab_size": len(words),
                "max_position_embeddings": 16,
                "bos_token_id": end - 1,
                "eos_token_id": end,
                "pad_token_id": end,
            },
            vision_config={**small, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8},
            projection_dim=24,
        )
    )
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pictures(*sizes: int) -> torch.Tensor:
    crops = [samples.astronaut()[at : at + 96, at : at + 96] for at in sizes]
    return torch.from_numpy(np.stack(crops) / np.float32(255)).permute(0, 3, 1, 2)


def test_similarity_depends_on_picture_and_caption(clip: Path) -> None:
    similarity = CaptionSimilarity(clip, CAPTIONS)
    x = pictures(0, 200)
    found = similarity(torch.cat([x, x]), (0, 0, 1, 1))
    assert found.shape == (4,) and found.abs().max() <= 1
    assert len({round(float(value), 6) for value in found}) == 4


def test_a_long_caption_is_cut(clip: Path) -> None:
    long = CaptionSimilarity(clip, ["word " * 200, "word " * 100])
    x = pictures(0)
    assert torch.equal(long(x, (0,)), long(x, (1,)))


def test_the_gradient_of_the_clip_term_is_not_zero_and_points_to_the_caption(clip: Path) -> None:
    similarity = CaptionSimilarity(clip, CAPTIONS)
    x = pictures(100).requires_grad_()
    before = similarity(x, (0,))
    before.sum().backward()
    gradient = x.grad
    assert gradient is not None and gradient.abs().max() > 0
    assert not any(p.requires_grad for p in similarity.parameters())
    with torch.no_grad():
        step = 0.01 * gradient / gradient.abs().max()
        assert similarity(x + step, (0,)) > before


def test_the_picture_is_normalised_as_clip_s_own_processor_does(clip: Path) -> None:
    from transformers.models.clip import CLIPModel

    similarity = CaptionSimilarity(clip, CAPTIONS)
    x = pictures(0)[..., :32, :32]  # CLIP's own size: nothing to resample
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    model = CLIPModel.from_pretrained(clip)
    seen = model.get_image_features(pixel_values=(x - mean) / deviation)
    seen = seen if isinstance(seen, torch.Tensor) else seen.pooler_output
    expected = torch.nn.functional.cosine_similarity(seen, similarity.captions[:1])
    assert torch.allclose(similarity(x, (0,)), expected, atol=1e-5)


def test_a_folder_without_a_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="CLIPModel"):
        CaptionSimilarity(tmp_path, CAPTIONS)


def test_captions_are_found_by_name_or_folder(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    lines = [{"image": "1.png", "text": "any"}, {"image": "b/1.png", "text": "of b"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert read_captions(file, [Path("a/1.png"), Path("b/1.png")]) == ["any", "of b"]
    with pytest.raises(SedicError, match=r"no caption of a/2\.png"):
        read_captions(file, [Path("a/2.png")])


@pytest.mark.parametrize("line", ["", "[]", "{", '{"image": "a"}', '{"image": "a", "text": 1}'])
def test_a_damaged_caption_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(f'{{"image": "a", "text": "b"}}\n{line}\n')
    with pytest.raises(SedicError, match="line 2"):
        read_captions(file, [])


RECIPE = ReferenceRecipe(
    steps=2, batch=2, crop=64, folders=("bsds",), steer_folders=("bsds",), steer_every=9
).with_loss("semantic")


@pytest.fixture
def small_data(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder with two photographs to learn from, one held out, and their captions."""
    folder = tmp_path / "shared" / "data" / "photos" / "bsds"
    folder.mkdir(parents=True)
    (tmp_path / "shared" / "weights").symlink_to(shared / "weights")
    names = [folder / f"{number}.png" for number in range(200)]
    held_out = next(path for path in names if photos.is_held_out(path))
    learnt = [path for path in names if not photos.is_held_out(path)][:2]
    for number, path in enumerate([*learnt, held_out]):
        Image.fromarray(samples.astronaut()[90 * number :, :130][:100]).save(path)
    for name, words in {"one": "orange", "other": "a cat"}.items():
        lines = (json.dumps({"image": path.name, "text": words}) + "\n" for path in learnt)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    monkeypatch.setenv("SEDIC_SHARED", str(tmp_path / "shared"))
    return tmp_path


def test_captions_move_the_weights(small_data: Path, clip: Path) -> None:
    def trained(name: str) -> dict[str, torch.Tensor]:
        captions = small_data / f"{name}.jsonl"
        return load_file(train(RECIPE, small_data / name, silent, None, clip, captions))

    one, other = trained("one"), trained("other")
    assert any((one[key] != other[key]).any() for key in one)
    card = (small_data / "one" / "compact.md").read_text()
    assert "| clip | 0.9 |" in card


def test_without_captions_the_measured_descriptions_are_taken(small_data: Path, clip: Path) -> None:
    said: list[str] = []
    train(
        replace(RECIPE, steps=1),
        small_data / "run",
        lambda done, total, text: said.append(text),
        clip=clip,
    )
    assert "describing photographs" in said and any("clip" in text for text in said)
    assert len(list((small_data / "run" / "scenes").rglob("*.json"))) == 2


def test_the_loss_needs_a_clip_and_has_the_paper_s_weights(small_data: Path) -> None:
    recipe = sedic_recipe().with_loss("semantic")
    assert (recipe.mse, recipe.lpips, recipe.clip) == pytest.approx((1.5, 0.6, 0.9))
    assert (
        ReferenceRecipe().with_loss("mse").clip
        == ReferenceRecipe().with_loss("perceptual").clip
        == 0
    )
    with pytest.raises(SedicError, match="--clip"):
        train(RECIPE, small_data / "run", silent)
