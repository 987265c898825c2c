"""What was learnt, as bytes and back."""

import hashlib
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import ChittyError
from chittycan.routing.quality.encoding import MARK
from chittycan.routing.quality.estimate import Quality
from chittycan.routing.quality.features import sketch
from chittycan.routing.quality.prompts import Scored
from chittycan.routing.quality.train import train

VERBS, NOUNS = (
    ("prove", "draw", "sum", "name", "test", "count", "print"),
    ("length", "colour", "price", "weight", "root"),
)
THINGS = ("list", "tree", "number", "file", "mail", "day")
TEXTS = [f"{verb} the {noun} of a {thing}" for verb in VERBS for noun in NOUNS for thing in THINGS]
QUALITY = train([
    Scored(model, "code", sketch(text), float((len(text) + place) % 3 == 0), 10 + 90 * place)
    for text in TEXTS for place, model in enumerate(("a", "b"))
])  # fmt: skip
DATA = QUALITY.dump()
DIGEST = 16  # bytes


def test_what_was_written_is_read_alike() -> None:
    again = Quality.load(DATA)
    for text in TEXTS[:20]:
        for kind in (None, "code"):
            first, second = (each.estimates(text, kind, ["a", "b"]) for each in (QUALITY, again))
            assert first.keys() == second.keys() == {"a", "b"}
            assert all(abs(first[name].quality - second[name].quality) < 1e-5 for name in first)
    assert again.dump() == DATA
    assert (again.learnt.told, again.learnt.lengths) == (QUALITY.learnt.told, QUALITY.learnt.lengths)
    assert again.learnt.frontier == QUALITY.learnt.frontier is not None


def test_a_training_from_before_one_model_could_answer_everything_is_read() -> None:
    body = msgspec.msgpack.decode(zlib.decompress(DATA[len(MARK) + DIGEST :]))
    for each in (*body["frontier"]["models"].values(), *body["frontier"]["steps"]):
        each.pop("alone", None)
    for each in body["frontier"]["models"].values():
        del each["sure"]
    packed = zlib.compress(msgspec.msgpack.encode(body))
    frontier = Quality.load(MARK + hashlib.blake2b(packed, digest_size=DIGEST).digest() + packed).learnt.frontier
    assert frontier is not None
    for target in (0.5, 0.9, 1.0):
        step = frontier.at(frontier.best, target)
        assert step is None or step.alone is None


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_an_error_with_a_fix(place: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[place] ^= change
    with pytest.raises(ChittyError) as raised:
        Quality.load(bytes(damaged))
    assert "can route train" in (raised.value.fix or "")


@given(st.integers(0, len(DATA) - 1))
def test_a_file_cut_short_is_an_error(length: int) -> None:
    with pytest.raises(ChittyError):
        Quality.load(DATA[:length])


@given(st.binary(max_size=200))
def test_bytes_from_elsewhere_are_an_error(data: bytes) -> None:
    with pytest.raises(ChittyError):
        Quality.load(data)
    with pytest.raises(ChittyError):
        Quality.load(MARK + data)
