"""A plain way out for drafts (`agents.sending.Post`): a server on this machine, and no folder of sent mail."""

from chittycan.agents.sending import Limits
from chittycan.integrations.email.message import Mail
from chittycan.integrations.email.smtp import Mailer, Server


class WayOut:
    def __init__(self, port: int) -> None:
        self.port = port

    def sender(self, account: str | None) -> str:
        return "us@firm.example"

    def mailer(self, account: str | None) -> Mailer:
        return Mailer(Server(host="127.0.0.1", port=self.port, security="none", sender="us@firm.example"))

    def own(self) -> frozenset[str]:
        return frozenset()

    def limits(self) -> Limits:
        return Limits()

    def verified(self, mail: Mail, account: str | None) -> bool | None:
        return None

    async def in_sent(self, account: str | None, message_id: str) -> bool | None:
        return None

    async def keep_copy(self, account: str | None, raw: bytes) -> bool | None:
        return None
