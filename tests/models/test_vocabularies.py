"""What is computed from token ids, with the vocabularies that the published networks have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sedic.describe.answers import fit_clip
from sedic.models import diffusion
from sedic.models.convert import convert
from sedic.models.diffusion import DiffusionNetworks as Networks
from sedic.models.prompt import clean

Words = tuple[dict[str, int], list[tuple[str, str]]]


class Echo(torch.nn.Module):
    """A text encoder whose hidden states are the token ids."""

    class config:  # noqa: N801
        max_position_embeddings = 77

    def forward(self, ids: torch.Tensor) -> Any:
        return type("Output", (), {"last_hidden_state": ids[..., None]})


@pytest.fixture(scope="module")
def tokenizer(clip_words: Words, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As ``sedic models convert --tokenizer`` makes it for Stable Diffusion 2.1."""
    folder = tmp_path_factory.mktemp("words")
    vocabulary, merges = clip_words
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    convert([], folder / "sd21", folder)
    return diffusion.load_tokenizer(folder / "sd21")


@pytest.fixture(scope="module")
def networks(tokenizer: Any, tiny_networks: Any) -> Networks:
    return replace(tiny_networks(), tokenizer=tokenizer, text_encoder=Echo())


def ids(networks: Networks, text: str) -> list[int]:
    return [int(value) for value in networks.embed(text)[0, :, 0]]


def test_token_ids_are_openclips(networks: Networks, shared: Path) -> None:
    path = shared / "parity" / "sd_vae_text" / "openclip_token_ids.json"
    own = json.loads(path.read_text())["own"]
    compared = 0
    for entry in own:
        expected = entry["ids"]
        if 0 in expected:  # of a longer text we keep whole words, OpenCLIP pieces of the last one
            compared += 1
            assert ids(networks, entry["text"]) == expected, entry["text"]
    assert compared >= 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello! world", [3306, 256, 1002]),  # not 0, which pads
        ("Wow!! A “curly” man’s hat", [2781, 748, 320, 257, 20795, 257, 786, 568, 3801]),
        ("fi ﬁ  ｆｕｌｌ", [3589, 3589, 1476]),
        ("&amp; &lt;x&gt;", [261, 283, 343, 285]),
        ("-- ... !? (a) {x}", [2432, 678, 6004, 263, 320, 264, 346, 343, 348]),
        ("a <|endoftext|> b", [320, 27, 347, 40786, 4160, 91, 285, 321]),  # plain text, too
    ],
)
def test_punctuation_is_read_as_openclip_reads_it(
    networks: Networks, text: str, expected: list[int]
) -> None:
    found = ids(networks, text)
    padding = [0] * (77 - 2 - len(expected))
    assert found == [49406, *expected, 49407, *padding]


def test_cleaning_again_changes_nothing_and_plain_text_stays() -> None:
    for text in ("a red bus, old", "“a”  b’s", "caf\u00e9"):
        assert clean(clean(text)) == clean(text)
    assert clean("a red bus, old") == "a red bus, old"
    assert clean("cafe\u0301") == "caf\u00e9"


NAMES = (
    "lighthouse",
    "red bus",
    "white picket fence",
    "motorcycle",
    "man's hat",
    "T-shirt",
    "sailboat 14255",
    "café",
    "hyacinth macaw",
    "st. bernard",
    "women’s straw hats",
    "rock-climbing wall",
    "No. 63455",
    "VW Beetle",
    "weathervane",
)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_k_of_eq_2_spell_the_object_s_name(networks: Networks, name: str) -> None:
    detail = f"{name}, old and “worn”!, in front of a wall"
    at = networks.word_tokens(detail, len(name.split()))
    assert at == list(range(1, len(at) + 1))  # right after the token that starts
    found = ids(networks, detail)
    spelt = networks.tokenizer.decode([found[k] for k in at])
    assert spelt.replace(" ", "") == clean(name).lower().replace(" ", "")
    after = networks.tokenizer.decode([found[at[-1] + 1]])
    assert after.startswith(",")


@pytest.mark.parametrize(("budget", "share"), [(20, 1.0), (30, 1.0), (50, 0.99)])
def test_budgets_of_words_are_below_77_tokens(
    networks: Networks, shared: Path, budget: int, share: float
) -> None:
    """The papers' budgets fit CLIP's context; what does not is cut at a word by the encoder."""
    texts = []
    for name in ("iiw.jsonl", "kodak_llava.jsonl"):
        with (shared / "data" / "captions" / name).open() as file:
            for line in list(file)[::20]:
                entry = json.loads(line)
                texts += [value for value in entry.values() if len(str(value).split()) > budget]
    cut = [" ".join(str(text).split()[:budget]) for text in texts]
    assert len(cut) > 50
    counts = np.array([len(networks.tokenizer(clean(text)).input_ids) for text in cut])
    assert (counts <= 77).mean() >= share, counts.max()
    for text in cut[:20]:
        kept = fit_clip(text, networks.tokenizer)
        assert len(networks.tokenizer(kept).input_ids) <= 77
        assert len(networks.tokenizer(text).input_ids) > 77 or kept == text
