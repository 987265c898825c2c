"""What an invitation says (iCalendar, RFC 5545), where a mail has no other text. Any text will do; nothing raises."""

import re

MOST_LINES = 2_000
_FOLDED = re.compile(r"\r?\n[ \t]")
_ESCAPED = re.compile(r"\\([nN,;\\])")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\dZ?)?$")
_SAID = {
    "METHOD": "Calendar", "SUMMARY": "What", "DTSTART": "From", "DTEND": "Until", "LOCATION": "Where",
    "ORGANIZER": "By", "DESCRIPTION": "About",
}  # fmt: skip


def shown(source: str) -> str:
    """One line for each thing that the first event says: `What: Meeting about the lease`."""
    found: dict[str, str] = {}
    inside = ""
    for line in _FOLDED.sub("", source).splitlines()[:MOST_LINES]:
        head, _, value = line.partition(":")
        name, _, parameters = head.upper().partition(";")
        if name == "BEGIN":
            inside = value.strip().upper()
        elif name == "END" and value.strip().upper() == "VEVENT":
            break
        elif name in _SAID and value.strip() and inside in ("VCALENDAR", "VEVENT"):
            found.setdefault(name, _readable(name, value.strip(), parameters))
    return "\n".join(f"{word}: {found[name]}" for name, word in _SAID.items() if name in found)


def _readable(name: str, value: str, parameters: str) -> str:
    if name.startswith("DT"):
        moment = _TIME.match(value)
        if moment is None:
            return value
        year, month, day, hour, minute = moment.groups()
        zone = "UTC" if value.endswith("Z") else next(iter(re.findall(r"TZID=\"?([^;\"]+)", parameters)), "").title()
        return f"{year}-{month}-{day}" + (f" {hour}:{minute} {zone}".rstrip() if hour else "")
    if name == "ORGANIZER":
        return re.sub(r"^mailto:", "", value, flags=re.IGNORECASE)
    return _ESCAPED.sub(lambda each: "\n" if each[1] in "nN" else each[1], value)
