"""A second set of labelled office mail, which nobody who works on the sorting of mail may look at.

The mails are data/office_unseen.jsonl, one a line: to a law firm, an accountant, a doctor's practice, a trades business
and a software company, in seven languages, written as people write. They were labelled from the names of the
categories alone, by somebody who had seen neither the rules nor their words. What is measured with them is reported;
a rule or a word that was made from them would make them worthless.

A line has `from`, `subject`, `text` or `html`, and where the mail has them `attachments` (file names) and `headers`.
Its labels are `language`, `audience`, `category`, `priority`, `needs_reply`, and `also`: a second category that is
right as well.
"""

import json
import mimetypes
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from chittycan.integrations.email.message import Mail, parse

MAILS = Path(__file__).parent / "data" / "office_unseen.jsonl"

TO = {
    "law": "office@meyer.example",
    "accountant": "rita@solano-accounts.example",
    "doctor": "practice@elmgrovesurgery.example",
    "trades": "jobs@plankbuild.example",
    "software": "hello@ourcompany.example",
}


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in MAILS.read_text().splitlines()]


def mails() -> list[tuple[dict[str, Any], Mail]]:
    """(labels, mail), in the order of the file."""
    return [(row, parse(_written(row, number).as_bytes())) for number, row in enumerate(rows())]


def _written(row: dict[str, Any], number: int) -> EmailMessage:
    mail = EmailMessage()
    name, _, address = row["from"].rpartition("<")
    mail["From"] = Address(name.strip(' "'), addr_spec=address.rstrip(">"))
    mail["To"], mail["Subject"] = TO[row["audience"]], row["subject"]
    mail["Message-ID"] = f"<unseen-{number}@bench.example>"
    for header, value in row.get("headers", {}).items():
        mail[header] = value
    if "html" in row:
        mail.set_content(row["html"], subtype="html")
    else:
        mail.set_content(row["text"])
    for file in row.get("attachments", ()):
        kind, _, subtype = (mimetypes.guess_type(file)[0] or "application/octet-stream").partition("/")
        mail.add_attachment(f"Stands for {file}.".encode(), maintype=kind, subtype=subtype, filename=file)
    return mail
