"""Files and mails that whoever starts a workstream names: `workstreams.inputs.Sources`, with the inbox behind it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chittycan.agents.kept import new_mail, restore
from chittycan.agents.pipeline import SYSTEM
from chittycan.clock import Clock
from chittycan.errors import InvalidRequest
from chittycan.integrations.email.message import Mail, parse
from chittycan.integrations.email.sources import open_source
from chittycan.store import drafts, inbox
from chittycan.store.database import Database
from chittycan.store.inbox import NewMail, StoredMail
from chittycan.workstreams.durations import seconds
from chittycan.workstreams.inputs import local_file, local_folder

MOST_MAILS = 200  # of the inbox in one workstream
UPLOADED = "file-"  # ids of uploaded files begin with it


class Given:
    """`base`: the folder that relative paths start from; None where whoever asks sits at another machine."""

    def __init__(self, database: Database, base: Path | None, clock: Clock = SYSTEM) -> None:
        self._database, self._base, self._clock = database, base, clock

    def file(self, named: str) -> dict[str, Any]:
        """A path, or the id of an uploaded file. Raises InvalidRequest."""
        if named.startswith(UPLOADED):
            return {"name": named, "id": named}
        return local_file(named, self._here(named))

    def folder(self, named: str) -> list[dict[str, Any]]:
        """Raises InvalidRequest."""
        return local_folder(named, self._here(named))

    async def mail(self, named: str) -> dict[str, Any]:
        """A mail by its id, or by the path of its file, which is put into the inbox.

        Raises NotFound, InvalidRequest.
        """
        new = await asyncio.to_thread(self._from_file, named)
        if new is None:
            return described(restore(await self._database.read(inbox.get, named)))
        stored, _ = await self._database.run(inbox.add, new, self._clock.now())
        return described(restore(stored))

    async def inbox(self, since: str) -> list[dict[str, Any]]:
        """What came in during the last `since`, without what needed no model. Raises InvalidRequest."""
        try:
            moment = self._clock.now() - seconds(since)
        except ValueError as error:
            raise InvalidRequest(str(error), param="inputs") from None
        found = await self._database.read(inbox.since, moment, limit=MOST_MAILS)
        return [await self._known(each) for each in found]

    async def _known(self, stored: StoredMail) -> dict[str, Any]:
        """With what was found out about it; of a privileged mail neither who wrote nor of what."""
        draft = await self._database.read(drafts.of_mail, stored.id)
        known = {"category": stored.category, "priority": stored.level, "draft": None if draft is None else draft.state}
        hidden = {"from": "", "name": "", "reply_to": "", "subject": "(privileged)", "message_id": None}
        return described(restore(stored)) | known | (hidden if stored.privacy is not None else {})

    def _from_file(self, named: str) -> NewMail | None:
        """The mail in a file; None where there is no such file. Raises InvalidRequest."""
        if self._base is None or not (path := self._base / Path(named).expanduser()).is_file():
            return None
        raw = next(iter(open_source(path)), None)
        if raw is None or raw.error is not None:
            what = "holds no mail" if raw is None else f"cannot be read: {raw.error}"
            raise InvalidRequest(f"{path} {what}", param="inputs", fix="Name the file of one mail.")
        return new_mail(raw, parse(raw.raw))

    def _here(self, named: str) -> Path:
        if self._base is None:
            fix = "Upload the file (POST /v1/files) and give its id, or use `can` on the server's own machine."
            raise InvalidRequest(f"{named[:80]!r} would be a path of the server", param="inputs", fix=fix)
        return self._base


def described(mail: Mail) -> dict[str, Any]:
    """What a recipe can refer to of a mail (`recipe.MAIL_FIELDS`); the last three are known of an inbox's alone."""
    answer_to = next((each for each in mail.reply_to if each.address), mail.sender)
    return {
        "id": mail.id,
        "from": mail.sender.address,
        "name": mail.sender.name,
        "reply_to": answer_to.address,
        "subject": mail.subject,
        "date": None if mail.date is None else datetime.fromtimestamp(mail.date, UTC).isoformat(),
        "message_id": mail.message_id,
        "category": None,
        "priority": None,
        "draft": None,
    }
