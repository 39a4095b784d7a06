"""The local describer on tiny random models of the real classes, saved to disk and loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sedic.describe import local
from sedic.describe.answers import ObjectWords, Usage
from sedic.describe.local import LocalDescriber
from sedic.errors import DescriberError, MissingWeightsError, OutOfMemoryError, SedicError
from sedic.picture import Picture

os.environ["HF_HUB_OFFLINE"] = "1"

SCENE = {"objects": [{"name": "boat", "detail": "boat of wood"}], "overall": "A calm harbour."}
SAYS = json.dumps(SCENE)

TURNS = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}IMAGE{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def picture(height: int = 60, width: int = 90) -> Picture:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def make_tokenizer(image: str, *specials: str) -> Any:
    """One token for each byte, and the special ones; ``SAYS`` is one token, too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>")
    made.add_special_tokens({"additional_special_tokens": list(specials)})
    made.add_tokens([SAYS])
    made.chat_template = TURNS.replace("IMAGE", image)
    return made


TEXT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def save_idefics(folder: Path, kind: str) -> None:
    from transformers import AutoConfig, AutoModelForImageTextToText

    marks = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
    rows = [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
    tokenizer = make_tokenizer("<image>", *marks, *rows)
    end = tokenizer.eos_token_id
    text = {"model_type": "llama", "vocab_size": len(tokenizer), "eos_token_id": end, **TEXT}
    text |= {"pad_token_id": end, "bos_token_id": end}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    config = AutoConfig.for_model(
        kind,
        vision_config=vision,
        text_config=text,
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=end,
    )
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    name = {"smolvlm": "SmolVLM", "idefics3": "Idefics3"}[kind]
    reads = {"image_processor_type": f"{name}ImageProcessor"}
    sizes = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps({**reads, **sizes}))


