"""Mail that goes out, as the owner set it up: who sends for which account, and what is seen to while a server runs."""

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from chittycan import mailbox
from chittycan.agents.acknowledge import Acknowledged, Acknowledging, Terms
from chittycan.agents.sending import Limits, Sending
from chittycan.clock import Clock
from chittycan.config import Settings
from chittycan.errors import ChittyError, InvalidRequest
from chittycan.integrations.email.authentication import verdicts
from chittycan.integrations.email.compose import sender
from chittycan.integrations.email.credentials import Newer
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.smtp import Mailer
from chittycan.mail_tokens import RefreshTokens
from chittycan.outside import Outside
from chittycan.store.database import Database
from chittycan.store.workers import Worker
from chittycan.workstreams.effects import Effects
from chittycan.workstreams.workers import dead, this_process

ROUND_SECONDS = 5.0  # between looks at what was left and what came in


class Outgoing:
    """Drafts, approved and sent. `settings` is asked again and again."""

    def __init__(
        self, settings: Callable[[], Settings], env: Mapping[str, str], database: Database, clock: Clock
    ) -> None:
        self._settings, self._clock = settings, clock
        self._office = Office(settings, env, clock, RefreshTokens(database, clock))
        effects = Effects(
            database, owner=sender_name(this_process("sender", "sender")), clock=clock, alive=sender_lives
        )
        self.sending = Sending(database, effects, self._office, clock)
        self._acknowledging = Acknowledging(database, self.sending, clock)

    async def acknowledge(self, *, dry_run: bool = False) -> list[Acknowledged]:
        """Acknowledge what came in, to those on the owner's list. Raises ConfigError, Unavailable."""
        settings = self._settings()
        written, _ = mailbox.inbox_settings(settings)
        if not written.acknowledge:
            return []
        terms = mailbox.terms(settings)
        signatures = {**terms.signatures, "": terms.signature}
        own = Terms(rules=written.acknowledge, signatures=signatures, own=terms.own_addresses)
        return await self._acknowledging.look(own, dry_run=dry_run)

    async def run(self) -> None:
        """Goes on with what was left, and acknowledges, until it is cancelled."""
        while True:
            try:
                await self.sending.round()
                await self.acknowledge()
            except ChittyError:  # the database is away, or the configuration is broken: both are said elsewhere
                pass
            await self._clock.sleep(ROUND_SECONDS)

    def close(self) -> None:
        self._office.close()


class Office:
    """`agents.sending.Post` over config.json."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        env: Mapping[str, str],
        clock: Clock | None = None,
        newer: Newer | None = None,
    ) -> None:
        self._ask, self._env, self._newer = settings, env, newer
        self._used = settings()
        self._outside = Outside(self._used, env, clock, newer)

    def sender(self, account: str | None) -> str:
        return self._ways.sender_of(account)

    def mailer(self, account: str | None) -> Mailer:
        return self._ways.mailer_of(account)

    def own(self) -> frozenset[str]:
        return mailbox.own_addresses(self._settings)

    def limits(self) -> Limits:
        written, _ = mailbox.inbox_settings(self._settings)
        return Limits(per_thread=written.replies_per_thread, per_address=written.replies_per_address)

    def verified(self, mail: Mail, account: str | None) -> bool | None:
        server = mailbox.auth_server(self._settings, account)
        return None if server is None else verdicts(mail, server).dmarc == "pass"

    async def in_sent(self, account: str | None, message_id: str) -> bool | None:
        place = self._place(account)
        return (
            None if place is None else await mailbox.in_sent(self._settings, self._env, place, message_id, self._newer)
        )

    async def keep_copy(self, account: str | None, raw: bytes) -> bool | None:
        place = self._place(account)
        if place is None or not self._ways.of_account(place).save_sent:
            return None
        return await mailbox.keep_copy(self._settings, self._env, place, raw, self._newer)

    def close(self) -> None:
        self._outside.close()

    @property
    def _settings(self) -> Settings:
        return self._ask()

    @property
    def _ways(self) -> Outside:
        settings = self._ask()
        if settings is not self._used:
            self._used = settings
            self._outside.use(settings)
        return self._outside

    def _place(self, account: str | None) -> str | None:
        """The account among whose sent mails the copy belongs: its own, else the one that the From belongs to."""
        accounts = mailbox.accounts(self._settings)
        if account in accounts:
            return account
        try:
            by = sender(self.sender(account)).addr_spec.lower()
        except InvalidRequest:
            return None
        mine = [name for name, each in accounts.items() if by in (each.user.lower(), self._from(name))]
        return mine[0] if len(mine) == 1 else None

    def _from(self, account: str) -> str:
        written = self._ways.of_account(account).sender
        return "" if written is None else sender(written).addr_spec.lower()


# Who is at a mail: a process, by its machine's start, its number and its birth.


def sender_name(me: Worker) -> str:
    """What belongs to this very process bears this name."""
    return msgspec.json.encode((me.boot, me.pid, me.birth, me.nonce)).decode()


async def sender_lives(owner: str) -> bool | None:
    """Whether a process of this machine still runs; None of others."""
    me = this_process("sender", "sender")
    try:
        boot, pid, birth, nonce = msgspec.json.decode(owner, type=tuple[str, int, int | None, str])
    except msgspec.DecodeError:
        return None
    if boot != me.boot or birth is None:
        return None
    return not dead(replace(me, pid=pid, birth=birth, nonce=nonce))
