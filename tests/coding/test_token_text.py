"""Text under a language model's chances: nothing lost, near the model's own bits, never wrong."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding import rank_text, token_text
from sedic.coding.token_text import Chances, ModelText, decode, encode
from sedic.errors import MissingWeightsError, SedicError

END = 0


class Reading:
    def __init__(self, model: Bytes) -> None:
        self._model = model
        self._state = 1

    def chances(self) -> Chances:
        noise = np.random.default_rng((self._model.seed, self._state)).normal(0, 4, 257)
        logits = noise + self._model.error * np.sin(np.arange(257))
        return np.exp(logits) / np.exp(logits).sum()

    def update(self, token: int) -> None:
        self._state = self._state * 257 % 1_000_003 + token


class Bytes:
    """A model of bytes with seeded chances; ``error`` is what this machine adds to its logits."""

    end = END

    def __init__(
        self, seed: int = 1, error: float = 0.0, identity: bytes = b"m", margin: float = 1e-6
    ) -> None:
        self.seed, self.error, self.identity, self.margin = seed, error, identity, margin

    def tokens(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode(errors="replace")]

    def text(self, tokens: list[int]) -> str:
        return bytes(token - 1 for token in tokens if token).decode(errors="replace")

    def read(self) -> Reading:
        return Reading(self)

    def draft(self) -> Reading | None:
        return None

    def score(self, tokens: list[int]) -> Iterator[Chances]:
        reading = self.read()
        for token in tokens:
            yield reading.chances()
            reading.update(token)


def ideal_bits(text: str, model: Bytes) -> float:
    reading, bits = model.read(), 0.0
    for token in [*model.tokens(text), END]:
        bits -= math.log2(reading.chances()[token])
        reading.update(token)
    return bits


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_comes_back(text: str) -> None:
    model = Bytes()
    assert decode(encode(text, model), len(text.encode()), model) == text


def test_the_bytes_are_the_model_s_own_bits_and_one_byte() -> None:
    text = "The image features a red brick building with a white door."
    bits = ideal_bits(text, Bytes())
    # Chances below 2**-16 a bit are not to be had, and rounding costs a little.
    assert -16 <= 8 * (len(encode(text, Bytes())) - 1) - bits < 0.01 * bits + 16


def test_lines_and_coders_of_the_file() -> None:
    text = "a house\nhouse, red\n"
    coder = ModelText(language=Bytes())
    assert coder.decode(coder.encode(text), 99) == text
    without = ModelText()
    with pytest.raises(MissingWeightsError, match="--language-model"):
        without.encode(text)
    with pytest.raises(MissingWeightsError, match="--language-model"):
        without.decode(b"", 99)


def test_differences_of_arithmetic_do_not_matter_and_of_weights_are_named() -> None:
    texts = [f"A dog with {n} spots stands on a lawn." for n in range(6)]
    coded = [encode(text, Bytes()) for text in texts]
    assert [decode(data, 99, Bytes(error=1e-9)) for data in coded] == texts
    for data in coded:
        for other in (Bytes(error=0.1), Bytes(seed=2)):
            with pytest.raises(SedicError, match=r"other probabilities.*other hardware"):
                decode(data, 99, other)
        with pytest.raises(SedicError, match=r"another language model \(6; this one: 7"):
            decode(data, 99, Bytes(identity=b"y"))


def test_every_log_odds_keeps_its_margin_from_the_borders() -> None:
    """So that whoever computes them with less error than that reads the text."""
    texts = [f"A dog with {n} spots stands on a lawn." for n in range(8)]
    margin, offsets = 4e-4, set()
    for text in texts:
        model = Bytes(margin=margin)
        paths = token_text._paths(model.tokens(text), model)
        offset = token_text._offset(paths, margin)
        offsets.add(offset)
        for odds in (odds for path in paths for odds, _ in path if abs(odds) < 44):
            place = odds + offset / 16
            assert abs(place - math.floor(place) - 0.5) >= margin * token_text.STEPS
        data = encode(text, model)
        # the mock adds at most this to a logit, so at most twice this to a log odds
        for error in (margin / 2.1, -margin / 2.1):
            assert decode(data, 99, Bytes(error=error)) == text
    assert len(offsets) > 1  # a margin of this size is not there by itself


def test_an_offset_where_no_margin_can_be_kept_is_the_best_there_is() -> None:
    text = "A dog with three spots stands on a lawn and looks at a house."
    model = Bytes(margin=0.1)  # nearly half a step: hopeless
    assert decode(encode(text, model), 99, model) == text


def test_the_chances_of_all_offsets_are_integers_that_a_coder_takes() -> None:
    for offset in range(token_text.OFFSETS):
        ones = token_text._ones(offset)
        assert 1 <= ones[0] < ones[-1] <= (1 << 16) - 1
        assert list(ones) == sorted(ones)
    assert token_text._chance(0.0, 0) == 1 << 15
    for offset in (3, 15):
        # rounded to q - offset / 16 steps, not to q
        expected = 65536 / (1 + math.exp(-(1 - offset / 16) / 4))
        assert token_text._chance(1 - offset / 16, offset) == round(expected)


@pytest.mark.parametrize("error", [1e-3, 1e-2])
def test_rare_differences_give_the_text_or_an_error(error: float) -> None:
    outcomes = set()
    for number in range(30):
        text = f"tree {number}"
        try:
            assert decode(encode(text, Bytes()), 99, Bytes(error=error)) == text
            outcomes.add("text")
        except SedicError:
            outcomes.add("error")
    assert "error" in outcomes


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=30))
def test_any_bytes_give_one_error(data: bytes) -> None:
    with pytest.raises(SedicError):
        decode(b"m" + data, 50, Bytes())


def test_every_truncation_and_bit_flip_gives_an_error() -> None:
    data = encode("a door", Bytes())
    damaged = [data[:size] for size in range(len(data))] + [data + b"\0", data + b"a"]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 128 >> bit % 8
        damaged.append(bytes(flipped))
    for case in damaged:
        with pytest.raises(SedicError):
            decode(case, 99, Bytes())


def test_a_text_above_the_limit_is_refused() -> None:
    with pytest.raises(SedicError, match="longer than 4 bytes"):
        decode(encode("doors", Bytes()), 4, Bytes())


def test_what_the_tokenizer_cannot_spell_is_refused() -> None:
    class Capitals(Bytes):
        def tokens(self, text: str) -> list[int]:
            return super().tokens(text.upper())

    assert decode(encode("A DOOR", Capitals()), 99, Capitals()) == "A DOOR"
    with pytest.raises(SedicError, match="cannot spell"):
        encode("a door", Capitals())
    with pytest.raises(SedicError, match="Unicode"):
        encode("a\ud800b", Bytes())


def test_chances_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(SedicError, match="no chances"):
        encode("a", Bytes(error=math.nan))


@pytest.mark.parametrize("text", ["", "a", "a door.", "a white door", "eight by" * 2])
def test_ranks_come_back(text: str) -> None:
    assert rank_text.decode(rank_text.encode(text, Bytes()), 99, Bytes()) == text


def test_a_rank_is_how_many_tokens_are_likelier_and_blocks_are_independent() -> None:
    model = Bytes()
    data = rank_text.encode("12345678" * 2, model)
    ranks = rank_text.unpack(data, 99)
    chances = model.read().chances()
    assert ranks[0] == (chances > chances[ord("1") + 1]).sum()
    assert len(ranks) == 16 and ranks[:8] == ranks[8:]


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=30))
def test_any_deflated_bytes_give_bounded_ranks_or_one_error(data: bytes) -> None:
    with contextlib.suppress(SedicError):
        assert len(rank_text.unpack(data, 20)) <= 20


def test_ranks_are_bounded() -> None:
    with pytest.raises(SedicError, match="at most 99 ranks"):
        rank_text.unpack(rank_text.pack([0] * 100), 99)
    with pytest.raises(SedicError, match="65,535"):
        rank_text.pack([1 << 16])
    with pytest.raises(SedicError, match="no token has this rank"):
        rank_text.decode(rank_text.pack([257]), 99, Bytes())


def test_the_paper_s_container_of_ranks(shared: Path) -> None:
    costs = json.loads((shared / "parity/llmzip/caption_costs.json").read_text())
    examples = costs["llamazip_container_examples"]
    for example in examples:
        data = bytes.fromhex(example["zlib9_hex"])
        assert rank_text.unpack(data, 99) == example["ranks"]
        # Another zlib may write other bytes, hardly longer ones.
        assert abs(len(rank_text.pack(example["ranks"])) - example["bits"] / 8) <= 4
    assert len(examples) == 4
