"""The work on a mail as a durable task: put into the queue by the transaction that stores the mail, once for each.

Whatever dies meanwhile, somebody goes on where it stopped: the steps that are done are stored with the mail.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from chittycan.agents.acquaintance import FIELD, known
from chittycan.agents.mail_facts import facts_of
from chittycan.clock import Clock
from chittycan.integrations.email.authentication import AuthServer, no_server
from chittycan.integrations.email.message import Mail
from chittycan.store import tasks as rows
from chittycan.store.inbox import StoredMail
from chittycan.workstreams.life import TERMINAL
from chittycan.workstreams.record import Recorder
from chittycan.workstreams.ruling import Ruling, no_rules
from chittycan.workstreams.task import Task

TYPE = "mail"
LONGEST_TITLE = 120

# Called with a mail in the transaction that stored it.
Submit = Callable[[Connection, StoredMail], None]


def task_id(mail_id: str) -> str:
    """There is one task for a mail."""
    return f"task_mail_{mail_id}"


def under_way(connection: Connection, mail_id: str) -> bool:
    """Whether somebody works on the mail, or will."""
    return any(row["status"] not in TERMINAL for row in rows.standing(connection, [task_id(mail_id)]))


def submitter(
    recorder: Recorder, clock: Clock, ruling: Ruling = no_rules, authserv: AuthServer = no_server, **wishes: Any
) -> Submit:
    """`authserv`: whose word counts where a rule asks who wrote a mail.

    `wishes`: `model`, `region`, `private` and `template`, where the owner's own are not to count.

    A region to which a rule binds the mail goes before the one that is wished: only workers of it are to have it.
    """
    options = {name: wishes[name] for name in ("region", "private") if wishes.get(name)}
    template = {"template": wishes["template"]} if wishes.get("template") else {}

    def submit(connection: Connection, mail: StoredMail) -> None:
        now = clock.now()
        server = authserv(mail.account)
        read = msgspec.json.decode(mail.mail, type=Mail)
        facts = facts_of(read, now=now, authserv=server, account=mail.account)
        said = ruling(facts | {FIELD: known(connection, read)}).values
        bound = {name: said[name] for name in ("region",) if name in said}
        private = mail.privacy is not None or bool(said.get("private"))
        # A title goes wherever its task is spoken of.
        title = f"private mail from {mail.account}" if private else f"mail: {mail.subject}"
        marked = {"private": True} if private else {}
        task = Task(
            id=task_id(mail.id), type=TYPE, title=title[:LONGEST_TITLE], model=wishes.get("model"),
            spec={"mail": mail.id, **template}, options=options | bound | marked, created=now, updated=now, since=now,
        )  # fmt: skip
        recorder.add(connection, task)

    return submit
