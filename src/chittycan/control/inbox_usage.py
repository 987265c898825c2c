"""How the inbox does: volumes, costs, times and corrections, per mailbox and category."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.control.usage import since_moment

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.store.inbox_figures import MailFigures


class InboxFigures(Struct, kw_only=True):
    """`settled` needed no model; of the rest `by_model` were answered by models alone, `fallbacks` partly by rules.

    `corrected` and `approved` are people's words; `corrections_rate` is the share of corrected mails among both.
    `draft_seconds_p50`: from a mail's arrival to its draft. `cost_per_mail_usd` is of all mails of the row.
    """

    account: str | None
    category: str | None
    mails: int
    settled: int
    by_model: int
    fallbacks: int
    drafts: int
    draft_seconds_p50: float | None
    cost_usd: float
    cost_per_mail_usd: float
    calls: int
    pending: int
    approved: int
    auto_approved: int
    corrected: int
    corrections_rate: float | None


class InboxUsage(Struct, kw_only=True):
    """`total` is of all mails; `by_account` and `by_category` of each mailbox, and of each category in it."""

    total: InboxFigures
    by_account: list[InboxFigures]
    by_category: list[InboxFigures]


@operation("GET", "/analytics/inbox", owner=True)
async def inbox(
    network: "Network", caller: "Key | None", *, since: str = "7d", account: str | None = None
) -> InboxUsage:
    """The mail that came in since then: how much, who sorted it, how soon a draft was there, what it cost."""
    from chittycan.store import inbox_figures

    found = await network.database.read(inbox_figures.since, since_moment(network, since), account=account)
    accounts = sorted({each.account for each in found}, key=lambda name: name or "")
    kinds = sorted({(each.account or "", each.category or "") for each in found})
    return InboxUsage(
        total=_figures(found),
        by_account=[_figures([each for each in found if each.account == name], name) for name in accounts],
        by_category=[
            _figures([each for each in found if (each.account or "", each.category or "") == (name, kind)], name, kind)
            for name, kind in kinds
        ],
    )


def _figures(mails: "Sequence[MailFigures]", account: str | None = None, category: str | None = None) -> InboxFigures:
    waits = [each.drafted - each.added for each in mails if each.drafted is not None]
    cost = sum(each.cost_nano for each in mails) / 1e9
    reviews = [each.review for each in mails]
    approved, corrected = reviews.count("approved"), reviews.count("corrected")
    return InboxFigures(
        account=account, category=category or None, mails=len(mails),
        settled=sum(each.settled is not None for each in mails),
        by_model=sum(each.calls > 0 and not each.fallback for each in mails),
        fallbacks=sum(each.fallback for each in mails), drafts=len(waits),
        draft_seconds_p50=round(max(0.0, median(waits)), 3) if waits else None, cost_usd=cost,
        cost_per_mail_usd=cost / len(mails) if mails else 0.0, calls=sum(each.calls for each in mails),
        pending=reviews.count("pending"), approved=approved, auto_approved=reviews.count("auto_approved"),
        corrected=corrected,
        corrections_rate=round(corrected / (approved + corrected), 4) if approved + corrected else None,
    )  # fmt: skip
