"""Sets of labelled office mail, which nobody who worked on the sorting of mail had looked at: `third` still so.

`unseen` is data/office_unseen.jsonl, one mail a line: to a law firm, an accountant, a doctor's practice, a trades
business and a software company, in seven languages, written as people write. They were labelled from the names of the
categories alone. `third` is data/office_third.jsonl: to a school, a hotel and a housing association besides, in eight
languages, labelled from the categories' one line of meaning; of what is hard it has more than an office would get:
fraud, security, authorities, mail of three words, sarcasm, "urgent" that is not and haste that is not said. Its
`priority` is never CRITICAL, which only the owner's settings make. Both are by somebody who had seen neither the rules
nor their words. What is measured with `third` is reported; a rule or a word that was made from it would make it
worthless. `unseen` was reported first, and then looked at to make the rules better.

A line has `from`, `subject`, `text` or `html`, and where the mail has them `date`, `attachments` (file names) and
`headers`. Its labels are `language`, `audience`, `category`, `priority`, `needs_reply`, and `also`: a second category
that is right as well.
"""

import json
import mimetypes
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from chittycan.integrations.email.message import Mail, parse

SETS = ("unseen", "third")

TO = {
    "law": "office@meyer.example",
    "accountant": "rita@solano-accounts.example",
    "doctor": "practice@elmgrovesurgery.example",
    "trades": "jobs@plankbuild.example",
    "software": "hello@ourcompany.example",
    "school": "office@oakhill-school.example",
    "hotel": "stay@harbourrest.example",
    "housing": "team@beechcroft-homes.example",
}


def rows(which: str) -> list[dict[str, Any]]:
    file = Path(__file__).parent / "data" / f"office_{which}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def mails(which: str) -> list[tuple[dict[str, Any], Mail]]:
    """(labels, mail), in the order of the file."""
    return [(row, parse(_written(row, f"{which}-{number}").as_bytes())) for number, row in enumerate(rows(which))]


def _written(row: dict[str, Any], key: str) -> EmailMessage:
    mail = EmailMessage()
    name, _, address = row["from"].rpartition("<")
    mail["From"] = Address(name.strip(' "'), addr_spec=address.rstrip(">"))
    mail["To"], mail["Subject"] = TO[row["audience"]], row["subject"]
    mail["Message-ID"] = f"<{key}@bench.example>"
    if "date" in row:
        mail["Date"] = row["date"]
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
