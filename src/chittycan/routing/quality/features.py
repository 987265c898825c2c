"""A prompt as the set of its words and pairs of words, hashed: what quality is learnt from, and what is kept of it.

A sketch cannot be read as text, but it is no secret: whoever guesses a text can check whether it was this one.
"""

import re
import struct
from itertools import pairwise
from zlib import crc32

BUCKETS = 1 << 18
CHARACTERS = 8_000  # of a longer text, the first and the last half of this many
_WORDS = re.compile(r"\w+|[^\w\s]")


def features(text: str) -> list[int]:
    """The buckets of the text's words and neighbouring pairs, in order of first use, each once."""
    if len(text) > CHARACTERS:
        text = f"{text[: CHARACTERS // 2]} {text[-CHARACTERS // 2 :]}"
    words = _WORDS.findall(text.lower())
    hashes = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    # A pair's hash is made from its words' hashes; the odd multiplier (Fibonacci hashing) keeps their order.
    pairs = [(first * 0x9E3779B1 + second) >> 7 for first, second in pairwise(hashes)]
    return [*dict.fromkeys(number % BUCKETS for number in (*hashes, *pairs))]


def sketch(text: str) -> bytes:
    """The features as packed unsigned 32-bit integers, little-endian: what the database keeps."""
    buckets = features(text)
    return struct.pack(f"<{len(buckets)}I", *buckets)


def unpacked(data: bytes) -> list[int]:
    """The buckets of a sketch; of bytes that are none of ours, whatever is in range."""
    count = len(data) // 4
    return [bucket for bucket in struct.unpack(f"<{count}I", data[: 4 * count]) if bucket < BUCKETS]
