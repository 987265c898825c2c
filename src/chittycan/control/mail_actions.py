"""What rules want done to mails in their mailboxes, and a person's word on it."""

from typing import TYPE_CHECKING

from msgspec import Struct

from chittycan.control.operation import operation
from chittycan.errors import InvalidRequest

if TYPE_CHECKING:
    from chittycan.app import Network
    from chittycan.auth.keys import Key
    from chittycan.store.mail_actions import MailAction

STANDING = ("waiting", "allowed", "doing", "failed")  # where something may still come of it


class ActionRow(Struct, kw_only=True):
    """One action. `verb`: label, read, move, archive; `value` the label or the folder. `needs_leave`: the account does
    not allow the verb, and nobody has allowed this one. `problem`: why not, or not yet. Times are Unix seconds.
    """

    id: int
    mail: str
    subject: str
    account: str
    verb: str
    value: str
    because: str
    state: str
    needs_leave: bool
    allowed_by: str | None
    problem: str | None
    asked: float
    changed: float


@operation("GET", "/inbox/actions", owner=True)
async def listed(
    network: "Network",
    caller: "Key | None",
    *,
    state: list[str] | None = None,
    account: str | None = None,
    limit: int = 100,
) -> list[ActionRow]:
    """What is to be done to mails in their mailboxes, the newest first; without `state` what is not over."""
    from typing import get_args

    from chittycan.store import mail_actions

    known = get_args(mail_actions.State)
    for each in state or ():
        if each not in known:
            raise InvalidRequest(f"no state {each!r}", param="state", fix=f"Use one of: {', '.join(known)}.")
    states, limit = tuple(state or STANDING), min(max(0, limit), 1_000)
    rows = await network.database.read(mail_actions.listing, states=states, account=account, limit=limit)
    return [_row(network, each) for each in rows]


@operation("POST", "/inbox/actions/{action}/allow", owner=True)
async def allow(network: "Network", caller: "Key | None", *, action: int) -> ActionRow:
    """Lets one action happen, at the next look at its account; also one that failed, once more."""
    from chittycan.store import mail_actions

    by, now = "owner" if caller is None else caller.name, network.clock.now()
    if not await network.database.run(mail_actions.allow, action, by, now):
        await _nothing_to(network, action, "allow")
    return _row(network, await network.database.read(mail_actions.get, action))


@operation("POST", "/inbox/actions/{action}/drop", owner=True)
async def drop(network: "Network", caller: "Key | None", *, action: int) -> ActionRow:
    """Says that an action is not to happen, and never again by the same words of a rule."""
    from chittycan.store import mail_actions

    if not await network.database.run(mail_actions.drop, action, network.clock.now()):
        await _nothing_to(network, action, "drop")
    return _row(network, await network.database.read(mail_actions.get, action))


async def _nothing_to(network: "Network", action: int, what: str) -> None:
    """Raises NotFound, or InvalidRequest that says how it stands."""
    from chittycan.store import mail_actions

    row = await network.database.read(mail_actions.get, action)
    raise InvalidRequest(f"there is nothing to {what}: action {action} is {row.state}", param="action")


def _row(network: "Network", action: "MailAction") -> ActionRow:
    from chittycan.mailbox import accounts

    account = accounts(network.settings).get(action.account)
    allowed = account is not None and action.verb in account.allow
    return ActionRow(
        id=action.id, mail=action.mail_id, subject=action.subject, account=action.account, verb=action.verb,
        value=action.value, because=action.because, state=action.state,
        needs_leave=action.state == "waiting" and not allowed, allowed_by=action.allowed_by, problem=action.problem,
        asked=action.asked, changed=action.changed,
    )  # fmt: skip
