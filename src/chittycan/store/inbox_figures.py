"""What came of mail since a moment: one row per mail, from which volumes, costs and corrections are counted."""

from msgspec import Struct
from sqlalchemy import Connection, case, func, select

from chittycan.store.drafts import drafts
from chittycan.store.inbox import agent_runs, mails


class MailFigures(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds, `cost_nano` nano-dollars as far as prices are known. `fallback`: rules stood in.

    `drafted` is when its reply was written first; `calls` counts answers of models.
    """

    account: str | None
    category: str | None
    state: str
    settled: str | None
    review: str | None
    added: float
    drafted: float | None
    cost_nano: int
    calls: int
    fallback: bool


def since(connection: Connection, moment: float, *, account: str | None = None) -> list[MailFigures]:
    """Of the mails that came in since `moment`."""
    runs = (
        select(
            agent_runs.c.mail_id,
            func.coalesce(func.sum(agent_runs.c.cost_nano), 0).label("cost_nano"),
            func.sum(case((agent_runs.c.model.is_not(None), 1), else_=0)).label("calls"),
            func.max(case((agent_runs.c.fallback, 1), else_=0)).label("fallback"),
        )
        .group_by(agent_runs.c.mail_id)
        .subquery()
    )
    written = (
        select(drafts.c.mail_id, func.min(drafts.c.created).label("drafted"))
        .where(drafts.c.automatic.is_(False))
        .group_by(drafts.c.mail_id)
        .subquery()
    )
    names = ("account", "category", "state", "settled", "review", "added")
    query = (
        select(*(mails.c[name] for name in names), runs.c.cost_nano, runs.c.calls, runs.c.fallback, written.c.drafted)
        .outerjoin(runs, runs.c.mail_id == mails.c.id)
        .outerjoin(written, written.c.mail_id == mails.c.id)
        .where(mails.c.added >= moment)
    )
    if account is not None:
        query = query.where(mails.c.account == account)
    return [_figures(row) for row in connection.execute(query).mappings()]


def _figures(row: object) -> MailFigures:
    values = dict(row)  # type: ignore[call-overload]
    counted = {name: int(values[name] or 0) for name in ("cost_nano", "calls")}
    return MailFigures(**{**values, **counted, "fallback": bool(values["fallback"])})
