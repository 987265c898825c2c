"""What delivery status notifications say, as mail servers write them, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.email.bounce import Bounce, Undelivered
from chittycan.integrations.email.message import parse

ID = "<0123456789abcdef@meyer.example>"
RETURNED = f"Content-Type: message/rfc822\n\nFrom: us@x\nReferences: <old@x> <older@x>\nMessage-ID: {ID}\n\nHi.\n"
ODD = ("Action: failed", "Action:", "\0", "Status: ;;;", "Final-Recipient: ;")


def report(
    *blocks: str,
    returned: str | None = RETURNED,
    head: str = "",
) -> bytes:
    status = "\n\n".join(("Reporting-MTA: dns; mx.bell.example", *blocks))
    parts = ["Content-Type: text/plain\n\nIt could not be delivered.\n",
             f"Content-Type: message/delivery-status\n\n{status}\n", *([returned] if returned else [])]  # fmt: skip
    body = "".join(f"--b\n{part}" for part in parts)
    kind = "multipart/report; report-type=delivery-status; boundary=b"
    return f"From: mailer-daemon@bell.example\n{head}Content-Type: {kind}\n\n{body}--b--\n".encode()


FAILED = """Final-Recipient: rfc822; ann@bell.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann>
 is unknown"""


def test_whom_a_mail_did_not_reach_and_why() -> None:
    late = "Final-Recipient: rfc822; bob@bell.example\nAction: delayed\nStatus: 4.4.1"
    there = "Final-Recipient: rfc822; eve@bell.example\nAction: delivered\nStatus: 2.0.0"
    found = parse(report(FAILED, late, there)).bounce
    assert found == Bounce(ID, (Undelivered("ann@bell.example", "5.1.1", "550 5.1.1 <ann> is unknown"),))


def test_a_mail_that_is_only_late_did_not_come_back() -> None:
    assert parse(report("Final-Recipient: rfc822; bob@x.example\nAction: delayed\nStatus: 4.4.1")).bounce is None


def test_it_names_whom_we_wrote_to_not_where_that_led() -> None:
    block = FAILED + "\nOriginal-Recipient: rfc822; ann+2Boffice@bell.example"
    found = parse(report(block)).bounce
    assert found is not None
    assert found.failed[0].recipient == "ann+office@bell.example"


@pytest.mark.parametrize(
    ("returned", "head", "block"),
    [
        (f"Content-Type: text/rfc822-headers\n\nSubject: Hi\nMessage-ID: {ID}\nReferences: <old@x>\n", "", ""),
        (None, "", f"\nOriginal-Message-ID: {ID}"),
        (None, f"X: y\nIn-Reply-To: {ID}\nReferences: <old@x>\n", ""),
        (None, f"References: <old@x> {ID}\n", ""),
    ],
)
def test_which_mail_came_back(returned: str | None, head: str, block: str) -> None:
    found = parse(report(FAILED + block, returned=returned, head=head)).bounce
    assert found is not None
    assert found.message_id == ID


def test_what_names_no_mail_or_nobody_says_nothing() -> None:
    assert parse(report(FAILED, returned=None)).bounce is None
    assert parse(report()).bounce is None
    assert (
        parse(report(FAILED).replace(b"report-type=delivery-status", b"report-type=disposition-notification")).bounce
        is None
    )
    assert parse(report(FAILED).replace(b"multipart/report", b"multipart/mixed")).bounce is None
    assert parse(b"From: x@y\n\nhi\n").bounce is None


def test_it_is_bounded() -> None:
    blocks = [f"Final-Recipient: rfc822; a{number}@{'x' * 400}\nAction: failed\nStatus: 5.1.1 {'y' * 900}\n"
              f"Diagnostic-Code: smtp; {'z' * 900}" for number in range(90)]  # fmt: skip
    found = parse(report(*blocks)).bounce
    assert found is not None
    assert len(found.failed) <= 50
    assert max(len(each.recipient) for each in found.failed) <= 254
    assert max(len(each.reason) for each in found.failed) <= 200


@given(st.lists(st.sampled_from([FAILED, *ODD])), st.text(max_size=80))
def test_whatever_it_holds_it_is_read(blocks: list[str], returned: str) -> None:
    mail = parse(report(*blocks, returned=f"Content-Type: message/rfc822\n\nMessage-ID: {returned}\n"))
    assert mail.bounce is None or all(each.recipient == each.recipient.strip() for each in mail.bounce.failed)
