"""Symbols through lists of integer tables: lossless, in any order of tables, escapes included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding.gaussian import SYMBOL_LIMIT, GaussianTables
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError

DEVIATIONS = [0.0, 0.11, 0.5, 1.3, 7.0, 200.0]
TABLES = GaussianTables.of_deviations(DEVIATIONS)


def _encode(symbols: np.ndarray, index: np.ndarray, tables: GaussianTables = TABLES) -> bytes:
    encoder = RangeEncoder()
    tables.encode(encoder, symbols, index)
    return encoder.finish()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, len(DEVIATIONS) - 1),
            st.integers(1 - SYMBOL_LIMIT, SYMBOL_LIMIT - 1) | st.integers(-8, 8),
        )
    )
)
def test_any_symbols_survive(pairs: list[tuple[int, int]]) -> None:
    index = np.array([t for t, _ in pairs], np.int64)
    symbols = np.array([s for _, s in pairs], np.int32)
    decoded = TABLES.decode(RangeDecoder(_encode(symbols, index)), index)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(DEVIATIONS) - 1), st.integers(-30, 30) | st.integers(-9_000, 9_000)
        ),
        min_size=1,
    )
)
def test_bits_say_how_long_a_stream_gets(pairs: list[tuple[int, int]]) -> None:
    index = np.array([[t for t, _ in pairs]], np.uint8)
    symbols = np.array([[s if t else 0 for t, s in pairs]], np.int32)
    bits = TABLES.bits(symbols, index)
    assert bits.shape == symbols.shape and not bits[index == 0].any()
    stream = _encode(symbols.ravel(), index.ravel().astype(np.int64))
    assert len(stream) <= bits.sum() / 8 + 2
    # The stream leaves out zeros at its end.
    written = int.from_bytes(stream, "big")
    assert not written or len(stream) >= bits.sum() / 8 - 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, len(DEVIATIONS) - 1)))
def test_any_bytes_are_read(data: bytes, index: list[int]) -> None:
    try:
        symbols = TABLES.decode(RangeDecoder(data), np.array(index, np.int64))
    except SedicError:
        return
    assert np.abs(symbols, dtype=np.int64).max(initial=0) < 1 << 18


@pytest.mark.parametrize("t", range(1, len(DEVIATIONS)))
def test_bytes_are_near_the_entropy(t: int) -> None:
    symbols = np.round(np.random.default_rng(t).normal(0, DEVIATIONS[t], 20_000)).astype(np.int32)
    values, counts = np.unique(symbols, return_counts=True)
    scale = DEVIATIONS[t] * math.sqrt(2)
    bits = sum(
        -n
        * math.log2(math.erfc((abs(v) - 0.5) / scale) / 2 - math.erfc((abs(v) + 0.5) / scale) / 2)
        for v, n in zip(values.tolist(), counts.tolist(), strict=True)
    )
    assert 8 * len(_encode(symbols, np.full(symbols.size, t))) <= 1.001 * bits + 64


def test_symbols_known_to_be_zero_cost_nothing() -> None:
    index = np.zeros(1000, np.int64)
    data = _encode(np.zeros(1000, np.int32), index)
    assert data == b""
    assert not TABLES.decode(RangeDecoder(data), index).any()
    with pytest.raises(ValueError, match="one symbol"):
        _encode(np.ones(1, np.int32), index[:1])


def test_weights_are_symmetric_and_bounded() -> None:
    for row, length in zip(TABLES.weights, TABLES.lengths, strict=True):
        assert row[:length].min() >= 1
        assert row.sum() < 1 << 24
        np.testing.assert_array_equal(row[: length - 1], row[: length - 1][::-1])


def test_cumulative_sums_are_the_same_tables() -> None:
    cdf = np.array([[0, 10, 60, 100], [0, 99, 100, 0]])
    tables = GaussianTables.of_cdf(cdf, np.array([4, 3]), np.array([-1, 0]))
    assert tables.weights.tolist() == [[10, 50, 40], [99, 1, 0]]
    index = np.array([0, 1, 0, 1, 0])
    symbols = np.array([0, 5, -1, -3, 9], np.int32)
    data = _encode(symbols, index, tables)
    np.testing.assert_array_equal(tables.decode(RangeDecoder(data), index), symbols)


@pytest.mark.parametrize(
    ("weights", "lengths", "offsets"),
    [
        ([[1, 0]], [2], [0]),  # an impossible symbol
        ([[1, -1]], [2], [0]),
        ([[1, 1]], [3], [0]),
        ([[1, 1]], [0], [0]),
        ([[1 << 23, 1 << 23]], [2], [0]),
        ([[1, 1]], [2], [1 << 20]),
        ([[1, 1]], [2, 2], [0]),
        ([[1, 1]], [2], [0, 0]),
    ],
)
def test_bad_tables_are_refused(
    weights: list[list[int]], lengths: list[int], offsets: list[int]
) -> None:
    with pytest.raises(SedicError):
        GaussianTables(np.array(weights), np.array(lengths), np.array(offsets))
