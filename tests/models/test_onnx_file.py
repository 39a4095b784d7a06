"""Tensors of ONNX files: what was written is read, and anything else is one clear error."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedic.errors import DamagedFileError
from sedic.models.onnx_file import tensors


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(
    name: str, values: list[float], dims: list[int], *, packed: bool, kind: int = 1
) -> bytes:
    raw = struct.pack(f"<{len(values)}f", *values)
    sizes = (
        field(1, b"".join(map(varint, dims)))
        if packed
        else b"".join(varint(1 << 3) + varint(n) for n in dims)
    )
    stored = field(4 if packed else 9, raw)
    return sizes + varint(2 << 3) + varint(kind) + field(8, name.encode()) + stored


def model(*stored: bytes) -> bytes:
    return varint(1 << 3) + varint(6) + field(7, b"".join(field(5, one) for one in stored))


@pytest.mark.parametrize("packed", [False, True])
def test_floats_are_read_whichever_way_they_are_stored(packed: bool) -> None:
    values = [1.5, -2.0, 0.25, 3.0, 4.0, 5.0]
    found = tensors(model(tensor("a", values, [2, 3], packed=packed)))
    np.testing.assert_array_equal(found["a"], np.reshape(values, (2, 3)).astype(np.float32))


def test_other_types_are_left_out() -> None:
    stored = tensor("a", [1.0], [1], packed=False), tensor("b", [1.0], [1], packed=False, kind=7)
    assert list(tensors(model(*stored))) == ["a"]


def test_a_size_that_is_not_the_tensor_s_is_refused() -> None:
    with pytest.raises(DamagedFileError, match="size of its shape"):
        tensors(model(tensor("a", [1.0, 2.0], [1 << 40], packed=False)))


@given(st.binary(max_size=200))
def test_any_bytes_give_tensors_or_one_error(data: bytes) -> None:
    for whole in (data, model(data), model(tensor("a", [1.0], [1], packed=True))[: len(data)]):
        try:
            found = tensors(whole)
        except DamagedFileError:
            continue
        assert all(value.dtype == np.float32 for value in found.values())
