"""How an account on a mail server is logged in to: `password` or `oauth` of its integration in config.json.

{"password": "env:OFFICE_MAIL"}, or
{"oauth": {"tokenUrl": "https://oauth2.example/token", "clientId": "…", "refreshToken": "env:OFFICE_REFRESH"}}
"""

from collections.abc import Mapping

from msgspec import Struct

from chittycan.clock import Clock
from chittycan.config import CONFIG_FILE, Missing, Settings, is_reference, resolve_secret
from chittycan.config.parsing import Reader, join
from chittycan.config.settings import OAuthSettings
from chittycan.errors import ConfigError, InvalidRequest
from chittycan.integrations.email.credentials import Credential, Grant, Newer, OAuth, Password
from chittycan.integrations.email.imap import on_this_machine
from chittycan.integrations.outbound import Outbound
from chittycan.integrations.targets import AllowList, Target, parse


class LoginSettings(Struct, frozen=True, kw_only=True):
    """One of the two. `password`: also of a token that others renew, with `"auth": "xoauth2"`."""

    password: str | None = None
    oauth: OAuthSettings | None = None


def check(settings: Settings, place: str, login: LoginSettings) -> None:
    """`place` is the key of what `login` belongs to, such as `integrations.office`.

    Raises ConfigError for a secret in the file, a way in that is missing or not safe.
    """
    if (login.password is None) == (login.oauth is None):
        problem = "no way in is named" if login.oauth is None else "there is a password and oauth: one of them counts"
        fix = 'Write "password": "env:NAME", or "oauth": {"tokenUrl": …, "clientId": …, "refreshToken": "env:NAME"}.'
        raise ConfigError(problem, file=CONFIG_FILE, key=f"{place}.password", fix=fix)
    secrets = {"password": login.password}
    if login.oauth is not None:
        secrets = {"oauth.refreshToken": login.oauth.refresh_token, "oauth.clientSecret": login.oauth.client_secret}
        _target(place, login.oauth.token_url)
    for key, written in secrets.items():
        if written is not None and not is_reference(written):
            what = "a password" if key == "password" else "a secret"
            fix = f'"{key.rpartition(".")[2]}": "env:NAME" or "file:PATH" (a path in {settings.folder}, or a whole one)'
            problem = f"{what} does not belong into this file"
            raise ConfigError(problem, file=CONFIG_FILE, key=f"{place}.{key}", fix=fix)


def credential(
    settings: Settings, name: str, env: Mapping[str, str], clock: Clock, newer: Newer | None = None
) -> Credential:
    """For the account `name`; as `credential_of`."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    written = settings.integrations[name]
    known = {key: written[key] for key in ("password", "oauth") if key in written}
    place = join("integrations", name)
    return credential_of(settings, place, reader.read(known, LoginSettings, place), env, clock, newer)


def credential_of(
    settings: Settings,
    place: str,
    login: LoginSettings,
    env: Mapping[str, str],
    clock: Clock,
    newer: Newer | None = None,
) -> Credential:
    """What it gives is looked up for each login, and raises ConfigError where it is missing. Raises as `check`.

    `newer`: where refresh tokens are kept that replaced configured ones; without it only this object knows them.
    """
    check(settings, place, login)

    def secret(key: str, written: str) -> str:
        found = resolve_secret(written, env, settings.folder)
        if isinstance(found, Missing):
            fix = "Set what it refers to, or correct it."
            raise ConfigError(str(found), file=CONFIG_FILE, key=f"{place}.{key}", fix=fix)
        return found.value

    oauth = login.oauth
    if oauth is None:
        return Password(lambda: secret("password", login.password or ""))

    def grant() -> Grant:
        return Grant(
            token_url=oauth.token_url,
            client_id=secret("oauth.clientId", oauth.client_id),
            refresh_token=secret("oauth.refreshToken", oauth.refresh_token),
            client_secret=secret("oauth.clientSecret", oauth.client_secret) if oauth.client_secret else None,
            scope=oauth.scope,
        )

    target = _target(place, oauth.token_url)
    only = AllowList([f"{target.scheme}://{target.authority}"], private=settings.outbound.private)
    return OAuth(place, grant, Outbound(only), clock, newer)


def _target(place: str, url: str) -> Target:
    """Raises ConfigError where a refresh token would cross a network in clear."""
    key = f"{place}.oauth.tokenUrl"
    try:
        target = parse(url)
    except InvalidRequest as error:
        raise ConfigError(error.message, file=CONFIG_FILE, key=key, fix=error.fix) from None
    if target.scheme != "https" and not on_this_machine(target.host):
        raise ConfigError("secrets would cross the network in clear", file=CONFIG_FILE, key=key, fix="Use https.")
    return target
