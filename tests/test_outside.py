"""The ways out as config.json describes them."""

from pathlib import Path
from typing import Any

import pytest

from chittycan.config import settings_from
from chittycan.errors import ConfigError, Forbidden
from chittycan.outside import Outside
from peers import HttpPeer
from token_server import TokenServer

SMTP = {"host": "mail.example.com", "from": "office@example.com", "user": "office", "password": "env:MAIL_PASSWORD"}


def outside(tmp_path: Path, env: dict[str, str] | None = None, **config: Any) -> Outside:
    return Outside(settings_from(config, {}, tmp_path), env or {})


async def test_the_owners_headers_are_looked_up_when_they_are_sent(tmp_path: Path, http_peer: HttpPeer) -> None:
    peer = await http_peer()
    host, env = f"127.0.0.1:{peer.port}", {"HOOK": "Bearer s3cret"}
    settings = {"allow": [host], "headers": {host: {"authorization": "env:HOOK", "x-office": "7"}}}
    ways = outside(tmp_path, env, outbound=settings)
    await ways.outbound.send("POST", peer.url)
    assert b"\r\nauthorization: Bearer s3cret\r\nx-office: 7\r\n" in peer.requests[0]
    del env["HOOK"]
    with pytest.raises(ConfigError, match="HOOK is not set") as caught:
        await ways.outbound.send("POST", peer.url)
    assert caught.value.key == f"outbound.headers.{host}.authorization"
    assert len(peer.requests) == 1


async def test_nothing_is_open_by_itself(tmp_path: Path, http_peer: HttpPeer) -> None:
    peer, ways = await http_peer(), outside(tmp_path)
    with pytest.raises(Forbidden):
        await ways.outbound.send("POST", peer.url)
    with pytest.raises(ConfigError, match="no mail server"):
        _ = ways.mailer
    with pytest.raises(ConfigError, match="not sent unsigned"):
        ways.webhook_secrets("https://a.example.com")


def test_a_broken_entry_stops_only_who_needs_it(tmp_path: Path) -> None:
    ways = outside(tmp_path, outbound={"allow": ["https://a/b"], "webhookSecret": "whsec_x"})
    assert ways.webhook_secrets("https://a.example.com") == ("whsec_x",)
    with pytest.raises(ConfigError) as caught:
        _ = ways.outbound
    assert caught.value.key == "outbound.allow.0"


def test_the_mail_server_is_as_written(tmp_path: Path) -> None:
    server = outside(
        tmp_path, {"MAIL_PASSWORD": "s3cret"}, smtp={**SMTP, "security": "tls", "allow": ["a.org"]}
    ).mailer.server
    assert (server.host, server.security, server.password, server.allow) == (
        "mail.example.com",
        "tls",
        "s3cret",
        ("a.org",),
    )


def test_a_missing_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MAIL_PASSWORD") as caught:
        _ = outside(tmp_path, smtp=SMTP).mailer
    assert caught.value.key == "smtp.password"


