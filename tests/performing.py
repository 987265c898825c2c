"""What the tests of performers are made of: a whole network over a scripted provider, and its tasks done by hand."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bare_http import Json
from chittycan import mailbox
from chittycan.agents.acts import Acts
from chittycan.agents.given import Given
from chittycan.agents.performers.parts import Parts
from chittycan.agents.performers.table import performers
from chittycan.clock import Clock
from chittycan.mail_tokens import RefreshTokens
from chittycan.mailroom import reread, terms_of
from chittycan.outside import Outside
from chittycan.store import tasks as rows
from chittycan.testing import Reply, Scenario
from chittycan.testing.upstream import Recorded, ScriptedUpstream
from chittycan.workstreams.effects import Effects
from chittycan.workstreams.rows import to_row
from chittycan.workstreams.task import Outcome, Task
from serving import Served

INBOX = Path(__file__).resolve().parents[1] / "examples" / "inbox"
PRICE = {"input": 1000, "output": 2000}  # a thousandth and two thousandths of a dollar per token
IN, OUT = 1_000_000, 2_000_000  # nano-dollars of a token
ASKED = 17 * IN  # what every scripted answer takes in


class Office:
    """A network whose tasks are performed by hand, one at a time."""

    def __init__(self, served: Served, up: ScriptedUpstream) -> None:
        self.served, self.network, self.up = served, served.network, up
        network = self.network
        effects = Effects(network.database, owner="one:1", clock=network.clock)
        outside = Outside(network.settings, network.env)
        self.parts = Parts(
            gateway=network.gateway, database=network.database, sessions=network.context, key_of=network.keys.of_id,
            files=network.durable.files, acts=Acts(effects, outside, network.clock), effects=effects,
            terms=lambda: mailbox.terms(network.settings), audience=network.durable.responses, clock=network.clock,
            enforcing=lambda: network.settings.privacy_mode == "enforce",
            reread=reread(lambda: network.settings, network.env, RefreshTokens(network.database, network.clock)),
            mail_terms=lambda account: terms_of(network.settings, account, network.rules),
        )  # fmt: skip

    def at(self, clock: Clock) -> "Office":
        """The same, by another clock."""
        self.parts = replace(self.parts, clock=clock)
        return self

    async def perform(self, type: str = "task", *, spec: Json | None = None, **fields: Any) -> Outcome:
        """What a try at this task comes to; it is in no queue."""
        task = Task(**{"id": "task_1", "type": type, "spec": spec or {"prompt": "Hello"}, **fields})
        return await performers(self.parts)[type](task)

    async def stored(self, *tasks: Task, after: Json | None = None) -> None:
        """Puts rows of tasks into the database, and which are to begin after which."""

        def work(connection: Connection) -> None:
            for each in tasks:
                rows.add(connection, to_row(each))
            for task, before in (after or {}).items():
                rows.depend(connection, task, before)

        await self.network.database.run(work)

    async def mail(self, name: str) -> Json:
        """A mail of the sample inbox as a workstream's input names it."""
        file = next(INBOX.glob(f"{name}*.eml"))
        return await Given(self.network.database, file.parent).mail(file.name)

    async def key(self, **limits: Any) -> str:
        """The id of a new virtual key."""
        await self.served.key("guest", **limits)
        return next(each.id for each in await self.network.keys.list() if each.name == "guest")

    def says(self, model: str, *texts: str, **more: Any) -> None:
        """What the upstream's `model` answers, the last for ever."""
        self.up.script(model, [Scenario(does="answers", reply=Reply(text=text, **more)) for text in texts])

    def fails(self, model: str, fault: str, **more: Any) -> None:
        self.up.script(model, [Scenario(does="fails", fault=fault, **more)])

    def asked(self, model: str) -> list[Recorded]:
        return self.up.calls(model)


MakeOffice = Callable[..., Awaitable[Office]]
