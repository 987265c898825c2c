"""Broken and hostile mail: nothing may raise, take long or fill the memory. `python -m bench.mutants [--quick]`.

Two kinds, both made anew from a seed: mutants of real mail (the shared data's, else that in examples/inbox), each with
one to six wounds (`WOUNDS`); and attacks, whose cost grows faster than their size in parsers that do not guard
themselves (`attacks`). Exits with 1 where a mail raised, or took longer than `MOST_SECONDS` of processor time.
"""

import argparse
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.run import machine, save
from chittycan.integrations.email.message import content, parse

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CHITTY_DATA") or ROOT.parent / "shared" / "data")
MUTANTS, SEED = 12_000, 20261123
MOST_SECONDS = 5.0  # of processor time for one mail of up to 15 MB

Wound = Callable[[random.Random, bytes], bytes]

_SPLINTERS = (
    b"\n\n", b"\r", b"--", b"=?", b"?=", b"=?utf-8?b?", b"\x00", b'"', b"(" * 300, b";" * 300, b"=", b"boundary=",
    b"<!--", b"<p hidden>", b"\xff\xfe", b"&#999999999;", "\u202e\u200b".encode(), b"\xed\xa0\x80", b"Content-Type: ",
)  # fmt: skip
_CHARSETS = (
    b"DEFAULT_CHARSET", b"unknown-8bit", b"CHINESEBIG5", b"idna", b"punycode", b"rot13", b"zip", b"utf-7", b"utf-16",
    b"hz", b"undefined", b"\xff", b"x" * 500, b"",
)  # fmt: skip
_HEADERS = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"References", b"Content-Type", b"Content-Disposition")
_VALUES = (
    b"(" * 5000, b"<" * 2000, b'"' * 999, b"a," * 400, b"=?utf-8?q?" * 99, b"; filename*0*=x" * 99, b"\xfc\xe9", b"",
    b"multipart/mixed", b'multipart/mixed; boundary=""', b"message/rfc822", b"multipart/digest; boundary=a",
)  # fmt: skip


def _flip(chance: random.Random, raw: bytes) -> bytes:
    found = bytearray(raw)
    for _ in range(chance.randint(1, 40)):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def _truncate(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randint(1, len(raw))]


def _splinter(chance: random.Random, raw: bytes) -> bytes:
    at = chance.randint(0, len(raw))
    return raw[:at] + chance.choice(_SPLINTERS) + raw[at + chance.randint(0, 30) :]


