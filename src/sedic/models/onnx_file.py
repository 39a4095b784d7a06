"""Reads the stored tensors of an ONNX file from its protocol buffer, without the package onnx.

ONNX's ``onnx.proto`` defines the field numbers. The rest of the graph is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sedic.errors import DamagedFileError

Floats = npt.NDArray[np.float32]

_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto and GraphProto
_DIMS, _TYPE, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9  # fields of TensorProto
_FLOAT = 1  # its type of number
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_LONGEST = 10  # bytes of a varint
_MOST_DIMS = 8


def tensors(data: bytes) -> dict[str, Floats]:
    """The float32 initializers of an ONNX model by name; those of other types are left out.

    ``DamagedFileError`` where ``data`` is something else.
    """
    tensors = {}
    view = memoryview(data)
    for graph in _parts(view, _GRAPH):
        for stored in _parts(graph, _INITIALIZER):
            name, tensor = _tensor(stored)
            if tensor is not None:
                tensors[name] = tensor
    if not tensors:
        raise DamagedFileError("the ONNX file holds no weights")
    return tensors


def _tensor(data: memoryview) -> tuple[str, Floats | None]:
    dims: list[int] = []
    name, kind, values = "", 0, memoryview(b"")
    for field, value in _fields(data):
        if field == _DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _NAME and not isinstance(value, int):
            name = bytes(value).decode("utf-8", "replace")
        elif field in (_FLOATS, _RAW) and not isinstance(value, int):
            values = value
    if kind != _FLOAT:
        return name, None
    if len(dims) > _MOST_DIMS or 4 * math.prod(dims) != len(values):
        raise DamagedFileError("a tensor of the ONNX file does not have the size of its shape")
    return name, np.frombuffer(values, "<f4").reshape(dims).astype(np.float32)


def _parts(data: memoryview, number: int) -> Iterator[memoryview]:
    """The messages in the field ``number`` of a message."""
    for field, value in _fields(data):
        if field == number and not isinstance(value, int):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers and values of a message's fields: integers, or the bytes of anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            length = 8 if kind == _EIGHT else 4
        else:
            raise DamagedFileError("the file is no ONNX file")
        if length > len(data) - at:
            raise DamagedFileError("the ONNX file ends too early")
        yield key >> 3, data[at : at + length]
        at += length


def _packed(data: memoryview) -> list[int]:
    """The integers of a packed field, at most one more than ``_MOST_DIMS``."""
    numbers: list[int] = []
    at = 0
    while at < len(data) and len(numbers) <= _MOST_DIMS:
        value, at = _varint(data, at)
        numbers.append(value)
    return numbers


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for number in range(_LONGEST):
        if at + number >= len(data):
            break
        byte = data[at + number]
        value |= (byte & 127) << 7 * number
        if byte < 128:
            return value, at + number + 1
    raise DamagedFileError("the file is no ONNX file")
