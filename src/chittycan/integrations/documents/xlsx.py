"""Excel files (ECMA-376 part 1, §18): the cells that show, row by row, with their numbers, dates and saved results.

Each sheet is a heading and its rows: `7: Rent | 1200 | 2026-01-01`, the row's number first, so that "row 7" can be
found again. What a formula came to is read as it was saved; the formula is not.
"""

import posixpath
import re
import zipfile
from datetime import datetime, timedelta
from xml.parsers import expat

from msgspec import Struct

from chittycan.integrations.documents.archive import Handler, Links, RefusedError, opened, parse, title, unpacked
from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.document import Document, Section

MAX_SHEETS = 256
MAX_CELLS = 1_000_000  # over all sheets
MAX_COLUMN = 16_384  # of Excel itself
MAX_CELL = 32_767  # characters, of Excel itself
MAX_ROW = 1_000_000  # characters
ROWS_TOGETHER = 20  # that one reference names
GAP = 8  # empty cells in a row that are still shown as such

_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))  # built-in formats (§18.8.30)
_PERCENT = frozenset((9, 10))
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]hms]*\]')  # parts of a format code that are no codes
_CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def read(data: bytes, max_chars: int) -> Document:
    """The workbook's visible sheets. A file that is broken or a trap has a defect."""
    return opened("xlsx", data, lambda archive: _read(archive, max_chars))


class _Sheet(Struct):
    name: str
    part: str
    hidden: bool


def _read(archive: zipfile.ZipFile, max_chars: int) -> Document:
    book = _Book()
    if "xl/workbook.xml" not in archive.namelist():
        raise RefusedError("the file holds no Excel workbook")
    parse(unpacked(archive, "xl/workbook.xml"), book)
    sheets = _sheets(archive, book)
    strings, styles = _Strings(), _Styles()
    for name, handler in (("xl/sharedStrings.xml", strings), ("xl/styles.xml", styles)):
        if name in archive.namelist():
            parse(unpacked(archive, name), handler)
    shown, left_out = [each for each in sheets if not each.hidden], [each for each in sheets if each.hidden]
    lines = _Lines(max_chars)
    defects: list[str] = []
    hidden, cells, unsaved = bool(left_out), MAX_CELLS, 0
    for each in shown[:MAX_SHEETS]:
        grid = _Grid(strings.values, styles, book.since, lines, each.name, cells)
        lines.begin(each.name)
        try:
            parse(unpacked(archive, each.part), grid)
        except (KeyError, expat.ExpatError):
            defects.append(f"the sheet {each.name} is damaged")
        cells, hidden, unsaved = grid.room, hidden or grid.hidden, unsaved + grid.unsaved
        if lines.full or cells <= 0:
            break
    if left_out:
        names = ", ".join(each.name for each in left_out[:5])
        defects.append(f"{len(left_out)} hidden sheet{'s' * (len(left_out) > 1)} left out: {names}")
    if unsaved:
        defects.append(f"{unsaved} formula{'s' * (unsaved > 1)} without a saved result")
    if not lines.sections:
        defects.append("the sheets hold nothing")
    return Document(
        kind="xlsx",
        text=lines.text() if lines.sections else "",
        title=title(archive),
        pages=len(shown) or None,
        truncated=lines.full or cells <= 0 or len(shown) > MAX_SHEETS,
        defects=tuple(defects),
        hidden_text=hidden or lines.suspicious,
        sections=tuple(lines.sections),
    )


def _sheets(archive: zipfile.ZipFile, book: "_Book") -> list[_Sheet]:
    """In the order of the workbook. Raises RefusedError where it names parts that are not there."""
    links = Links()
    names = set(archive.namelist())
    if "xl/_rels/workbook.xml.rels" in names:
        parse(unpacked(archive, "xl/_rels/workbook.xml.rels"), links)
    sheets = []
    for name, link, hidden in book.sheets:
        target = links.targets.get(link, "")
        part = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
        if part in names:
            sheets.append(_Sheet(" ".join(visible_characters(name)[0].split())[:100], part, hidden))
    if not sheets:
        raise RefusedError("the file holds no sheets")
    return sheets


class _Book(Handler):
    """Names of the sheets, where they are, and from when days are counted."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.since = datetime(1899, 12, 30)  # day 60 of Excel's calendar, 29 February 1900, never was

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "sheet":
            link = next((value for key, value in attributes.items() if key.endswith(" id")), "")
            self.sheets.append((attributes.get("name", ""), link, attributes.get("state", "visible") != "visible"))
        elif tag == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            self.since = datetime(1904, 1, 1)


class _Strings(Handler):
    """The shared strings, of which cells name the number. Phonetic readings are left out."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._parts: list[str] = []
        self._in_text, self._phonetic = False, False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "si":
            self._parts = []
        elif tag == "rPh":
            self._phonetic = True
        elif tag == "t":
            self._in_text = not self._phonetic

    def end(self, name: str) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "si":
            self.values.append("".join(self._parts)[:MAX_CELL])
        elif tag == "rPh":
            self._phonetic = False
        elif tag == "t":
            self._in_text = False

    def characters(self, text: str) -> None:
        if self._in_text:
            self._parts.append(text)


class _Styles(Handler):
    """Which styles of cells show numbers as dates or shares."""

    def __init__(self) -> None:
        self._dates, self._shares = set(_DATES), set(_PERCENT)
        self._inside = False
        self.dates: set[int] = set()  # numbers of cell styles
        self.shares: set[int] = set()
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "numFmt":
            number, code = _whole(attributes.get("numFmtId")), attributes.get("formatCode", "").lower()
            bare = _QUOTED.sub("", code)
            if "general" not in bare and re.search("[ymdhs]", bare):
                self._dates.add(number)
            elif "%" in bare:
                self._shares.add(number)
        elif tag == "cellXfs":
            self._inside = True
        elif tag == "xf" and self._inside:
            number = _whole(attributes.get("numFmtId"))
            if number in self._dates:
                self.dates.add(self._count)
            elif number in self._shares:
                self.shares.add(self._count)
            self._count += 1

    def end(self, name: str) -> None:
        if name.endswith(" cellXfs"):
            self._inside = False


