"""What a training came to, for people: who was scored how often and how well, and what it is good for."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from chittycan.routing.quality.checking import Checked, Progress, check
from chittycan.routing.quality.frontier import SHOWN, Kept
from chittycan.routing.quality.prompts import Scored, collected
from chittycan.routing.quality.train import trained


class ScoredModel(Struct, frozen=True, kw_only=True):
    """One model's scores at one kind of work; `kind` None: at all. `cost_usd`: of an answer, on average."""

    kind: str | None
    model: str
    scored: int
    quality: float
    cost_usd: float | None


class Report(Struct, frozen=True, kw_only=True):
    """`scored`: answers; `prompts`: different ones of which the words were kept; `features`: words and pairs learnt."""

    scored: int
    prompts: int
    features: int
    size: int  # bytes
    models: list[ScoredModel]
    kinds: list[ScoredModel]
    checked: Checked
    strong: str | None = None  # against which `kept` counts
    kept: list[Kept] = []


def learn(
    rows: Sequence[Scored],
    progress: Progress = lambda done, total: None,
    pool: Collection[str] | None = None,
) -> tuple[bytes, Report]:
    """Trains, checks, and says what came of it: the bytes to keep, and the report. `pool`: who can be chosen here."""
    prompts = collected(rows)
    checked = check(prompts, progress, pool)
    quality = trained(prompts, checked)
    data = quality.dump()
    learnt = quality.learnt
    report = Report(
        scored=len(rows), prompts=sum(bool(each.buckets) for each in prompts), features=len(learnt.words.places),
        size=len(data), models=_summed(rows, False), kinds=_summed(rows, True), checked=checked,
        strong=None if checked.frontier is None else checked.frontier.best, kept=_kept(checked),
    )  # fmt: skip
    return data, report


def _kept(checked: Checked) -> list[Kept]:
    """What a target saves, where it saves anything."""
    found = [checked.frontier.kept(target) for target in SHOWN] if checked.frontier is not None else []
    return [each for each in found if each is not None and each.saved > 0]


def _summed(rows: Iterable[Scored], by_kind: bool) -> list[ScoredModel]:
    found: dict[tuple[str, str], list[Scored]] = {}
    for row in rows:
        if row.kind is not None or not by_kind:
            found.setdefault((row.kind or "" if by_kind else "", row.model), []).append(row)
    return [_row(kind or None, model, several) for (kind, model), several in sorted(found.items())]


def _row(kind: str | None, model: str, rows: Sequence[Scored]) -> ScoredModel:
    costs = [row.cost_nano for row in rows if row.cost_nano is not None]
    return ScoredModel(
        kind=kind, model=model, scored=len(rows), quality=round(sum(row.score for row in rows) / len(rows), 4),
        cost_usd=sum(costs) / len(costs) / 1e9 if costs else None,
    )  # fmt: skip
