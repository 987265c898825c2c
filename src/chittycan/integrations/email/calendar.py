"""What an invitation says (iCalendar, RFC 5545), where a mail has no other text. Any text will do; nothing raises."""

import re
from datetime import date, timedelta

MOST_LINES = 2_000
_LINE = re.compile(r"([^:;\"]*)((?:;(?:[^:\"]|\"[^\"]*\")*)?):(.*)")  # name, parameters, value
_FOLDED = re.compile(r"\r?\n[ \t]")
_ESCAPED = re.compile(r"\\([nN,;\\])")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\dZ?)?$")
_SAID = {
    "METHOD": "Calendar", "STATUS": "Status", "SUMMARY": "What", "DTSTART": "From", "DTEND": "Until",
    "DURATION": "Lasts", "RRULE": "Repeats", "LOCATION": "Where", "ORGANIZER": "By", "DESCRIPTION": "About",
}  # fmt: skip


def shown(source: str) -> str:
    """One line for each thing that the first event says: `What: Meeting about the lease`."""
    found: dict[str, str] = {}
    inside = ""
    for line in _FOLDED.sub("", source).splitlines()[:MOST_LINES]:
        parts = _LINE.fullmatch(line)
        if parts is None:
            continue
        name, parameters, value = parts[1].upper(), parts[2], parts[3]
        if name == "BEGIN":
            inside = value.strip().upper()
        elif name == "END" and value.strip().upper() == "VEVENT":
            break
        elif name in _SAID and value.strip() and inside in ("VCALENDAR", "VEVENT"):
            found.setdefault(name, _readable(name, value.strip(), parameters))
    if found.get("DTEND") == found.get("DTSTART"):
        found.pop("DTEND", None)
    return "\n".join(f"{word}: {found[name]}" for name, word in _SAID.items() if name in found)


def _readable(name: str, value: str, parameters: str) -> str:
    if name.startswith("DT"):
        moment = _TIME.match(value)
        if moment is None:
            return value
        year, month, day, hour, minute = moment.groups()
        if not hour:
            return _last_day(int(year), int(month), int(day)) if name == "DTEND" else f"{year}-{month}-{day}"
        zone = next(iter(re.findall(r"TZID=(?:\"([^\"]+)\"|([^;\"]+))", parameters, re.IGNORECASE)), ("", ""))
        return f"{year}-{month}-{day} {hour}:{minute} {'UTC' if value.endswith('Z') else zone[0] or zone[1]}".rstrip()
    if name == "ORGANIZER":
        return re.sub(r"^mailto:", "", value, flags=re.IGNORECASE)
    if name == "DURATION":
        return value.removeprefix("P").removeprefix("T").replace("T", " ")
    if name == "RRULE":
        return _repeats(value)
    return _ESCAPED.sub(lambda each: "\n" if each[1] in "nN" else each[1], value)


def _last_day(year: int, month: int, day: int) -> str:
    """Of days without a time the end is the first that is free again (RFC 5545, 3.6.1)."""
    try:
        return str(date(year, month, day) - timedelta(days=1))
    except (ValueError, OverflowError):
        return f"{year:04}-{month:02}-{day:02}"


def _repeats(rule: str) -> str:
    said = dict(part.partition("=")[::2] for part in rule.upper().split(";"))
    text = said.get("FREQ", "").lower() + (f" on {said['BYDAY']}" if said.get("BYDAY") else "")
    every = said.get("INTERVAL", "1")
    if every != "1":
        text += f", each {every}{ {'2': 'nd', '3': 'rd'}.get(every, 'th') } time"
    if "COUNT" in said:
        text += f", {said['COUNT']} times"
    until = _TIME.match(said.get("UNTIL", ""))
    return text + (f", until {until[1]}-{until[2]}-{until[3]}" if until else "")