class _Lines:
    """The text as it grows, up to `room` characters, and what stands where."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._out: list[str] = []
        self._at = 0
        self._heading = ""
        self.sections: list[Section] = []
        self.suspicious = False  # characters that do not show hid something

    @property
    def full(self) -> bool:
        return self._at >= self._room

    def text(self) -> str:
        return "".join(self._out)[: self._room].rstrip()

    def begin(self, sheet: str) -> None:
        self._heading = f"# {sheet}\n"

    def row(self, sheet: str, number: int, cells: str) -> None:
        if self._heading:
            self._add(f"\n{self._heading}" if self._at else self._heading)
        first = (number - 1) // ROWS_TOGETHER * ROWS_TOGETHER + 1
        ref = f"sheet {sheet}, rows {first}–{first + ROWS_TOGETHER - 1}"
        if not self.full and (self._heading or not self.sections or self.sections[-1].ref != ref):
            self.sections.append(Section(ref, self._at))
        self._heading = ""
        shown, suspicious = visible_characters(cells)
        self.suspicious = self.suspicious or suspicious
        self._add(f"{number}: {shown}\n")

    def _add(self, text: str) -> None:
        if not self.full:
            self._out.append(text)
            self._at += len(text)


class _Grid(Handler):
    """One sheet. `room`: how many more cells are read; `hidden` where rows or columns were left out."""

    def __init__(
        self, strings: list[str], styles: _Styles, since: datetime, lines: _Lines, name: str, room: int
    ) -> None:
        self._strings, self._styles, self._since = strings, styles, since
        self._lines, self._name, self.room = lines, name, room
        self.hidden = False
        self._hidden_columns = bytearray(MAX_COLUMN + 1)  # 1 for each that is hidden
        self._row, self._row_hidden = 0, False
        self._cells: list[tuple[int, str]] = []
        self._held = 0  # characters of the row
        self._column, self._type, self._style = 0, "n", 0
        self._value: list[str] = []
        self._reading, self._formula = False, False
        self.unsaved = 0  # formulas whose result was not saved

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if tag == "c":
            place = _CELL.fullmatch(attributes.get("r", ""))
            self._column = _column(place[1]) if place else self._column + 1
            self._type, self._style = attributes.get("t", "n"), _whole(attributes.get("s"))
            self._value, self._formula = [], False
        elif tag == "f":
            self._formula = True
        elif tag == "row":
            self._row = _whole(attributes.get("r")) or self._row + 1
            self._row_hidden = attributes.get("hidden") in ("1", "true")
            self._cells, self._column, self._held = [], 0, 0
        elif tag in ("v", "t"):
            self._reading = True
        elif tag == "rPh":
            self._reading = False
        elif tag == "col" and attributes.get("hidden") in ("1", "true"):
            first, last = _whole(attributes.get("min")), min(_whole(attributes.get("max")), MAX_COLUMN)
            self._hidden_columns[first : last + 1] = b"\x01" * max(0, last + 1 - first)

    def characters(self, text: str) -> None:
        if self._reading:
            self._value.append(text)

    def end(self, name: str) -> None:
        tag = name.rpartition(" ")[2]
        if tag in ("v", "t"):
            self._reading = False
        elif tag == "c" and self.room > 0:
            self.room -= 1
            shown = self._shown("".join(self._value)[:MAX_CELL]) if self._held < MAX_ROW else ""
            if shown and 0 < self._column <= MAX_COLUMN:
                self._cells.append((self._column, shown))
                self._held += len(shown)
            elif self._formula and not self._value:
                self.unsaved += 1
        elif tag == "row":
            self._end_row()

    def _end_row(self) -> None:
        seen = [each for each in self._cells if not self._hidden_columns[each[0]]]
        if self._row_hidden or len(seen) < len(self._cells):
            self.hidden = self.hidden or bool(self._cells)
        if self._row_hidden or not seen:
            return
        parts, column = [], 0
        for place, shown in seen:
            parts += [""] * min(place - column - 1, GAP)
            parts.append(shown)
            column = place
        self._lines.row(self._name, self._row, " | ".join(parts).rstrip())

    def _shown(self, value: str) -> str:
        if self._type == "s":
            number = _whole(value)
            value = self._strings[number] if 0 <= number < len(self._strings) else ""
        elif self._type == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        elif self._type == "n" and value:
            return self._number(value)
        return " ".join(value.split())

    def _number(self, value: str) -> str:
        try:
            number = float(value)
            if self._style in self._styles.dates:
                return _moment(self._since, number)
        except (ValueError, OverflowError):
            return value
        if self._style in self._styles.shares:
            return f"{number * 100:.10g}%"
        return f"{number:.15g}"


def _moment(since: datetime, days: float) -> str:
    """A date, a time of day, or both. Raises OverflowError."""
    if days < 61 and since.year == 1899:
        since += timedelta(days=1) if days >= 1 else timedelta()
    moment = since + timedelta(seconds=round(days * 86_400))
    if 0 <= days < 1:
        return f"{moment:%H:%M:%S}".removesuffix(":00")
    return f"{moment:%Y-%m-%d}" if moment.time().isoformat() == "00:00:00" else f"{moment:%Y-%m-%d %H:%M}"


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isascii() and text.strip().isdecimal() else 0
