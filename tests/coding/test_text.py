"""Text coders: nothing lost, nothing unbounded, and as small as promised."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding import huffman, primed
from sedic.coding.range_coder import TOTAL_LIMIT
from sedic.errors import SedicError
from sedic.profile import Profile

DESCRIPTION = (
    "A wide view of a red brick house with a white door, under a clear blue sky.\n"
    "brick house, red, coarse, tall, in the middle of the frame\n"
    "tree, dark green, bright at the top, to the left of the house"
)

coders = pytest.mark.parametrize("coder", ["primed", "huffman"])
any_text = st.text(max_size=60)


PROFILE = Profile.load("mini")


def encode_text(text: str, coder: str = "primed") -> bytes:
    return PROFILE.text_coder(coder).encode(text)


def decode_text(data: bytes, coder: str, max_bytes: int) -> str:
    return PROFILE.text_coder(coder).decode(data, max_bytes)


def bits(text: str, coder: str = "primed") -> int:
    return 8 * len(encode_text(text, coder))


@coders
@settings(max_examples=60, deadline=None)
@given(text=any_text | st.text("ab \n", max_size=60))
def test_any_text_comes_back(coder: str, text: str) -> None:
    assert decode_text(encode_text(text, coder), coder, len(text.encode())) == text


@coders
@pytest.mark.parametrize("text", ["", "\n", "\n\n", "\0", "aaaa", "ß", "\U0010ffff", DESCRIPTION])
def test_texts_at_the_edge_come_back(coder: str, text: str) -> None:
    assert decode_text(encode_text(text, coder), coder, len(text.encode())) == text


@coders
def test_every_byte_utf8_can_use_comes_back(coder: str) -> None:
    text = "".join(
        map(chr, [*range(0x800), *range(0x800, 0xD800, 997), *range(0x10000, 1 << 20, 4099)])
    )
    assert decode_text(encode_text(text, coder), coder, 1 << 16) == text


@coders
@given(text=st.text(min_size=1, max_size=30))
@settings(max_examples=20, deadline=None)
def test_a_text_above_the_limit_is_refused(coder: str, text: str) -> None:
    with pytest.raises(SedicError):
        decode_text(encode_text(text, coder), coder, len(text.encode()) - 1)


@coders
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_give_a_bounded_text_or_one_error(coder: str, data: bytes) -> None:
    try:
        text = decode_text(data, coder, 50)
    except SedicError:
        return
    assert len(text.encode()) <= 50


@coders
def test_every_truncation_and_bit_flip_gives_a_text_or_one_error(coder: str) -> None:
    data = encode_text(DESCRIPTION[:76], coder)
    damaged = [data[:size] for size in range(len(data))]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 128 >> bit % 8
        damaged.append(bytes(flipped))
    for case in damaged:
        try:
            assert len(decode_text(case, coder, 100).encode()) <= 100
        except SedicError as error:
            assert "\n" not in str(error)


@coders
def test_lone_surrogates_are_refused(coder: str) -> None:
    with pytest.raises(SedicError, match="Unicode"):
        encode_text("a\ud800b", coder)


def test_an_unknown_coder_is_named() -> None:
    with pytest.raises(SedicError, match=r"'morse'.*primed, huffman, model"):
        encode_text("a", "morse")
    with pytest.raises(SedicError, match="'morse'"):
        decode_text(b"", "morse", 1)


@settings(max_examples=30, deadline=None)
@given(text=any_text)
def test_primed_never_costs_much_more_than_the_plain_bytes(text: str) -> None:
    assert len(encode_text(text)) <= len(text.encode()) + 3


def test_noise_is_coded_as_plain_bytes() -> None:
    noise = "".join(map(chr, np.random.default_rng(0).integers(33, 127, 300)))
    assert 300 < len(encode_text(noise)) <= 303


def test_primed_learns_within_a_text() -> None:
    name = "Zyxwvut Qponmlk Jihgfed"
    assert bits(f"{name} {name}") < 1.5 * bits(name)


def test_a_line_costs_the_same_wherever_it_stands() -> None:
    lines = DESCRIPTION.split("\n")
    assert bits(DESCRIPTION) <= sum(map(bits, lines)) + 8


@settings(max_examples=20, deadline=None)
@given(text=any_text)
def test_every_symbol_stays_possible_and_tables_fit_the_range_coder(text: str) -> None:
    predictor = primed.Predictor(PROFILE.text_coder("primed").model)
    for symbol in text.encode():
        weights = predictor.weights()
        assert weights.shape == (256,) and weights.min() >= 1 and weights.sum() < TOTAL_LIMIT
        predictor.update(symbol)


def test_the_table_in_the_package_is_small() -> None:
    assert len(PROFILE.store.read("text")) <= 3_000_000


@pytest.mark.parametrize("table", [b"", b"\0" * 100, b"\xfd7zXZ\0"])
def test_a_damaged_table_is_refused(table: bytes) -> None:
    with pytest.raises(SedicError, match="text model"):
        primed.load_model(table)


SETTINGS = [
    {"OMP_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX2 FMA3"},
]


@pytest.mark.parametrize("environment", SETTINGS)
def test_the_same_bytes_under_other_instruction_sets(environment: dict[str, str]) -> None:
    program = (
        "import sys; from sedic import Profile\n"
        "coder = Profile.load().text_coder('primed')\n"
        "data = bytes.fromhex(sys.argv[1]); text = coder.decode(data, 1000)\n"
        "assert coder.encode(text) == data; sys.stdout.buffer.write(text.encode())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, encode_text(DESCRIPTION).hex()],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == DESCRIPTION


def test_huffman_writes_the_stream_it_documents() -> None:
    # 3 + 1 bytes; 2 different; shortest length 1; no differences; 'a' at +98, 'b' at +1; 0 0 1.
    stream = "00100" + "010" + "010" + "1" + "0000001100010" + "1" + "001"
    assert encode_text("aab", "huffman") == int(stream.ljust(32, "0"), 2).to_bytes(4, "big")


@settings(max_examples=100, deadline=None)
@given(symbols=st.binary(min_size=1, max_size=200))
def test_huffman_code_is_complete_and_within_a_bit_of_entropy(symbols: bytes) -> None:
    lengths, counts = huffman.code_lengths(symbols), Counter(symbols)
    assert set(lengths) == set(counts)
    assert math.isclose(sum(2.0**-length for length in lengths.values()), 1)
    mean = sum(counts[s] * lengths[s] for s in counts) / len(symbols)
    entropy = -sum(c / len(symbols) * math.log2(c / len(symbols)) for c in counts.values())
    assert entropy - 1e-9 <= mean < entropy + 1


@pytest.fixture(scope="module")
def kodak(shared: Path) -> list[str]:
    lines = (shared / "data/captions/kodak_llava.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def test_kodak_captions_take_at_most_600_bits(kodak: list[str]) -> None:
    sizes = []
    for caption in kodak:
        data = encode_text(caption)
        assert decode_text(data, "primed", 2048) == caption
        sizes.append(8 * len(data))
    assert len(sizes) == 24 and sum(sizes) / 24 <= 600


def test_huffman_without_its_table_matches_the_paper(kodak: list[str]) -> None:
    # parity/llmzip: the paper's own functions give a mean of 1424 bits without the table, on
    # captions that begin with a blank.
    payloads = []
    for caption in kodak:
        symbols = b" " + caption.encode()
        lengths = huffman.code_lengths(symbols)
        payloads.append(sum(lengths[symbol] for symbol in symbols))
        assert bits(caption, "huffman") < payloads[-1] + 240
    assert round(sum(payloads) / 24) == 1424