def save_qwen(folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForImageTextToText

    marks = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"]
    tokenizer = make_tokenizer("".join(marks[:3]), *marks)
    start, image, end, video = map(tokenizer.convert_tokens_to_ids, marks)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    stop = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokenizer.eos_token_id)
    text = {"vocab_size": len(tokenizer), "rope_parameters": rope, **stop, **TEXT}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    vision |= {"out_hidden_size": 32, "fullatt_block_indexes": [0], "window_size": 56}
    config = AutoConfig.for_model(
        "qwen2_5_vl",
        vision_config=vision,
        text_config=text,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    reads = {"image_processor_type": "Qwen2VLImageProcessor"}
    sizes = {"size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}}
    (folder / "preprocessor_config.json").write_text(json.dumps({**reads, **sizes}))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    save_idefics(folder / "smolvlm", "smolvlm")
    save_idefics(folder / "idefics3", "idefics3")
    save_qwen(folder / "qwen2_5_vl")
    return folder


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TOKENS_PER_WORD", 0)
    monkeypatch.setattr(local, "RETRY_FACTOR", 2)


KINDS = pytest.mark.parametrize("kind", ["smolvlm", "idefics3", "qwen2_5_vl"])


def say(folder: Path, only: str) -> None:
    """Let the model in ``folder`` write nothing but the token ``only``, greedily or not."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    others = [token for token in range(len(tokenizer)) if tokenizer.decode([token]) != only]
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "suppress_tokens": others}))


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


@KINDS
def test_what_a_model_says_becomes_words(models: Path, tmp_path: Path, kind: str) -> None:
    folder = copy_of(models / kind, tmp_path / "model")
    say(folder, SAYS)
    words = LocalDescriber(str(folder)).describe(picture(), 3, 30, 50)
    assert words.overall == "A calm harbour." and words.objects == (
        ObjectWords("boat", "boat of wood"),
    )
    assert words.usage.sent > 400 and words.usage.received > 0
    assert words.warnings == ("the model's answer was cut off",)  # it never stops


@KINDS
def test_a_random_model_gives_one_clear_error_or_clean_words(models: Path, kind: str) -> None:
    describer = LocalDescriber(str(models / kind))
    with pytest.raises(DescriberError, match="description"):
        describer.describe(picture(), 2, 20, 30)
    describer.method = "image-text"  # where prose will do, however strange
    said: list[str] = []
    for _ in range(2):
        try:
            said.append(describer.describe(picture(), 0, 20, 30).overall)
            assert said[-1].isprintable() and 0 < len(said[-1].split()) <= 30
        except SedicError as error:  # nothing was left of it
            said.append(str(error))
            assert "description" in said[-1]
    assert said[0] == said[1]


@KINDS
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_pictures_of_strange_sizes(
    models: Path, tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    folder = copy_of(models / kind, tmp_path / "model")
    say(folder, SAYS)
    assert LocalDescriber(str(folder)).describe(picture(*size), 0, 20, 30).overall


def refuse(model: object, shape: tuple[int, int] = (60, 90)) -> str:
    with pytest.raises(SedicError) as caught:
        LocalDescriber(str(model)).describe(picture(*shape), 0, 20, 30)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize("model", ["/nowhere/model", "some/model", "not \x1b[31m a\nmodel"])
def test_a_model_that_is_not_here(model: str) -> None:
    assert "no such model on this machine" in refuse(model)


def test_a_picture_that_the_model_cannot_take(models: Path) -> None:
    assert "aspect ratio" in refuse(models / "qwen2_5_vl", (1, 900))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "llama"}'),
        ("config.json", b'{"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}'),
        ("model.safetensors", b"\xff" * 100),
        ("model.safetensors", None),
        ("tokenizer.json", b"{}"),
        ("preprocessor_config.json", None),
    ],
)
def test_a_damaged_model(models: Path, tmp_path: Path, file: str, content: bytes | None) -> None:
    folder = copy_of(models / "smolvlm", tmp_path / "model")
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    refuse(folder)
    assert not ran.exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_too_little_memory(models: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(local, "_generate", fail)
    assert "not enough memory" in refuse(models / "smolvlm")
    with pytest.raises(OutOfMemoryError):
        LocalDescriber(str(models / "smolvlm")).describe(picture(), 0, 20, 30)


def answers(monkeypatch: pytest.MonkeyPatch, *texts: str, used: int = 1) -> list[int]:
    """Let the model answer these texts in turn; returns how many tokens it was allowed."""
    allowed: list[int] = []

    def generate(*arguments: Any) -> tuple[str, Usage]:
        budget = arguments[-1]
        allowed.append(budget)
        return texts[len(allowed) - 1], Usage(9, min(used, budget))

    monkeypatch.setattr(local, "_generate", generate)
    return allowed


def test_an_answer_cut_off_in_its_thoughts_may_be_longer_once(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describer = LocalDescriber(str(models / "smolvlm"))
    allowed = answers(monkeypatch, "<think>A boat", f"<think>A boat.</think>{SAYS}", used=100)
    assert describer.describe(picture(), 3, 20, 30).objects == (
        ObjectWords("boat", "boat of wood"),
    )
    assert allowed == [64, 128]
    allowed = answers(monkeypatch, "<think>A boat", "<think>A boat, and", used=1000)
    with pytest.raises(DescriberError, match="cut off at 128 tokens"):
        describer.describe(picture(), 3, 20, 30)


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, I can't help with that.", "<think>A boat.</think>", "...", "<html>403</html>"],
)
def test_what_is_no_description_is_one_error(
    models: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    allowed = answers(monkeypatch, text)
    with pytest.raises(DescriberError):
        LocalDescriber(str(models / "smolvlm")).describe(picture(), 0, 20, 30)
    assert len(allowed) == 1


def test_a_missing_model_has_its_kind() -> None:
    with pytest.raises(MissingWeightsError):
        LocalDescriber("/nowhere/model").describe(picture(), 0, 20, 30)
