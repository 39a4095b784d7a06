"""Packets: any ``count`` of them give the file, and nothing gives a wrong one."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding.container import checksum
from sedic.errors import DamagedFileError, LimitError, UnsuitableInputError
from sedic.packets import (
    HEADER_BYTES,
    MAX_COUNT,
    MAX_MTU,
    MAX_PACKETS,
    MAX_PARITY,
    join,
    join_all,
    split,
)

files = st.binary(max_size=900)


def file_of(seed: int, size: int) -> bytes:
    """Random bytes that end with their checksum, as a file does."""
    body = random.Random(seed).randbytes(size - 2)
    return body + checksum(body)


DATA = file_of(1, 700)
mtus = st.integers(16, 400)
parities = st.integers(0, MAX_PARITY)


@given(files, mtus, parities, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_count_packets_in_any_order_give_the_exact_file(
    data: bytes, mtu: int, parity: int, dice: random.Random
) -> None:
    packets = split(data, mtu, parity, bare=True)
    count = len(packets) - parity
    assert all(len(packet) <= mtu for packet in packets)
    arrived = join(dice.choices(packets, k=3) + dice.sample(packets, count))
    assert arrived.data == arrived.leading == data
    assert arrived.needed == 0
    assert arrived.bare


@given(files, mtus, st.integers(0, 4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_fewer_packets_give_no_file_but_its_first_bytes(
    data: bytes, mtu: int, parity: int, dice: random.Random
) -> None:
    packets = split(data, mtu, parity, bare=True)
    count = len(packets) - parity
    kept = dice.randrange(count)
    indices = dice.sample(range(len(packets)), kept)
    if not kept:
        with pytest.raises(DamagedFileError):
            join([])
        return
    arrived = join(packets[index] for index in indices)
    assert arrived.data is None
    assert arrived.needed == count - kept
    assert arrived.missing == tuple(i for i in range(count) if i not in indices)
    first = arrived.missing[0]
    size = len(packets[0]) - HEADER_BYTES
    assert arrived.leading == (data + b"\1").ljust(count * size, b"\0")[: first * size]


@given(st.integers(0, 9), st.integers(0, 3), st.data())
@settings(max_examples=100, deadline=None)
def test_damage_never_gives_a_wrong_file(damaged: int, parity: int, draw: st.DataObject) -> None:
    packets = split(DATA, 100, parity)
    for _ in range(damaged):
        index = draw.draw(st.integers(0, len(packets) - 1))
        packet = bytearray(packets[index])
        place = draw.draw(st.integers(0, len(packet) - 1))
        packet[place] ^= draw.draw(st.integers(1, 255))
        packets[index] = bytes(packet)
    found = [one.data for one in join_all(packets) if one.data is not None]
    assert found in ([], [DATA])


@given(st.lists(st.binary(max_size=300), max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_foreign_packets_do_not_disturb(others: list[bytes], dice: random.Random) -> None:
    mixed = [*split(DATA, 120, 1)[1:], *others]
    dice.shuffle(mixed)
    assert join(mixed).data == DATA


def test_several_files_are_told_apart_complete_ones_first() -> None:
    first, second, third = (file_of(seed, 500) for seed in (2, 3, 4))
    packets = [*split(first, 150, 0)[:-2], *split(second, 150, 1)[1:], *split(third, 150, 0)[:-1]]
    random.Random(0).shuffle(packets)
    arrived = join_all(packets)
    assert [one.data for one in arrived] == [second, None, None]
    assert [one.needed for one in arrived] == [0, 1, 2]
    assert third.startswith(arrived[1].leading)


def test_two_packets_for_one_place_count_as_lost() -> None:
    # A file with the same identity: same CRC byte, count and length, other content.
    packets = split(DATA, 222, 1)
    twin = next(
        candidate
        for seed in range(2, 10_000)
        if split(candidate := file_of(seed, len(DATA)), 222, 0)[0][0] == packets[0][0]
    )
    clash = split(twin, 222, 0)[0]
    assert join([*packets, clash]).data == DATA  # the parity packet replaces it
    assert join([*packets[:-1], clash]).data is None
    # Data of one and parity of the other: the parts do not fit together.
    assert join([*split(twin, 222, 0)[:-1], packets[-1]]).data is None


def test_the_receiver_learns_whether_a_file_is_bare() -> None:
    assert join(split(DATA, bare=True)).bare
    both = join_all([*split(DATA, bare=True), *split(DATA)])
    assert sorted(one.bare for one in both) == [False, True]


def test_a_packet_has_four_bytes_of_header() -> None:
    [packet] = split(file_of(1, 12), 222, 0)
    assert len(packet) == 12 + 1 + HEADER_BYTES
    assert packet[1:3] == bytes([0, 1])


def test_values_out_of_range_are_refused() -> None:
    for mtu, parity in ((15, 1), (MAX_MTU + 1, 1), (222, -1), (222, MAX_PARITY + 1)):
        with pytest.raises(UnsuitableInputError):
            split(DATA, mtu, parity)
    largest = MAX_COUNT * (222 - HEADER_BYTES) - 1
    assert join(split(bytes(largest), 222, 0, bare=True)).data == bytes(largest)
    with pytest.raises(LimitError, match="112"):
        split(bytes(largest + 1), 222, 0, bare=True)
    with pytest.raises(DamagedFileError, match="bare"):
        split(DATA[:-1])


def test_a_flood_is_refused_and_the_worst_pattern_takes_bounded_time() -> None:
    with pytest.raises(LimitError):
        join(b"x" for _ in range(MAX_PACKETS + 1))
    data = file_of(5, MAX_COUNT * (MAX_MTU - HEADER_BYTES) - 1)
    packets = split(data, MAX_MTU, MAX_PARITY)
    started = time.process_time()
    assert join(packets[MAX_PARITY:]).data == data
    assert time.process_time() - started < 10
