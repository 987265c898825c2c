"""Where mail comes from and how it is handled: the sections `inbox` and `integrations` of config.json.

{"inbox": {"source": "~/Maildir", "signature": "Meyer & Okafor LLP", "ownDomains": ["meyer.example"]},
 "integrations": {"office": {"type": "maildir", "path": "/var/mail/office"}}}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from chittycan.agents import templates
from chittycan.agents.pipeline import Terms
from chittycan.agents.priority import Facts
from chittycan.config import CONFIG_FILE, Finding, Settings
from chittycan.config.parsing import Reader, join
from chittycan.errors import UsageError
from chittycan.integrations.email.sources import Source, open_source

KINDS = ("mailbox", "maildir", "mbox", "folder", "eml")  # `type` of an integration that is mail on this machine


class InboxSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """`inbox` of config.json. `source` is a path or the name of an integration.

    The critical lists, the envelope's header and the name under which the own server writes
    Authentication-Results are the facts of `agents.priority.Facts`: only they make a mail CRITICAL.
    """

    source: str | None = None
    template: str | None = None
    signature: str = ""
    own_domains: tuple[str, ...] = ()
    critical_recipients: tuple[str, ...] = ()
    critical_senders: tuple[str, ...] = ()
    envelope_header: str = "delivered-to"
    auth_server: str | None = None


def inbox_settings(settings: Settings) -> tuple[InboxSettings, list[Finding]]:
    """How the owner wants mail handled, and what is odd in it. Raises ConfigError on a wrong type."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    return reader.read(dict(settings.inbox), InboxSettings, "inbox"), reader.findings


def mailboxes(settings: Settings) -> dict[str, str]:
    """The integrations that are mail on this machine, and their paths. Raises ConfigError where one has no path."""
    reader = Reader(str(settings.folder / CONFIG_FILE))
    found = {}
    for name, written in settings.integrations.items():
        if isinstance(written, Mapping) and written.get("type") in KINDS:
            found[name] = reader.read(written.get("path"), str, join(join("integrations", name), "path"))
    return found


def open_mailbox(settings: Settings, named: str | None = None) -> Source:
    """The mailbox `named` (a path or an integration), else `inbox.source`, else the only integration.

    Raises UsageError where none is named anywhere, NotFound where there is none at that place.
    """
    known = mailboxes(settings)
    if named:
        return open_source(known[named] if named in known and not Path(named).expanduser().exists() else named)
    written = inbox_settings(settings)[0].source
    if written is None and len(known) == 1:
        written = next(iter(known))
    if written is None:
        choice = f"--source with one of: {', '.join(known)}." if known else "--source ~/Maildir"
        file = settings.folder / CONFIG_FILE
        raise UsageError(
            "No mailbox is named." if not known else "Several mailboxes are set up, and none is named.",
            fix=f'{choice}; or for good: "inbox": {{"source": "~/Maildir"}} in {file}',
        )
    # What stands in the file means the same from whatever folder the command is called.
    return open_source(settings.folder / Path(known.get(written, written)).expanduser())


def terms(settings: Settings, *, template: str | None = None, **given: Any) -> Terms:
    """How the inbox is to be processed: what the owner set, and what is `given` for this run (fields of `Terms`).

    Raises NotFound for an unknown template.
    """
    own, _ = inbox_settings(settings)
    facts = Facts(
        critical_recipients=_lower(own.critical_recipients),
        critical_senders=_lower(own.critical_senders),
        envelope_header=own.envelope_header,
        authserv=own.auth_server,
    )
    chosen = templates.get(template or own.template or templates.STANDARD).name
    return Terms(template=chosen, signature=own.signature, facts=facts, own_domains=_lower(own.own_domains), **given)


def _lower(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in words if word.strip())