def _drop(chance: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    del lines[chance.randrange(len(lines))]
    return b"\n".join(lines) or b"\n"


def _shuffle(chance: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _header(chance: random.Random, raw: bytes) -> bytes:
    storm = chance.choice((1, 1, 1, 50))
    return (chance.choice(_HEADERS) + b": " + chance.choice(_VALUES) + b"\n") * storm + raw


def _charset(chance: random.Random, raw: bytes) -> bytes:
    return b"Content-Type: text/plain; charset=" + chance.choice(_CHARSETS) + b"\n" + raw


def _nest(chance: random.Random, raw: bytes) -> bytes:
    for level in range(chance.choice((1, 2, 5, 60))):
        mark = b"b%d" % level
        raw = b"Content-Type: multipart/mixed; boundary=%s\n\n--%s\n%s\n--%s--\n" % (mark, mark, raw, mark)
    return b"From: a@b.example\n" + raw


def _repeat(chance: random.Random, raw: bytes) -> bytes:
    start = chance.randrange(len(raw))
    piece = raw[start : start + chance.randint(1, 400)]
    return raw[:start] + piece * chance.choice((2, 5, 100)) + raw[start:]


WOUNDS: tuple[Wound, ...] = (_flip, _truncate, _splinter, _drop, _shuffle, _header, _charset, _nest, _repeat)


def samples() -> list[bytes]:
    found = [*sorted((DATA / "mail").rglob("*.eml")), *sorted((ROOT / "examples" / "inbox").glob("*.eml"))]
    return [path.read_bytes() for path in found]


def mutants(seed: int, count: int, mails: Sequence[bytes]) -> Iterator[bytes]:
    """The same for the same seed and mails."""
    chance = random.Random(seed)
    for number in range(count):
        raw = mails[number % len(mails)][:200_000]
        for _ in range(chance.randint(1, 6)):
            raw = chance.choice(WOUNDS)(chance, raw) or b"\n"
        yield raw[:2_000_000]


def attacks(scale: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """What a parser pays dearly for, up to 14 MB; `scale` makes it smaller."""

    def many(piece: bytes, count: int) -> bytes:
        return piece * max(1, int(count * scale))

    for name, piece in _COSTLY_HEADERS.items():
        field, _, unit = piece.partition(b"|")
        yield name, b"From: a@b.example\n" + field + many(unit, 250_000 // len(unit)) + b"\n\nx"
    page = b"From: a@b.example\nContent-Type: text/html; charset=utf-8\n\n"
    for unit in _COSTLY_PAGES:
        yield f"page of {unit[:20]!r}", page + many(unit, 4_000_000 // len(unit))
    rules = b"<style>" + b"".join(b".x.y%d{color:red}" % number for number in range(500)) + b"</style>"
    yield "rules times elements", page + rules + many(b"<i class=x>a</i>", 250_000)
    mixed = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n"
    yield "parts", mixed + many(b"--b\n\n\n", 200_000)
    yield (
        "parts with long headers",
        mixed + many(b'--b\nContent-Type: text/plain; x="' + b";" * 15_000 + b"\n\nx\n", 900),
    )
    yield (
        "delivery report",
        b"From: a@b.example\nContent-Type: message/delivery-status\n\n" + many(b"a: b\n\n", 200_000),
    )
    yield "nested mails", many(b"Content-Type: message/rfc822\n\n", 20_000)
    yield "no boundary", mixed + many(b"--c\n", 2_000_000)
    for coding, unit in ((b"base64", b"A=\n"), (b"quoted-printable", b"=\n"), (b"x-uuencode", b"!\n")):
        head = b"From: a@b.example\nContent-Transfer-Encoding: " + coding + b"\n\nbegin 6 x\n"
        yield coding.decode(), head + many(unit, 2_500_000)


_COSTLY_HEADERS = {
    "parameters": b'Content-Type: multipart/mixed; x="|;',
    "numbered parameters": b"Content-Type: text/plain|; a*0*=x",
    "comments": b"To: |(",
    "quotes": b'To: |"',
    "words": b"To: |a ",
    "dots": b"To: |a.",
    "closed comments": b"To: |(a),",
    "addresses": b"Cc: |a@b.c,",
    "encoded words": b"Subject: |=?utf-8?q?a?= ",
    "half encoded words": b"Subject: |=?",
    "many headers": b"X: y\n|a:b\n",
    "folds": b"Subject: x|\n y",
    "file names": b"Content-Disposition: attachment|; filename*1*=%41",
}
_COSTLY_PAGES = (
    b"<!-- -->x", b"<!----!>x", b"<p><b>", b"<table><tr><td>", b"<ul><li>", b"</i>", b"<a b=c ", b"&#1", b"<td>",
    b"<style>a.b{color:red}</style>", b"<font hidden>x</div>", b"a\xe2\x80\x8b",
)  # fmt: skip


def cost(raw: bytes) -> float:
    """Seconds of processor time that the mail and its attachments take. Raises whatever is raised."""
    started = time.process_time()
    read = parse(raw)
    for attachment in read.attachments[:20]:
        content(raw, attachment)
    read.text.encode()
    read.subject.encode()
    return time.process_time() - started


def measure(mails: Iterator[tuple[str, bytes]]) -> dict[str, Any]:
    raised: Counter[str] = Counter()
    worst, worst_name, total, number = 0.0, "", 0.0, 0
    for name, raw in mails:
        number += 1
        try:
            took = cost(raw)
        except Exception as error:
            raised[f"{type(error).__name__} in {name}"] += 1
            continue
        total += took
        if took > worst:
            worst, worst_name = took, name
    return {
        "mails": number, "raised": dict(raised), "seconds": round(total, 1), "worst_seconds": round(worst, 3),
        "worst": worst_name, "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def main() -> int:
    given = argparse.ArgumentParser(prog="bench.mutants", description=__doc__.splitlines()[0])
    given.add_argument("--quick", action="store_true", help="a tenth of the mutants, smaller attacks")
    given.add_argument("--seed", type=int, default=SEED)
    options = given.parse_args()
    mails = samples()
    numbered = enumerate(mutants(options.seed, MUTANTS // 10 if options.quick else MUTANTS, mails), 1)
    result: dict[str, Any] = {"machine": machine(), "seed": options.seed, "samples": len(mails)}
    result["mutants"] = measure((f"mutant {number}", raw) for number, raw in numbered)
    result["attacks"] = measure(attacks(0.1 if options.quick else 1.0))
    held = []
    for kind in ("mutants", "attacks"):
        found = result[kind]
        print(f"{kind}: {found}")
        held.append(not found["raised"] and found["worst_seconds"] <= MOST_SECONDS)
    print(f"saved {save('mutants', result, options.quick)}")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