def test_two_secrets_sign_while_one_replaces_the_other(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("whsec_old\n")
    ways = outside(tmp_path, {"NEW": "whsec_new"}, outbound={"webhookSecret": ["env:NEW", "file:old"]})
    assert ways.webhook_secrets("https://a.example.com") == ("whsec_new", "whsec_old")


async def test_another_configuration_holds_for_the_next_act(tmp_path: Path, http_peer: HttpPeer) -> None:
    peer, ways = await http_peer(), outside(tmp_path)
    with pytest.raises(Forbidden):
        await ways.outbound.send("POST", peer.url)
    ways.use(settings_from({"outbound": {"allow": [f"127.0.0.1:{peer.port}"]}, "smtp": SMTP}, {}, tmp_path))
    await ways.outbound.send("POST", peer.url)
    assert len(peer.requests) == 1


async def test_a_subscribed_webhook_is_reached_and_no_other_address_of_its_host_by_steps(
    tmp_path: Path, http_peer: HttpPeer
) -> None:
    peer = await http_peer()
    ways = outside(tmp_path, webhooks=[{"url": peer.url}], outbound={"webhookSecret": "whsec_x"})
    await ways.toward(peer.url).send("POST", peer.url)
    for url in (peer.url, f"{peer.url}/more"):
        with pytest.raises(Forbidden):
            await ways.outbound.send("POST", url)
    with pytest.raises(Forbidden):
        await ways.toward(f"{peer.url}/more").send("POST", f"{peer.url}/more")
    with pytest.raises(Forbidden):
        await ways.toward(peer.url).send("POST", "https://elsewhere.example")
    ways.use(settings_from({}, {}, tmp_path))
    with pytest.raises(Forbidden):
        await ways.toward(peer.url).send("POST", peer.url)
    assert len(peer.requests) == 1


def test_each_webhook_may_have_a_secret_of_its_own(tmp_path: Path) -> None:
    hooks = [{"url": "https://a.example"}, {"url": "https://b.example", "secret": ["whsec_b", "env:B"]}]
    ways = outside(tmp_path, {"B": "whsec_c"}, webhooks=hooks, outbound={"webhookSecret": "whsec_x"})
    assert ways.webhook_secrets("https://a.example") == ("whsec_x",)
    assert ways.webhook_secrets("https://b.example") == ("whsec_b", "whsec_c")
    with pytest.raises(ConfigError, match="B is not set") as caught:
        outside(tmp_path, {}, webhooks=hooks).webhook_secrets("https://b.example")
    assert caught.value.key == "webhooks.1.secret"


def test_what_can_be_told_is_known_beforehand(tmp_path: Path) -> None:
    ways = outside(
        tmp_path, outbound={"allow": ["a.example"]}, webhooks=[{"url": "https://b.example", "secret": "env:B"}]
    )
    ways.check_webhook("https://b.example")  # whose secret only the worker may have
    with pytest.raises(Forbidden, match="no secret"):
        ways.check_webhook("https://a.example")
    with pytest.raises(Forbidden, match="not on the list"):
        ways.check_webhook("https://c.example")


# a server that is shown tokens

OAUTH = {"tokenUrl": "http://127.0.0.1:1/token", "clientId": "c", "refreshToken": "env:REFRESH"}
GMAIL = {"type": "imap", "host": "imap.gmail.com", "user": "anna@firm.example", "oauth": OAUTH}


def gmail(**smtp: Any) -> dict[str, Any]:
    return {"gmail": GMAIL | {"smtp": {"host": "smtp.gmail.com", "from": "Anna <a@firm.example>"} | smtp}}


async def test_an_account_sends_with_the_login_that_it_reads_with(tmp_path: Path) -> None:
    tokens = TokenServer()
    tokens.users["r1"] = "anna@firm.example"
    url = {"oauth": OAUTH | {"tokenUrl": f"{tokens.url}/token"}}
    written = gmail(auth="xoauth2")
    mailer = outside(tmp_path, {"REFRESH": "r1"}, integrations={"gmail": written["gmail"] | url}).mailer_of("gmail")
    assert (mailer.server.user, mailer.server.password) == ("anna@firm.example", None)
    assert mailer.token is not None
    assert await mailer.token.secret() == "token-1"
    general = {"host": "smtp.gmail.com", "from": "Office <office@firm.example>", **url}
    mailer = outside(tmp_path, {"REFRESH": "r1"}, smtp=general).mailer
    assert mailer.server.user == "office@firm.example"
    assert mailer.token is not None
    assert await mailer.token.secret() == "token-2"
    tokens.close()


async def test_a_token_that_others_renew_is_looked_up_for_each_mail(tmp_path: Path) -> None:
    env = {"TOKEN": "old"}
    token = outside(tmp_path, env, integrations=gmail(auth="xoauth2", password="env:TOKEN")).mailer_of("gmail").token
    assert token is not None
    assert await token.secret() == "old"
    env["TOKEN"] = "new"
    assert await token.secret() == "new"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"smtp": {"host": "h", "from": "a@b.example", "auth": "xoauth2"}}, "smtp.password"),
        ({"smtp": {"host": "h", "from": "a@b.example", "auth": "xoauth2", "password": "token"}}, "smtp.password"),
        ({"smtp": {"host": "h", "from": "a@b.example", "password": "env:X", "oauth": OAUTH}}, "smtp.password"),
        (
            {"smtp": {"host": "h", "from": "a@b.example", "oauth": OAUTH | {"refreshToken": "r"}}},
            "smtp.oauth.refreshToken",
        ),
    ],
)
def test_a_way_in_that_is_missing_double_or_not_safe_is_named(tmp_path: Path, config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        outside(tmp_path, **config).mailer  # noqa: B018
    assert caught.value.key == key


def test_without_a_word_on_tokens_an_accounts_server_is_not_logged_in_to(tmp_path: Path) -> None:
    mailer = outside(tmp_path, integrations=gmail()).mailer_of("gmail")
    assert (mailer.token, mailer.server.user) == (None, None)
