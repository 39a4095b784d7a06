"""Language models from disk code text: causal and image-text ones, any length, told apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sedic.coding import rank_text
from sedic.coding.token_text import decode, encode
from sedic.errors import SedicError
from sedic.models import language
from sedic.models.language import LanguageModel
from sedic.models.llama import Llama
from sedic.models.matrices import Halves, Widened

TEXT = "A white door.\nA cat, <|end|> in brackets, and a \U0001f600 of Łódź.  Two blanks."


def save_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer with a few merges; gives its size."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT] * 3, 300, special_tokens=["<|end|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token="<|end|>")
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def save_causal(folder: Path, seed: int = 0, context: int = 64) -> Path:
    from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    size = save_tokenizer(folder)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=context)
    ).save_pretrained(folder)
    return folder


def save_llama(folder: Path) -> Path:
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    size = save_tokenizer(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=48,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=256,
            rope_theta=1000.0,
            tie_word_embeddings=True,
        )
    ).save_pretrained(folder)
    return folder


def save_image_text(folder: Path) -> Path:
    from transformers.models.clip import CLIPVisionConfig
    from transformers.models.llama import LlamaConfig
    from transformers.models.llava import LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    size = save_tokenizer(folder)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                **small, num_hidden_layers=2, image_size=16, patch_size=8
            ),
            text_config=LlamaConfig(
                **small, num_hidden_layers=2, vocab_size=size + 1, max_position_embeddings=64
            ),
            image_token_id=size,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_causal(tmp_path_factory.mktemp("causal"))


@pytest.mark.parametrize("text", ["", "a", TEXT, TEXT * 4])
def test_any_text_comes_back_also_beyond_the_context(causal: Path, text: str) -> None:
    model = LanguageModel(causal)
    data = encode(text, model)
    assert decode(data, len(text.encode()), LanguageModel(causal)) == text
    assert rank_text.decode(rank_text.encode(text, model), 999, model) == text


def test_an_image_text_model_codes_with_its_language_part(tmp_path: Path) -> None:
    folder = save_image_text(tmp_path)
    data = encode(TEXT, LanguageModel(folder))
    assert decode(data, 999, LanguageModel(folder)) == TEXT


def test_steps_with_a_cache_are_the_model_s_own_chances(causal: Path) -> None:
    from transformers.models.gpt2 import GPT2LMHeadModel

    model = LanguageModel(causal)
    tokens = model.tokens("A white door.")
    whole = GPT2LMHeadModel.from_pretrained(causal).double().eval()
    logits = whole(torch.tensor([[model.end, *tokens]])).logits[0].detach()
    before = [None, *tokens]
    expected = [model.chances(row, last) for row, last in zip(logits, before, strict=True)]
    reading = model.read()
    scored = list(model.score([*tokens, model.end]))
    for token, row, at_once in zip([*tokens, model.end], expected, scored, strict=True):
        assert reading.chances() == pytest.approx(row, abs=1e-12)
        assert at_once == pytest.approx(row, abs=1e-12)
        reading.update(token)


def test_the_end_of_a_text_is_likely_after_a_full_stop_and_possible_everywhere(
    causal: Path,
) -> None:
    model = LanguageModel(causal)
    logits = torch.zeros(len(model._tokenizer.get_vocab()))
    logits[model.end] = -50
    (stop,) = model.tokens(".")
    (letter,) = model.tokens("a")
    for before, least in ((stop, 0.2), (letter, 2**-10), (None, 2**-10)):
        chances = model.chances(logits, before)
        assert chances[model.end] == pytest.approx(least)
        assert chances.sum() == pytest.approx(1)


def test_many_tokens_at_once_and_beyond_the_context_as_one_by_one(
    causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "_AT_ONCE", 7)
    model = LanguageModel(causal)
    tokens = model.tokens(TEXT * 3)
    assert len(tokens) > model.context
    reading = model.read()
    for token, row in zip(tokens, model.score(tokens), strict=True):
        assert reading.chances() == pytest.approx(row, abs=1e-12)
        reading.update(token)


def test_llama_is_transformers_llama_in_float64_throughout(tmp_path: Path) -> None:
    folder = save_llama(tmp_path)
    from transformers.models.llama import LlamaForCausalLM

    model = LanguageModel(folder)
    tokens = [model.end, *model.tokens(TEXT)]
    whole = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
    with torch.inference_mode():
        expected = whole(torch.tensor([tokens])).logits[0]
    assert isinstance(model._network, Llama)
    found, past = model._network(torch.tensor(tokens), None)
    assert found.dtype == torch.float64
    # transformers' own normalisation, angles and softmax are in float32
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    half = len(tokens) // 2
    _, past = model._network(torch.tensor(tokens[:half]), None)
    again, _ = model._network(torch.tensor(tokens[half:]), past)
    assert (again - found[half:]).abs().max() < 1e-12
    assert model.draft() is not None
    data = encode(TEXT, model)
    assert decode(data, 999, LanguageModel(folder)) == TEXT


@pytest.mark.parametrize(("errors", "readings"), [(range(10, 11), 0), (range(999), 1)])
def test_a_draft_that_errs_is_corrected_by_exact_chances(
    errors: range, readings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it errs again and again, the exact network reads to the end."""
    model = LanguageModel(save_llama(tmp_path))
    data = encode(TEXT, model)
    draft, drafted = model._draft, []

    def erring(tokens: Tensor, past: Any | None) -> tuple[Tensor, Any]:
        assert draft is not None
        logits, past = draft(tokens, past)
        drafted.append(len(tokens))
        wrong = torch.arange(logits.shape[1]).sin() if len(drafted) in errors else 0
        return logits + wrong, past

    model._draft = erring
    asked: list[int] = []
    read = model.read
    monkeypatch.setattr(model, "read", lambda: asked.append(1) or read())
    assert decode(data, 999, model) == TEXT
    assert len(asked) == readings and len(drafted) > len(model.tokens(TEXT))


