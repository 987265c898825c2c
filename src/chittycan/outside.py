"""The ways out that the owner configured: `outbound` and `smtp` of config.json as clients that can be used.

Each is made when it is first needed, and secrets are looked up when they are used: what is missing or wrong stops
the one act that needs it and nothing else.
"""

from collections.abc import Mapping
from functools import cached_property

from chittycan import mail_login
from chittycan.clock import Clock, SystemClock
from chittycan.config import Missing, Settings, resolve_secret
from chittycan.config.parsing import Reader, join
from chittycan.config.senders import SENDER_KEYS, SenderSettings
from chittycan.config.settings import CONFIG_FILE, SmtpSettings, listed
from chittycan.errors import ConfigError, Forbidden
from chittycan.integrations.email.compose import sender
from chittycan.integrations.email.credentials import Credential, Newer
from chittycan.integrations.email.smtp import Mailer, Server
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList, Target, parse


class Outside:
    """The ways out of a configuration; `use` takes up another one."""

    def __init__(
        self,
        settings: Settings,
        env: Mapping[str, str],
        clock: Clock | None = None,
        newer: Newer | None = None,
    ) -> None:
        """`newer`: as of `mail_login.credential_of`."""
        self._settings, self._env, self._clock, self._newer = settings, env, clock or SystemClock(), newer
        self._ways: dict[str, Outbound] = {}  # to subscribed webhooks, by URL
        self._mailers: dict[str, Mailer] = {}  # of accounts with a server of their own

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
            file = self._settings.folder / CONFIG_FILE
            fix = f'"smtp": {{"host": "mail.example.com", "user": …, "password": "env:SMTP", "from": …}} in {file}'
            raise ConfigError("no mail server is set up", file=CONFIG_FILE, key="smtp", fix=fix)
        return self._mailer(smtp, "smtp")

    def mailer_of(self, account: str | None) -> Mailer:
        """For mail in the name of an account: its own server, else `mailer`. Raises as that does."""
        own = self.of_account(account)
        if own.smtp is None or account is None:
            return self.mailer
        if account not in self._mailers:
            self._mailers[account] = self._mailer(own.smtp, join(join("integrations", account), "smtp"), account)
        return self._mailers[account]

    def sender_of(self, account: str | None) -> str:
        """The From of such a mail: the account's, else that of its server. Raises ConfigError."""
        return self.of_account(account).sender or self.mailer_of(account).server.sender

    def of_account(self, account: str | None) -> SenderSettings:
        """What an account says of its mail. Raises ConfigError."""
        written = self._settings.integrations.get(account) if account is not None else None
        if not isinstance(written, Mapping):
            return SenderSettings()
        known = {name: value for name, value in written.items() if name in SENDER_KEYS}
        reader = Reader(str(self._settings.folder / CONFIG_FILE))
        return reader.read(known, SenderSettings, join("integrations", str(account)))

    def _mailer(self, smtp: SmtpSettings, key: str, account: str | None = None) -> Mailer:
        token = self._token(smtp, key, account)
        known = smtp.password and token is None
        server = Server(
            host=smtp.host, sender=smtp.sender, port=smtp.port, security=smtp.security, allow=smtp.allow,
            user=smtp.user if token is None else smtp.user or self._user(account) or sender(smtp.sender).addr_spec,
            password=self._secret(smtp.password or "", f"{key}.password") if known else None,
        )  # fmt: skip
        return Mailer(server, token=token)

    def _token(self, smtp: SmtpSettings, key: str, account: str | None) -> Credential | None:
        """What gives the token to log in with: its own, else that of the account. None: it is a password."""
        if smtp.auth == "password" and smtp.oauth is None:
            return None
        if smtp.oauth is None and smtp.password is None and self._user(account) is not None:
            return mail_login.credential(self._settings, str(account), self._env, self._clock, self._newer)
        login = mail_login.LoginSettings(password=smtp.password, oauth=smtp.oauth)
        return mail_login.credential_of(self._settings, key, login, self._env, self._clock, self._newer)

    def _user(self, account: str | None) -> str | None:
        """The name that an account on a mail server is logged in to with."""
        written = self._settings.integrations.get(account) if account is not None else None
        user = written.get("user") if isinstance(written, Mapping) else None
        return user if isinstance(user, str) else None

    def toward(self, url: str) -> Outbound:
        """The way to a webhook: to one that the owner subscribed whatever `outbound.allow` says. Raises ConfigError."""
        if self._subscribed(url) is None:
            return self.outbound
        if url not in self._ways:
            target, private = parse(url), self._settings.outbound.private
            only = AllowList([f"{target.scheme}://{target.authority}"], private=private)
            self._ways[url] = Outbound(only, credentials=self._credentials)
        return self._ways[url]

    def webhook_secrets(self, url: str) -> tuple[str, ...]:
        """What a webhook is signed with; several while one replaces the other. Raises ConfigError."""
        key, references = self._references(url)
        if not references:
            fix = 'Set it to a reference to a secret like "whsec_…", for example env:WEBHOOK_SECRET.'
            raise ConfigError("webhooks are not sent unsigned", file=CONFIG_FILE, key=key, fix=fix)
        return tuple(self._secret(each, key) for each in references)

    def check_webhook(self, url: str) -> None:
        """Raises what a delivery to `url` would be refused for: InvalidRequest, Forbidden, ConfigError.

        Whether the secrets are there shows only where it is delivered.
        """
        target = parse(url)
        if self._subscribed(url) is None:
            AllowList(self._settings.outbound.allow).check(target)
        if not self._references(url)[1]:
            fix = "Set outbound.webhookSecret in config.json."
            raise Forbidden("no webhook can be sent: there is no secret to sign it with", fix=fix)

    def _subscribed(self, url: str) -> int | None:
        """Its place in `webhooks`; of several with one address the first that has a secret of its own."""
        found = [place for place, each in enumerate(self._settings.webhooks) if each.url == url]
        return next((place for place in found if self._settings.webhooks[place].secret), found[0] if found else None)

    def _references(self, url: str) -> tuple[str, tuple[str, ...]]:
        """The key in config.json, and what is written there."""
        place = self._subscribed(url)
        own = () if place is None else listed(self._settings.webhooks[place].secret)
        if own:
            return f"webhooks.{place}.secret", own
        return "outbound.webhookSecret", listed(self._settings.outbound.webhook_secret)

    def use(self, settings: Settings) -> None:
        """For the next act; what is under way ends as it began."""
        self._settings = settings
        self._ways.clear()
        self._mailers.clear()
        for made in ("outbound", "mailer"):
            self.__dict__.pop(made, None)

    def close(self) -> None:
        """Take no further mail."""
        if "mailer" in self.__dict__:
            self.mailer.close()
        for each in self._mailers.values():
            each.close()

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
