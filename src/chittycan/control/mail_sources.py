"""Where mail comes from, and how it stands with each: that a source is set up does not mean that it works."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.control.operation import operation

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.mailroom import Standing


class SourceFolder(Struct, kw_only=True):
    """A folder. `through`: the UID up to which all were looked at. `behind`: mails that are not done yet.

    `trouble`: mails that could not be fetched so far, and are tried again.
    """

    name: str
    through: int
    seen: int
    behind: int
    trouble: int


class MailSource(Struct, kw_only=True, rename="camel"):
    """A source of mail. `state`: local (on this machine, read when asked), fresh, failing (the last look), never, or
    stale: it is watched, and no look went well for longer than its alarm. Times are Unix seconds.
    """

    name: str
    type: str
    watch: bool
    state: Literal["local", "fresh", "failing", "stale", "never"]
    last_success: float | None = None
    last_try: float | None = None
    silent_seconds: float | None = None
    problem: str | None = None
    fix: str | None = None
    behind: int = 0
    folders: list[SourceFolder] = []


@operation("GET", "/inbox/sources", owner=True)
async def sources(network: "Network", caller: "Key | None") -> list[MailSource]:
    """Every source of mail that is set up: when a look at it last went well, what is wrong, and how far it is."""
    from chittycan.mailbox import local as local_mailboxes
    from chittycan.mailroom import standings

    found = await standings(network.settings, network.database, network.clock.now())
    local = [
        MailSource(name=name, type=each.type, watch=False, state="local")
        for name, each in local_mailboxes(network.settings).items()
        if name not in {standing.name for standing in found}
    ]
    return [_source(each) for each in found] + local


def _source(standing: "Standing") -> MailSource:
    row = standing.row
    folders = [
        SourceFolder(name=each.folder, through=each.through, seen=each.seen, behind=each.behind, trouble=each.trouble)
        for each in standing.folders
    ]
    about = MailSource(
        name=standing.name, type=standing.type, watch=standing.watched, state=standing.state,
        silent_seconds=standing.silent, behind=standing.behind, folders=folders,
    )  # fmt: skip
    if row is not None:
        about.last_success, about.last_try, about.problem, about.fix = row.succeeded, row.tried, row.problem, row.fix
    return about
