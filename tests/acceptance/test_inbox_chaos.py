"""Mail all the way, from the mailbox to the answer that went out, under each kind of trouble; few of them.

`python -m bench.inbox_chaos` does the same with a thousand of each.
"""

import os
from pathlib import Path

import pytest
from bench.inbox_chaos import BETWEEN, KINDS, Chaos, Kind

from mail_servers import Dovecot

pytest.importorskip("dbos", reason="durable work needs the extra `workstreams`")

MAILS = int(os.environ.get("CHITTY_CHAOS_MAILS", "12"))


@pytest.mark.parametrize("kind", KINDS)
async def test_no_mail_is_lost_and_none_is_worked_on_or_sent_twice(
    kind: Kind, dovecot_server: Dovecot, tmp_path: Path
) -> None:
    found = await Chaos(kind, MAILS, 7, dovecot_server, tmp_path, with_copies=False).run()
    assert found.wrong == []
    assert (found.done, found.drafts, found.sent + found.unknown) == (MAILS, MAILS, MAILS)
    assert found.strokes > 0 or kind not in BETWEEN
    if kind not in ("kill", "smtp"):
        assert found.unknown == 0
