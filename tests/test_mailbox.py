"""Where mail comes from, as config.json says it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chittycan.config import settings_from
from chittycan.errors import ConfigError, NotFound, Unavailable, UsageError
from chittycan.mail_login import credential
from chittycan.mailbox import (
    accounts,
    auth_server,
    has_auth_server,
    in_sent,
    inbox_settings,
    keep_copy,
    named_account,
    of_account,
    open_mailbox,
    read_mail,
    terms,
)
from chittycan.testing.clock import FakeClock
from mail_servers import PASSWORD, Dovecot

Json = dict[str, Any]


def opened(folder: Path, config: Json, named: str | None = None) -> Path:
    return open_mailbox(settings_from(config, {}, folder), named).path


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """A folder with two Maildirs."""
    for name in ("in", "other"):
        (tmp_path / name / "cur").mkdir(parents=True)
    return tmp_path


def mailbox(path: str, kind: str = "maildir") -> Json:
    return {"type": kind, "path": path}


def test_a_named_mailbox_goes_before_the_configured_one(office: Path) -> None:
    assert opened(office, {"inbox": {"source": "in"}}, str(office / "other")) == office / "other"
    assert opened(office, {"inbox": {"source": "in"}}) == office / "in"


def test_an_integration_is_named_by_its_name(office: Path) -> None:
    config = {"integrations": {"letters": mailbox(str(office / "in")), "second": mailbox(str(office / "other"))}}
    assert opened(office, config, "second") == office / "other"
    assert opened(office, config | {"inbox": {"source": "letters"}}) == office / "in"


def test_the_only_integration_with_mail_needs_no_name(office: Path) -> None:
    config = {"integrations": {"letters": mailbox("in"), "code": {"type": "github", "repo": "o/r"}}}
    assert opened(office, config) == office / "in"


def test_among_several_one_must_be_named(office: Path) -> None:
    config = {"integrations": {"letters": mailbox("in"), "second": mailbox("other")}}
    with pytest.raises(UsageError, match="Several mailboxes") as caught:
        opened(office, config)
    assert "letters, second" in (caught.value.fix or "")


def test_an_integration_without_a_path_is_a_mistake_in_the_file(office: Path) -> None:
    with pytest.raises(ConfigError, match=r'integrations\.letters: "path" is missing'):
        opened(office, {"integrations": {"letters": {"type": "maildir"}}}, "letters")


def test_a_wrong_type_is_a_mistake_in_the_file(office: Path) -> None:
    with pytest.raises(ConfigError, match=r"inbox\.ownDomains"):
        inbox_settings(settings_from({"inbox": {"ownDomains": "meyer.example"}}, {}, office))


def test_the_owners_facts_reach_the_agents(office: Path) -> None:
    written = {
        "ownDomains": ["Meyer.example"], "criticalSenders": ["Clerk@court.example", "@Agency.example"],
        "authServer": "mx.meyer.example",
        "criticalRecipients": ["urgent@meyer.example"], "envelopeHeader": "X-Original-To", "signature": "Meyer",
    }  # fmt: skip
    found = terms(settings_from({"inbox": written}, {}, office), model="mine", limit=3)
    assert (found.model, found.limit, found.signature) == ("mine", 3, "Meyer")
    assert found.own_domains == {"meyer.example"}
    assert found.facts.critical_senders == {"clerk@court.example", "agency.example"}
    assert found.facts.critical_recipients == {"urgent@meyer.example"}
    assert (found.facts.envelope_header, found.facts.authserv) == ("X-Original-To", "mx.meyer.example")


def test_each_account_signs_for_itself_and_its_addresses_are_our_own(office: Path) -> None:
    smtp = {"host": "mail.meyer.example", "from": "Meyer <Office@meyer.example>"}
    anna = server(user="anna@meyer.example", signature="Anna Meyer", **{"from": "Anna <a.meyer@meyer.example>"})
    config = {"smtp": smtp, "inbox": {"signature": "Meyer & Okafor"}, "integrations": {"anna": anna}}
    found = terms(settings_from(config, {}, office))
    assert found.own_addresses == {"office@meyer.example", "anna@meyer.example", "a.meyer@meyer.example"}
    assert replace(found, account="anna").signed == "Anna Meyer"
    assert (found.signed, replace(found, account="other").signed) == ("Meyer & Okafor", "Meyer & Okafor")


# mail on servers


def server(**more: Any) -> Json:
    return {"type": "imap", "host": "mail.meyer.example", "user": "anna", "password": "env:MAIL", **more}


OAUTH = {"tokenUrl": "https://oauth2.example/token", "clientId": "client", "refreshToken": "env:REFRESH"}


def tokens(**more: Any) -> Json:
    account = server(oauth=OAUTH | more)
    del account["password"]
    return account


def on_servers(folder: Path, **integrations: Json) -> Any:
    return settings_from({"integrations": integrations}, {}, folder)


def test_an_account_on_a_server_is_read_with_sound_defaults(office: Path) -> None:
    settings = on_servers(office, plain=server(), own=server(watch=True, caFile="ca.pem", alarm=5, folders=["A", "A"]))
    found = accounts(settings)
    assert (found["plain"].security, found["plain"].folders, found["plain"].alarm) == ("tls", ("INBOX",), 900.0)
    assert (found["own"].ca_file, found["own"].folders, found["own"].alarm) == (str(office / "ca.pem"), ("A",), 300.0)
    assert list(accounts(settings, watched=True)) == ["own"]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        (server(password="opensesame"), r"office\.password"),
        (server(security="none"), r"office\.security"),
        (server(security="ssl"), r"office\.security"),
        (server(port=70_000), r"office\.port"),
        (server(poll=0), r"office\.poll"),
        ({"type": "imap", "host": "mail.meyer.example", "user": "anna"}, r"office\.password.*no way in"),
        (server(oauth=OAUTH), r"office\.password.*one of them counts"),
        (tokens(refreshToken="opensesame"), r"office\.oauth\.refreshToken"),
        (tokens(clientSecret="opensesame"), r"office\.oauth\.clientSecret"),
        (tokens(tokenUrl="http://oauth2.example/token"), r"office\.oauth\.tokenUrl.*in clear"),
        (tokens(tokenUrl="oauth2.example"), r"office\.oauth\.tokenUrl"),
        (server(allow=["delete"]), r"office\.allow"),
    ],
)
def test_what_is_wrong_with_an_account_is_said_without_its_password(office: Path, written: Json, place: str) -> None:
    with pytest.raises(ConfigError, match=place) as caught:
        accounts(on_servers(office, office=written))
    assert "opensesame" not in f"{caught.value} {caught.value.fix}"


async def test_a_password_is_looked_up_anew_for_each_login(office: Path) -> None:
    token = office / "token"
    settings = on_servers(office, office=server(password="file:token"))
    password = credential(settings, "office", {}, FakeClock())
    with pytest.raises(ConfigError, match=r"integrations\.office\.password"):
        await password.secret()
    for value in ("one", "two"):
        token.write_text(value)
        assert await password.secret() == value


def test_which_account_a_source_means(office: Path) -> None:
    alone = on_servers(office, office=server())
    assert (named_account(alone, None), named_account(alone, "office")) == ("office", "office")
    assert named_account(alone, str(office / "in")) is None
    two = on_servers(office, office=server(), letters=mailbox("in"))
    assert (named_account(two, None), named_account(two, "letters")) == (None, None)
    with pytest.raises(UsageError, match="Several mailboxes") as caught:
        open_mailbox(two)
    assert "letters, office" in (caught.value.fix or "")
    chosen = {"inbox": {"source": "office"}, "integrations": {"office": server(), "letters": mailbox("in")}}
    assert named_account(settings_from(chosen, {}, office), None) == "office"


async def test_a_mail_is_read_again_from_wherever_it_came(office: Path, dovecot_server: Dovecot) -> None:
    (office / "in" / "cur" / "1").write_bytes(b"Subject: on disk\r\n\r\n")
    dovecot_server.deliver("again", "1", b"Subject: on the server\r\nMessage-ID: <1@b>\r\n\r\n")
    account = server(host="127.0.0.1", port=dovecot_server.port, security="none", user="again")
    settings, env = on_servers(office, office=account), {"MAIL": PASSWORD}
    disk = await read_mail(settings, env, f"maildir:{office / 'in'}", "cur/1")
    there = await read_mail(settings, env, "imap:office", "INBOX;1;1", message_id="<1@b>")
    gone = await read_mail(settings, env, "imap:former", "INBOX;1;1")
    assert disk.raw.startswith(b"Subject: on disk")
    assert there.raw.startswith(b"Subject: on the server")
    assert "not set up" in (gone.error or "")
    with pytest.raises(Unavailable):
        await read_mail(settings, {"MAIL": "wrong"}, "imap:office", "INBOX;1;1")


async def test_copies_go_to_the_account_that_sent(office: Path, dovecot_server: Dovecot) -> None:
    account = server(host="127.0.0.1", port=dovecot_server.port, security="none", user="copies")
    settings, env = on_servers(office, office=account), {"MAIL": PASSWORD}
    raw = b"Message-ID: <sent@b>\r\n\r\nYes.\r\n"
    assert await in_sent(settings, env, "office", "<sent@b>") is False
    assert await keep_copy(settings, env, "office", raw)
    assert not await keep_copy(settings, env, "office", raw)
    assert await in_sent(settings, env, "office", "<sent@b>") is True
    assert await in_sent(settings, {"MAIL": "wrong"}, "office", "<sent@b>") is None
    assert await in_sent(settings, env, "former", "<sent@b>") is None
    with pytest.raises(NotFound, match="former"):
        await keep_copy(settings, env, "former", raw)


async def test_an_account_with_tokens_is_read(office: Path, dovecot_server: Dovecot) -> None:
    dovecot_server.tokens.users["grant"] = "tokens"
    dovecot_server.deliver("tokens", "1", b"Subject: by token\r\n\r\n")
    account = tokens(tokenUrl=f"{dovecot_server.tokens.url}/token", clientSecret="env:REFRESH") | {
        "host": "127.0.0.1", "port": dovecot_server.port, "security": "none", "user": "tokens"
    }  # fmt: skip
    settings = on_servers(office, office=account)
    assert accounts(settings)["office"].auth == "xoauth2"
    found = await read_mail(settings, {"REFRESH": "grant"}, "imap:office", "INBOX;1;1")
    assert found.error is not None  # there is such a folder, with another UIDVALIDITY
    with pytest.raises(ConfigError, match=r"oauth\.refreshToken"):
        await read_mail(settings, {}, "imap:office", "INBOX;1;1")


def test_an_account_names_its_own_server_for_who_wrote_a_mail(tmp_path: Path) -> None:
    written = {"gmail": mailbox("m") | {"authServer": "mx.google.com"}, "office": mailbox("o")}
    server = {"inbox": {"authServer": "mx.firm.example"}}
    both = settings_from(server | {"integrations": written}, {}, tmp_path)
    assert auth_server(both, "gmail") == "mx.google.com"
    assert [auth_server(both, name) for name in ("office", "/home/x", None)] == ["mx.firm.example"] * 3
    assert of_account(both, "gmail", terms(both)).facts.authserv == "mx.google.com"
    one = settings_from({"integrations": written}, {}, tmp_path)
    assert has_auth_server(one)
    assert auth_server(one, "office") is None
    assert not has_auth_server(settings_from({"integrations": {"office": mailbox("o")}}, {}, tmp_path))
