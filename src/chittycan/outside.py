"""The ways out that the owner configured: `outbound` and `smtp` of config.json as clients that can be used.

Each is made when it is first needed, and secrets are looked up when they are used: what is missing or wrong stops
the one act that needs it and nothing else.
"""

from collections.abc import Mapping
from functools import cached_property

from chittycan.config import Missing, Settings, resolve_secret
from chittycan.config.settings import CONFIG_FILE, listed
from chittycan.errors import ConfigError
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList, Target


class Outside:
    """The ways out of a configuration; `use` takes up another one."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self._settings, self._env = settings, env

    @cached_property
    def outbound(self) -> Outbound:
        """Raises ConfigError where an entry of `outbound.allow` cannot be read."""
        settings = self._settings.outbound
        return Outbound(AllowList(settings.allow, private=settings.private), credentials=self._credentials)

    @cached_property
    def mailer(self) -> Mailer:
        """Raises ConfigError where `smtp` is missing or incomplete, InvalidRequest where `from` is no address."""
        smtp = self._settings.smtp
        if smtp is None:
            fix = 'Add "smtp": {"host": …, "from": …} there.'
            raise ConfigError("no mail server is set up", file=CONFIG_FILE, key="smtp", fix=fix)
        password = self._secret(smtp.password, "smtp.password") if smtp.password else None
        return Mailer(
            Server(
                host=smtp.host,
                sender=smtp.sender,
                port=smtp.port,
                security=smtp.security,
                user=smtp.user,
                password=password,
                allow=smtp.allow,
            )
        )

    def webhook_secrets(self) -> tuple[str, ...]:
        """What webhooks are signed with; several while one replaces the other. Raises ConfigError."""
        references = listed(self._settings.outbound.webhook_secret)
        if not references:
            fix = 'Set it to a reference to a secret like "whsec_…", for example env:WEBHOOK_SECRET.'
            raise ConfigError("webhooks are not sent unsigned", file=CONFIG_FILE, key="outbound.webhookSecret", fix=fix)
        return tuple(self._secret(each, "outbound.webhookSecret") for each in references)

    def use(self, settings: Settings) -> None:
        """For the next act; what is under way ends as it began."""
        self._settings = settings
        for made in ("outbound", "mailer"):
            self.__dict__.pop(made, None)

    def close(self) -> None:
        """Take no further mail."""
        if "mailer" in self.__dict__:
            self.mailer.close()

    def _credentials(self, target: Target) -> dict[str, str]:
        headers = {host.lower(): given for host, given in self._settings.outbound.headers.items()}
        for host in (target.authority, target.host):
            if host in headers:
                key = f"outbound.headers.{host}"
                return {name: self._secret(value, f"{key}.{name}") for name, value in headers[host].items()}
        return {}

    def _secret(self, reference: str, key: str) -> str:
        found = resolve_secret(reference, self._env, self._settings.folder)
        if isinstance(found, Missing):
            raise ConfigError(str(found), file=CONFIG_FILE, key=key, fix="Set what it refers to, or correct it.")
        return found.value
