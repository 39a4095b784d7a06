from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as samples

from sedic.errors import SedicError
from sedic.lab.bench.clip import Clip
from sedic.models.clip_tokenizer import tokenizer_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of the real classes with random weights, 32 pixels a side."""
    from transformers import CLIPConfig, CLIPModel

    path = tmp_path_factory.mktemp("clip")
    tokenizer = tokenizer_of([("r", "e"), ("re", "d</w>"), ("c", "a"), ("ca", "t</w>")])
    common = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(
            CLIPConfig(
                text_config={
                    **common,
                    "num_attention_heads": 2,
                    "vocab_size": len(tokenizer),
                    "eos_token_id": tokenizer.eos_token_id,
                    "bos_token_id": tokenizer.bos_token_id,
                    "pad_token_id": tokenizer.pad_token_id,
                },
                vision_config={
                    **common,
                    "num_attention_heads": 2,
                    "image_size": 32,
                    "patch_size": 8,
                },
                projection_dim=16,
            )
        )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_similarities_are_cosines_of_the_models_own_features(folder: Path) -> None:
    from transformers import CLIPModel

    clip = Clip(folder)
    cat, woman = samples.chelsea(), samples.astronaut()
    assert clip.image_similarity(cat, cat) == pytest.approx(1, abs=1e-5)
    assert -1 < clip.image_similarity(cat, woman) < 1
    # The same by transformers' whole forward pass, for a picture that needs no resizing.
    small = np.ascontiguousarray(cat[100:132, 200:232])
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.from_numpy((small / 255 - mean) / deviation).float().permute(2, 0, 1)[None]
    tokenizer = tokenizer_of([("r", "e"), ("re", "d</w>"), ("c", "a"), ("ca", "t</w>")])
    tokens = tokenizer("red cat", return_tensors="pt")
    with torch.inference_mode():
        output = CLIPModel.from_pretrained(folder).eval()(
            input_ids=tokens["input_ids"], pixel_values=pixels
        )
    cosine = float((output.image_embeds @ output.text_embeds.T).squeeze())
    assert clip.text_similarity(small, "red cat") == pytest.approx(cosine, abs=1e-5)


def test_pictures_of_any_shape_and_long_texts(folder: Path) -> None:
    clip = Clip(folder)
    wide = samples.chelsea()[:40, :300]
    assert -1 <= clip.image_similarity(wide, samples.chelsea()[:, :33]) <= 1
    assert -1 <= clip.text_similarity(wide, "cat " * 500) <= 1
    with pytest.raises(SedicError, match="no text"):
        clip.text_similarity(wide, "")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot load CLIPModel"):
        Clip(tmp_path)
