"""Scored answers in files: one JSON object per line, plain or gzipped.

Ours have one answer per line, `{"prompt", "model", "score", "kind"?, "cost_usd"?}`. Public sets have one prompt per
line, with the scores of many models: `{"prompt", "quality": {MODEL: 0.7}, "cost": {MODEL: dollars}}`. A line without
`kind` is of the kind that its words show, as a call would be.
"""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from chittycan.errors import UsageError
from chittycan.routing.kinds import work_of
from chittycan.routing.quality.features import sketch
from chittycan.routing.quality.prompts import Scored

SHAPE = 'Write one JSON object per line: {"prompt": "…", "model": "gpt-4o", "score": 0.8}.'


class Line(Struct, frozen=True):
    """One answer, or with `quality` many models' answers to one prompt. Scores go from 0 to 1."""

    prompt: str
    model: str | None = None
    score: float | None = None
    kind: str | None = None
    cost_usd: float | None = None
    quality: Mapping[str, float] | None = None
    cost: Mapping[str, float] | None = None


def scored_file(path: Path, names: Mapping[str, str]) -> Iterator[Scored]:
    """The rows of a file. `names`: what models of the file are called here. Raises UsageError with file and line."""
    decoder = msgspec.json.Decoder(Line)
    try:
        with path.open("rb") as raw:
            for number, text in enumerate(_lines(raw), 1):
                if text.strip():
                    try:
                        yield from _rows(decoder.decode(text), names)
                    except (msgspec.DecodeError, ValueError) as error:
                        raise UsageError(f"{path}:{number}: {error}", fix=SHAPE) from None
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UsageError(f"{path} cannot be read: {reason}", fix=SHAPE) from None


def public_files(folder: Path) -> list[Path]:
    """The sets in a folder. Raises UsageError where there are none."""
    found = sorted(each for each in folder.glob("*") if each.name.endswith((".jsonl", ".jsonl.gz")))
    if not found:
        raise UsageError(f"{folder} holds no *.jsonl or *.jsonl.gz", fix=SHAPE)
    return found


def _lines(raw: BinaryIO) -> Iterator[bytes]:
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    yield from gzip.GzipFile(fileobj=raw) if packed else raw


def _rows(line: Line, names: Mapping[str, str]) -> Iterator[Scored]:
    kind = line.kind or kind_of(line.prompt)
    drawn = sketch(line.prompt)
    if line.quality is not None:
        for model, score in line.quality.items():
            yield _row(names.get(model, model), kind, drawn, score, (line.cost or {}).get(model))
    elif line.model is None or line.score is None:
        raise ValueError("a line needs `model` and `score`, or `quality`")
    else:
        yield _row(names.get(line.model, line.model), kind, drawn, line.score, line.cost_usd)


def _row(model: str, kind: str | None, drawn: bytes, score: float, cost_usd: float | None) -> Scored:
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"the score {score:g} is not between 0 and 1")
    return Scored(model, kind, drawn, score, None if cost_usd is None else round(cost_usd * 1e9))


def kind_of(prompt: str) -> str | None:
    """What a call with these words would be taken for."""
    return work_of(prompt, tokens=len(prompt) // 4).kind
