"""What was learnt as bytes: a mark with the version, a checksum, and compressed MessagePack.

One megabyte holds what words say of some ten models. Damaged bytes are an error that says so, and never code that runs.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from chittycan.errors import ChittyError
from chittycan.routing.quality.features import BUCKETS
from chittycan.routing.quality.frontier import Frontier
from chittycan.routing.quality.learnt import NO_LENGTHS, Learnt, Lengths, Mean
from chittycan.routing.quality.words import Words

MARK = b"chitty-quality\x002\n"
LARGEST = 32_000_000  # bytes, unpacked
_DIGEST = 16


class Body(Struct, frozen=True, kw_only=True):
    """`gaps`: the distance of each feature's bucket from the one before it; `weights`: 32-bit floats."""

    models: Mapping[str, Mean]
    kinds: Mapping[str, Mapping[str, Mean]]
    familiar: float
    told: float = 1.0
    transfer: float
    lengths: Lengths = NO_LENGTHS
    frontier: Frontier | None
    gaps: bytes
    weights: bytes
    columns: Mapping[str, bytes]
    scales: Mapping[str, float]


def sealed(learnt: Learnt) -> bytes:
    words = learnt.words
    order = sorted(words.places, key=words.places.__getitem__)
    if order != sorted(order):
        raise ValueError("features have to be numbered in the order of their buckets")
    gaps = [bucket - before for bucket, before in zip(order, [0, *order], strict=False)]
    body = Body(
        models=learnt.models, kinds=learnt.kinds, familiar=learnt.familiar, told=learnt.told,
        transfer=learnt.transfer, lengths=learnt.lengths, frontier=learnt.frontier,
        gaps=struct.pack(f"<{len(gaps)}I", *gaps), weights=struct.pack(f"<{len(order)}f", *words.squares),
        columns={name: bytes(column) for name, column in words.columns.items()}, scales=words.scales,
    )  # fmt: skip
    packed = zlib.compress(msgspec.msgpack.encode(body, order="deterministic"), 9)
    return MARK + _digest(packed) + packed


def opened(data: bytes) -> Learnt:
    """Raises ChittyError."""
    start = len(MARK)
    if data[:start] != MARK:
        raise _unreadable("it was written by another version")
    packed = data[start + _DIGEST :]
    if data[start : start + _DIGEST] != _digest(packed):
        raise _unreadable("its checksum is wrong")
    try:
        unpacker = zlib.decompressobj()
        body = msgspec.msgpack.decode(unpacker.decompress(packed, LARGEST), type=Body)
        count = len(body.gaps) // 4
        gaps = struct.unpack(f"<{count}I", body.gaps)
        squares = struct.unpack(f"<{count}f", body.weights)
    except (zlib.error, msgspec.DecodeError, struct.error) as error:
        raise _unreadable("it does not hold what it should") from error
    places = _places(gaps)
    whole = all(len(column) == count for column in body.columns.values()) and set(body.columns) == set(body.scales)
    if not whole or any(bucket >= BUCKETS for bucket in places):
        raise _unreadable("it does not hold what it should")
    columns = {name: memoryview(column).cast("b") for name, column in body.columns.items()}
    return Learnt(
        models=body.models, kinds=body.kinds, familiar=body.familiar, told=body.told,
        transfer=body.transfer, lengths=body.lengths, frontier=body.frontier,
        words=Words(places, squares, columns, body.scales),
    )  # fmt: skip


def _places(gaps: Sequence[int]) -> dict[int, int]:
    places, bucket = {}, 0
    for number, gap in enumerate(gaps):
        bucket += gap
        places[bucket] = number
    return places


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_DIGEST).digest()


def _unreadable(why: str) -> ChittyError:
    return ChittyError(f"What was learnt of quality cannot be read: {why}.", fix="`can route train` learns it anew.")
