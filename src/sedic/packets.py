"""Splits a file into radio packets, of which some may get lost, and joins those that arrive.

``split`` cuts a file into ``count`` data packets of equal size and adds ``parity`` packets of a
Reed-Solomon code over GF(256) (library ``reedsolo``): any ``count`` packets give the file back.
Data packets carry the file's own bytes in order, so the first ones alone make a partial picture.

A packet is four bytes of header and a payload; all packets of a file have the same length.

    byte 0   identity of the file: the lowest byte of its CRC-32
    byte 1   bit 7: the file is bare; bits 0 to 6: index, data packets first, then parity packets
    byte 2   bit 7: 0; bits 0 to 6: count, 1 to 112
    byte 3   check: the lowest byte of the CRC-32 of bytes 0 to 2 and the payload

The payloads of the data packets, joined, are the file, a byte 1, and bytes 0 to the end. Parity
symbol p of a byte position is symbol ``count`` + p of the systematic code with 16 parity symbols
(generator 2, polynomial 11D, first root 2**0); those that are not sent count as lost.

One damaged packet in 256 passes the check. So a joined file must also have the right identity and,
unless it is bare, the right checksum. These checks find accidental damage. They do not protect
against forged packets.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import reedsolo

from sedic.coding.container import CRC_BYTES, checksum
from sedic.errors import DamagedFileError, LimitError, UnsuitableInputError

HEADER_BYTES = 4
MIN_MTU, MAX_MTU = 16, 2048
MAX_PARITY = 16
MAX_COUNT = 112  # data packets of a file
MAX_PACKETS = 1 << 14  # that ``join`` looks at

_END = b"\x01"
_BARE = 0x80
_code = reedsolo.RSCodec(MAX_PARITY)


@dataclass(frozen=True)
class ReceivedFile:
    """One file, as far as its packets have arrived."""

    identity: int
    bare: bool
    count: int  # packets that suffice
    indices: frozenset[int]  # of the packets that arrived, parity packets from ``count`` on
    data: bytes | None  # the file; None while it is not complete or its parts do not fit together
    leading: bytes  # the first bytes of the file, all before the first data packet that is missing

    @property
    def missing(self) -> tuple[int, ...]:
        """The data packets that did not arrive; they may have been recovered all the same."""
        return tuple(index for index in range(self.count) if index not in self.indices)

    @property
    def needed(self) -> int:
        """How many more packets suffice; 0 where enough arrived."""
        return max(0, self.count - len(self.indices))


def split(data: bytes, mtu: int = 222, parity: int = 1, *, bare: bool = False) -> list[bytes]:
    """The packets of a file, at most ``mtu`` bytes each: data packets, then ``parity`` more.

    ``bare`` says that the file is a bare one, and the packets tell the receiver. Raises
    ``UnsuitableInputError`` where ``mtu`` (16 to 2,048) or ``parity`` (0 to 16) is out of range,
    ``DamagedFileError`` where a file that is not bare does not end with its checksum, and
    ``LimitError`` where the file needs more than 112 data packets.
    """
    if not (bare or _is_whole(data)):
        raise DamagedFileError("not a whole .sedic file (checksum); a bare file must be named so")
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise UnsuitableInputError(f"packets of {mtu} bytes: {MIN_MTU} to {MAX_MTU} are possible")
    if not 0 <= parity <= MAX_PARITY:
        raise UnsuitableInputError(f"{parity} parity packets: 0 to {MAX_PARITY} are possible")
    whole = data + _END
    count = -(-len(whole) // (mtu - HEADER_BYTES))
    if count > MAX_COUNT:
        raise LimitError(
            f"{len(data)} bytes need {count} packets of {mtu} bytes; at most {MAX_COUNT} are"
            f" possible: make the file smaller or the packets larger"
        )
    size = -(-len(whole) // count)
    padded = whole.ljust(count * size, b"\0")
    payloads = [padded[start : start + size] for start in range(0, len(padded), size)]
    columns = [_parity_of_unit(count, index) for index in range(count)]
    for p in range(parity):
        payloads.append(_combine([column[p] for column in columns], payloads[:count]))
    identity = _identity(data)
    return [
        _packet(bytes([identity, bare << 7 | index, count]), payload)
        for index, payload in enumerate(payloads)
    ]


def join(packets: Iterable[bytes]) -> ReceivedFile:
    """The most complete file of these packets; ``join_all`` gives all of them.

    Raises ``DamagedFileError`` where no packet is whole.
    """
    files = join_all(packets)
    if not files:
        raise DamagedFileError("no packet of a sedic file arrived undamaged")
    return files[0]


def join_all(packets: Iterable[bytes]) -> list[ReceivedFile]:
    """Every file of which packets arrived, complete ones first, then the most complete.

    Order does not matter. Damaged packets are ignored, and so are all that claim the same place
    in a file with different content. Raises ``LimitError`` for more than ``MAX_PACKETS`` packets;
    the work is at most a few milliseconds for each of them.
    """
    payloads_by_file: dict[tuple[int, bool, int, int], dict[int, set[bytes]]] = {}
    for number, packet in enumerate(packets):
        if number >= MAX_PACKETS:
            raise LimitError(f"more than {MAX_PACKETS} packets at once")
        if not HEADER_BYTES < len(packet) <= MAX_MTU:
            continue
        identity, place, count, _ = packet[:HEADER_BYTES]
        index, payload = place & ~_BARE, packet[HEADER_BYTES:]
        if packet != _packet(packet[:3], payload):
            continue
        if not 1 <= count <= MAX_COUNT or index >= count + MAX_PARITY:
            continue
        key = identity, bool(place & _BARE), count, len(payload)
        payloads_by_file.setdefault(key, {}).setdefault(index, set()).add(payload)
    files = [
        _received_file(identity, bare, count, {i: min(p) for i, p in places.items() if len(p) == 1})
        for (identity, bare, count, _), places in payloads_by_file.items()
    ]
    return sorted(files, key=lambda file: (file.data is None, file.needed, -file.count))


def _received_file(
    identity: int, bare: bool, count: int, payloads: Mapping[int, bytes]
) -> ReceivedFile:
    """``payloads``: by index, all of one length."""
    leading = b""
    for index in range(count):
        if index not in payloads:
            break
        leading += payloads[index]
    data = None
    if len(payloads) >= count:
        whole, end, padding = _recovered(count, payloads).rpartition(_END)
        fits = end and not padding.strip(b"\0") and _identity(whole) == identity
        if fits and (bare or _is_whole(whole)):
            data = leading = whole
    return ReceivedFile(identity, bare, count, frozenset(payloads), data, leading)


def _recovered(count: int, payloads: Mapping[int, bytes]) -> bytes:
    """The joined payloads of the data packets, from any ``count`` payloads."""
    used = tuple(sorted(payloads)[:count])
    lost = [index for index in range(count) if index not in payloads]
    columns = [_data_of_unit(count, used, index) for index in used] if lost else []
    data_payloads = [payloads[index] for index in used]
    rows = dict(payloads) | {
        index: _combine([column[index] for column in columns], data_payloads) for index in lost
    }
    return b"".join(rows[index] for index in range(count))


def _parity_of_unit(count: int, index: int) -> bytes:
    """The parity symbols of data that is 1 at ``index`` and 0 elsewhere.

    The code is linear, so these coefficients give the parity of whole payloads at once.
    """
    return bytes(_code.encode(bytes(i == index for i in range(count))))[count:]


def _data_of_unit(count: int, used: Sequence[int], index: int) -> bytes:
    """The data symbols of the word that is 1 at ``index`` and 0 at the other places ``used``."""
    erased = [place for place in range(count + MAX_PARITY) if place not in used]
    word = bytes(place == index for place in range(count + MAX_PARITY))
    return bytes(_code.decode(word, erase_pos=erased, only_erasures=True)[0])


def _combine(factors: Sequence[int], payloads: Sequence[bytes]) -> bytes:
    """The sum of factor x payload over GF(256), byte by byte."""
    total = 0
    for factor, payload in zip(factors, payloads, strict=True):
        total ^= int.from_bytes(payload.translate(_times(factor)), "big")
    return total.to_bytes(len(payloads[0]), "big")


@cache
def _times(factor: int) -> bytes:
    """The products of ``factor`` with 0 to 255 in GF(256)."""
    return bytes(reedsolo.gf_mul(factor, value) for value in range(256))


def _packet(start: bytes, payload: bytes) -> bytes:
    return start + bytes([zlib.crc32(start + payload) & 0xFF]) + payload


def _is_whole(data: bytes) -> bool:
    return data[-CRC_BYTES:] == checksum(data[:-CRC_BYTES])


def _identity(data: bytes) -> int:
    return zlib.crc32(data) & 0xFF