def test_matrices_in_float16_are_as_exact_as_in_float32() -> None:
    torch.manual_seed(0)
    tensors = {f"{n}.weight": torch.randn(40 + n, 24).half() for n in range(2)}
    exact, halves = Widened(tensors, torch.float64), Halves(tensors)
    for rows in (1, 5):
        x = torch.randn(rows, 24, dtype=torch.float64)
        whole = torch.cat([tensors["0.weight"], tensors["1.weight"]]).double()
        assert torch.equal(exact.rows("1", torch.tensor([3])), tensors["1.weight"][3:4].double())
        assert exact.apply(x, "0", "1") == pytest.approx(x @ whole.T, abs=1e-13)
        assert halves.apply(x.float(), "0", "1") == pytest.approx(x @ whole.T, abs=1e-4)
    full = Halves({name: value.float() for name, value in tensors.items()})
    assert full.apply(x.float(), "0", "1") == pytest.approx(x @ whole.T, abs=1e-4)


def test_float16_without_fbgemm_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise RuntimeError("Didn't find engine for operation quantized::linear_prepack_fp16")

    monkeypatch.setattr(torch.ops.quantized, "linear_prepack_fp16", absent)
    matrix = torch.randn(7, 5).half()
    x = torch.randn(1, 5)
    found = Halves({"a.weight": matrix}).apply(x, "a")
    assert found == pytest.approx(x @ matrix.float().T, abs=1e-5)


def test_a_prompt_is_read_before_a_text_and_is_part_of_the_model(tmp_path: Path) -> None:
    plain = LanguageModel(save_llama(tmp_path / "plain"))
    folder = shutil.copytree(tmp_path / "plain", tmp_path / "prompted")
    (folder / "prompt.txt").write_text("A white door.")
    prompted = LanguageModel(folder)
    assert prompted.identity != plain.identity
    tokens = torch.tensor(plain.tokens("A white door."))
    logits = plain._network(tokens, None)[0][-1]
    assert prompted.read().chances() == pytest.approx(plain.chances(logits, None), abs=1e-12)
    assert decode(encode(TEXT, prompted), 999, prompted) == TEXT


def test_tensors_of_another_shape_are_no_language_model(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_llama(tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = torch.ones(3)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(SedicError, match=r"model\.norm\.weight"):
        LanguageModel(folder)


def test_other_weights_or_another_tokenizer_are_another_model(causal: Path, tmp_path: Path) -> None:
    data = encode(TEXT, LanguageModel(causal))
    with pytest.raises(SedicError, match="another language model"):
        decode(data, 999, LanguageModel(save_causal(tmp_path / "seed", seed=1)))
    other = shutil.copytree(causal, tmp_path / "tokenizer")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["merges"].pop()
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(SedicError, match="another language model"):
        decode(data, 999, LanguageModel(other))


def test_another_configuration_gives_other_chances_and_an_error(
    causal: Path, tmp_path: Path
) -> None:
    data = encode(TEXT, LanguageModel(causal))
    other = shutil.copytree(causal, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["activation_function"] = "relu"
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(SedicError, match="other probabilities here"):
        decode(data, 999, LanguageModel(other))


def test_folders_that_hold_no_language_model(causal: Path, tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="no language model"):
        LanguageModel(tmp_path / "absent")
    with pytest.raises(SedicError, match="no language model"):
        LanguageModel(tmp_path)
    broken = shutil.copytree(causal, tmp_path / "broken")
    next(broken.glob("*.safetensors")).write_bytes(b"\xff" * 100)
    with pytest.raises(SedicError, match="cannot load"):
        LanguageModel(broken)


@pytest.mark.slow  # imports everything again
def test_another_process_with_other_threads_reads_it(causal: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sedic.models.language import LanguageModel\n"
        "from sedic.coding.token_text import decode\n"
        "text = decode(bytes.fromhex(sys.argv[2]), 999, LanguageModel(Path(sys.argv[1])))\n"
        "sys.stdout.buffer.write(text.encode())"
    )
    data = encode(TEXT, LanguageModel(causal))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(causal), data.hex()],
        env={**os.environ, "OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == TEXT
