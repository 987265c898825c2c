"""Invitations without any other text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.integrations.email.calendar import shown
from chittycan.integrations.email.message import parse

EVENT = """BEGIN:VCALENDAR\r
METHOD:REQUEST\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
BEGIN:STANDARD\r
DTSTART:19701025T030000\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
DTSTART;TZID=Europe/Berlin:20261127T100000\r
DTEND;TZID=Europe/Berlin:20261127T113000\r
SUMMARY:Meeting about the\r
  lease\\, part 2\r
LOCATION:Room 3\r
ORGANIZER;CN=Cal:mailto:cal@bell.example\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Another one\r
END:VEVENT\r
END:VCALENDAR\r
"""
SAID = """Calendar: REQUEST
What: Meeting about the lease, part 2
From: 2026-11-27 10:00 Europe/Berlin
Until: 2026-11-27 11:30 Europe/Berlin
Where: Room 3
By: cal@bell.example"""


def test_the_first_event_is_shown() -> None:
    assert shown(EVENT) == SAID


@pytest.mark.parametrize(
    ("written", "read"),
    [("20261127", "2026-11-27"), ("20261127T100000Z", "2026-11-27 10:00 UTC"), ("tomorrow", "tomorrow")],
)
def test_times(written: str, read: str) -> None:
    assert shown(f"BEGIN:VEVENT\nDTSTART:{written}\nEND:VEVENT") == f"From: {read}"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            'DTSTART;TZID="(UTC+01:00) Amsterdam, Berlin":20261201T100000',
            "From: 2026-12-01 10:00 (UTC+01:00) Amsterdam, Berlin",
        ),
        ('ORGANIZER;CN="Bell: Ann":mailto:ann@bell.example', "By: ann@bell.example"),
        ("DTEND;VALUE=DATE:20261203", "Until: 2026-12-02"),  # the first day on which it is over (RFC 5545, 3.6.1)
        ("STATUS:CANCELLED", "Status: CANCELLED"),
        ("DURATION:PT1H30M", "Lasts: 1H30M"),
        ("RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=5", "Repeats: weekly on TU,TH, 5 times"),
        ("RRULE:FREQ=MONTHLY;INTERVAL=2;UNTIL=20270630T220000Z", "Repeats: monthly, each 2nd time, until 2027-06-30"),
        ("RRULE:FREQ=SOMETIMES", "Repeats: sometimes"),
    ],
)
def test_what_an_event_says(event: str, line: str) -> None:
    assert shown(f"BEGIN:VEVENT\n{event}\nEND:VEVENT") == line


def test_a_day_is_not_shown_as_two() -> None:
    event = "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261201\nDTEND;VALUE=DATE:20261202\nEND:VEVENT"
    assert shown(event) == "From: 2026-12-01"


@given(
    st.text(),
    st.lists(
        st.sampled_from(
            [*EVENT.splitlines(), "DTSTART", "DTSTART:", "SUMMARY:\\", ";:", "RRULE:=;", 'DTEND;"', "DTEND:00010101"]
        )
    ),
)
def test_any_text_will_do(text: str, lines: list[str]) -> None:
    shown(text)
    shown("\n".join(lines))


def test_an_invitation_alone_is_the_text_of_its_mail() -> None:
    head = "From: cal@bell.example\nSubject: Lease meeting\n"
    assert parse(f"{head}Content-Type: text/calendar; method=REQUEST\n\n{EVENT}".encode()).text == SAID


def test_beside_a_text_it_is_an_attachment() -> None:
    part = f"--b\nContent-Type: text/calendar; method=REQUEST; name=invite.ics\n\n{EVENT}"
    head = "From: cal@bell.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nYou are invited.\n"
    read = parse(f"{head}{part}--b--\n".encode())
    assert read.text == "You are invited."
    assert [each.name for each in read.attachments] == ["invite.ics"]
