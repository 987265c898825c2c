"""A prompt as the set of its words and pairs of words, hashed: what quality is learnt from, and what is kept of it.

A sketch cannot be read as text, but it is no secret: whoever guesses a text can check whether it was this one.
"""

import re
import struct
from itertools import chain, pairwise
from zlib import crc32

BUCKETS = 1 << 18
CHARACTERS = 8_000  # of a longer text, the first and the last half of this many
_WORDS = re.compile(r"\w+|[^\w\s]")

# A pair's hash is made from its words' hashes; the odd multiplier (Fibonacci hashing) keeps their order. Its bucket are
# the 18 bits above the lowest 7, so that no more of either word's share has to be kept than those 25.
_MULTIPLIER, _SHIFT = 0x9E3779B1, 7
_SHARE = (BUCKETS << _SHIFT) - 1

Hashed = tuple[int, int, int]  # of a word: its own bucket, its share of a pair's hash as the first, and as the second


class _Pieces(dict[str, tuple[Hashed, ...]]):
    """The words of a piece of text between two spaces. Most pieces come again and again, and are remembered."""

    MOST = 16_384  # pieces: about 5 MB, and 15 MB at worst
    LONGEST, MOST_WORDS = 32, 4  # characters and words of one: signs are words, and nobody writes them so again

    def __missing__(self, piece: str) -> tuple[Hashed, ...]:
        hashes = [crc32(word.encode("utf-8", "surrogatepass")) for word in _WORDS.findall(piece)]
        found = tuple((each % BUCKETS, each * _MULTIPLIER & _SHARE, each & _SHARE) for each in hashes)
        if len(piece) <= self.LONGEST and len(found) <= self.MOST_WORDS:
            if len(self) >= self.MOST:
                self.clear()
            self[piece] = found
        return found


_pieces = _Pieces()


def features(text: str) -> list[int]:
    """The buckets of the text's words and neighbouring pairs, in order of first use, each once."""
    if len(text) > CHARACTERS:
        text = f"{text[: CHARACTERS // 2]} {text[-CHARACTERS // 2 :]}"
    words = [*chain.from_iterable(map(_pieces.__getitem__, text.lower().split()))]
    pairs = [(first[1] + second[2] & _SHARE) >> _SHIFT for first, second in pairwise(words)]
    return [*dict.fromkeys([*[word[0] for word in words], *pairs])]


def sketch(text: str) -> bytes:
    """The features as packed unsigned 32-bit integers, little-endian: what the database keeps."""
    buckets = features(text)
    return struct.pack(f"<{len(buckets)}I", *buckets)


def unpacked(data: bytes) -> list[int]:
    """The buckets of a sketch; of bytes that are none of ours, whatever is in range."""
    count = len(data) // 4
    return [bucket for bucket in struct.unpack(f"<{count}I", data[: 4 * count]) if bucket < BUCKETS]
