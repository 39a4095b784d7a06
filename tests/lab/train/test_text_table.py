"""Making the text model: counts that are right, a fit that learns, the same file every time."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from sedic.coding import primed
from sedic.coding.primed import ORDER, SLOTS, STAGES, Model, Predictor, Trie
from sedic.coding.range_coder import RangeEncoder
from sedic.errors import SedicError
from sedic.lab.train.text_table import Corpus, Observations, build_table, count, fit
from sedic.profile import Profile

TEXTS = ("a red car", "a red cat\na green tree", "", "the red car, a red car")


def strings_of(trie: Trie) -> dict[bytes, int]:
    """The trie written out: every string and its count."""
    found: dict[bytes, int] = {}
    names, entry = [b""], 0
    for kinds in trie.kinds:
        prefix = names.pop(0)
        for _ in range(kinds):
            names.append(prefix + bytes([trie.symbols[entry]]))
            found[names[-1]] = int(trie.counts[entry])
            entry += 1
    return found


def counted_slowly(texts: tuple[str, ...], weight: int) -> dict[bytes, int]:
    """What ``count`` promises, one string after the other."""
    occurrences: dict[bytes, int] = defaultdict(int)
    neighbours: dict[bytes, set[int]] = defaultdict(set)
    stream = b"".join(b"\n" + text.encode() + b"\n\xff" for text in texts)
    for start in range(len(stream)):
        for length in range(1, ORDER + 2):
            string = stream[start : start + length]
            if len(string) < length or b"\n" in string[1:-1] or b"\xff" in string[:-1]:
                break
            occurrences[string] += weight
            at_feed = string[:1] == b"\n" or start == 0
            neighbours[string].add(-start - 1 if at_feed else stream[start - 1])
    kept = {s: n for s, n in occurrences.items() if len(s) < 7 or n >= 2}
    return {s: n if len(s) > ORDER else weight * len(neighbours[s]) for s, n in kept.items()}


@pytest.mark.parametrize("weight", [1, 3])
def test_counts_are_those_of_a_slow_count(weight: int) -> None:
    assert strings_of(count([Corpus("a", TEXTS, weight)])) == counted_slowly(TEXTS, weight)


def test_corpora_add_up() -> None:
    both = strings_of(count([Corpus("a", TEXTS, 1), Corpus("b", ("a red bus",) * 2, 2)]))
    one, other = counted_slowly(TEXTS, 1), counted_slowly(("a red bus",) * 2, 2)
    assert both.keys() == one.keys() | other.keys()
    assert all(n == one.get(s, 0) + other.get(s, 0) for s, n in both.items())


def test_confidence_is_how_often_a_context_is_right() -> None:
    slots = np.full((STAGES, 2000), -1, np.int16)
    chances = np.zeros((STAGES, 2000))
    slots[0, :1000], slots[1, 1000:] = 5, 6  # the one is right three times of four,
    chances[0, :750], chances[1, 1000:] = 1.0, 1.0  # the other always
    confidence = fit([Observations(slots, chances, np.ones(2000), 2000)]) / 65536
    assert confidence.shape == (SLOTS,)
    assert abs(confidence[5] - 0.75) < 0.01 and confidence[6] > 0.99 and confidence[7] == 0.5


def test_confidence_goes_to_the_context_that_explains_more() -> None:
    slots = np.full((STAGES, 1000), -1, np.int16)
    chances = np.zeros((STAGES, 1000))
    slots[0], slots[1] = 5, 6
    chances[0], chances[1] = 0.3, 0.9
    confidence = fit([Observations(slots, chances, np.ones(1000), 1000)]) / 65536
    assert confidence[5] < 0.01 and confidence[6] > 0.98


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


SIZES, COLOURS, THINGS = ("small", "large"), ("red", "green", "grey"), ("car", "tree", "house")
SENTENCES = [
    f"A {size} {colour} {thing}.\n{thing}, {colour}, bright"
    for size in SIZES
    for colour in COLOURS
    for thing in THINGS
] * 5


def test_build_is_deterministic_and_its_model_codes_such_texts_best(tmp_path: Path) -> None:
    corpora = [
        (write(tmp_path / "measured.jsonl", SENTENCES), 2),
        (write(tmp_path / "other.jsonl", ["Something else."] * 3), 1),
    ]
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        out = tmp_path / name / "text.safetensors.xz"
        rate = build_table(corpora, out)
        files.append((out.read_bytes(), out.with_name("text.md").read_text()))
    assert files[0] == files[1]
    assert 0 < rate < 1
    assert "| measured.jsonl | 90 |" in files[0][1] and f"{rate:.3f} bits" in files[0][1]

    def size(model: Model, text: str) -> int:
        encoder, predictor = RangeEncoder(), Predictor(model)
        for symbol in text.encode() + b"\n\xff":
            encoder.encode(symbol, predictor.weights())
            predictor.update(symbol)
        return len(encoder.finish())

    mine = size(primed.load_model(files[0][0]), SENTENCES[0])
    assert (
        mine <= 3 and mine < size(Profile.load("mini").text_coder("primed").model, SENTENCES[0]) / 3
    )


@pytest.mark.parametrize(
    ("content", "weight", "message"),
    [
        ('{"text": "a"}\n{"txt": "b"}\n', 1, "line 2"),
        ("[]\n", 1, "line 1"),
        ('{"text": 3}\n', 1, "line 1"),
        ('{"text": "\\ud800"}\n', 1, "line 1"),
        ("no json\n", 1, "line 1"),
        ("", 1, "no texts"),
        ('{"text": "a"}\n', 0, "weight"),
    ],
)
def test_what_is_no_corpus_is_refused(
    tmp_path: Path, content: str, weight: int, message: str
) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(content)
    with pytest.raises(SedicError, match=message):
        build_table([(path, weight)], tmp_path / "text.safetensors.xz")


def test_a_missing_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SedicError, match="cannot read"):
        build_table([(tmp_path / "none.jsonl", 1)], tmp_path / "text.safetensors.xz")
