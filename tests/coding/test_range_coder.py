from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding.range_coder import RangeDecoder, RangeEncoder, table
from sedic.errors import SedicError

WEIGHTS = st.lists(st.integers(1, 60_000), min_size=2, max_size=200)


@given(st.lists(st.tuples(WEIGHTS, st.integers(0, 10**6)), max_size=40))
def test_symbols_come_back(steps: list[tuple[list[int], int]]) -> None:
    encoder = RangeEncoder()
    coded = [(np.array(weights), pick % len(weights)) for weights, pick in steps]
    for weights, symbol in coded:
        encoder.encode(symbol, weights)
    decoder = RangeDecoder(encoder.finish())
    assert [decoder.decode(weights) for weights, _ in coded] == [symbol for _, symbol in coded]


@given(st.lists(st.tuples(st.integers(1, 65_535), st.integers(0, 1)), min_size=1, max_size=200))
def test_bits_come_back_and_cost_what_they_should(bits: list[tuple[int, int]]) -> None:
    encoder = RangeEncoder()
    for ones, bit in bits:
        encoder.encode_bit(bit, ones)
    data = encoder.finish()
    decoder = RangeDecoder(data)
    assert [decoder.decode_bit(ones) for ones, _ in bits] == [bit for _, bit in bits]
    ideal = sum(-math.log2((ones if bit else 65_536 - ones) / 65_536) for ones, bit in bits)
    assert len(data) <= ideal / 8 + 2


def test_runs_come_back() -> None:
    rng = np.random.default_rng(0)
    model = table(np.array([1 << 20, 5, 1, 70_000]))
    symbols = rng.integers(0, 4, 5_000).astype(np.int32)
    encoder = RangeEncoder()
    encoder.encode_run(symbols, model)
    encoder.encode_run(symbols[:0], model)
    assert np.array_equal(RangeDecoder(encoder.finish()).decode_run(5_000, model), symbols)


def test_certain_symbols_cost_no_byte() -> None:
    encoder = RangeEncoder()
    encoder.encode_run(np.zeros(1_000, np.int32), table(np.array([(1 << 24) - 2, 1])))
    assert encoder.finish() == b""
    assert RangeEncoder().finish() == b""


@settings(max_examples=50)
@given(st.binary(max_size=64))
def test_any_bytes_can_be_read(data: bytes) -> None:
    decoder = RangeDecoder(data)
    weights = np.array([3, 1, 9])
    try:
        symbols = [decoder.decode(weights) for _ in range(200)]
    except SedicError:
        return
    assert set(symbols) <= {0, 1, 2}


@pytest.mark.parametrize("weights", [[], [1], [0, 0], [-1, 5], [1 << 24, 1], [float("nan"), 1.0]])
def test_tables_that_are_not_distributions_are_refused(weights: list[float]) -> None:
    with pytest.raises(SedicError):
        table(np.array(weights))
