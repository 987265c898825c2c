"""HTML as a person sees it: the text that shows, and whether the source held text that does not.

A model that reads a mail or page must not read more than its recipient would see. The scanner follows the
tokenizer of the WHATWG HTML standard (§13.2.5) as far as text needs it; every step moves forward in the
source, so the time is linear whatever the input. What hides an element is in `css.py`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from itertools import islice

from msgspec import Struct

from chittycan.integrations.documents.characters import visible_characters
from chittycan.integrations.documents.colours import Paint, painted
from chittycan.integrations.documents.css import StyleSheet, cascade, declarations, font_is_gone, hides, names

MAX_SOURCE = 4_000_000  # characters; the rest is not read
MAX_PIECES = 300_000  # tags and texts between them; the rest is not read. 4 MB of a real page have a tenth


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VOID = _words("area base br col embed hr img input link meta param source track wbr")
_RAW = _words("script style title textarea xmp iframe noembed noframes")
_NEVER_SHOWN = _words("script style title iframe noembed noframes template datalist rp")
_INSTEAD = _words("audio video canvas")  # what is in them shows where a program knows no such thing: nowhere
_FORMATTING = _words("a b big code em font i nobr s small strike strong tt u")
_BLOCKS = _words(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr html legend li main menu nav ol p pre section summary table tbody tfoot thead tr ul "
    "caption textarea xmp option"
)
_PARAGRAPHS = _words("blockquote dl h1 h2 h3 h4 h5 h6 hr ol p pre table ul")
# An end tag does not reach past these (the standard's "has an element in scope").
_WALLS = _words("html table td th caption template object button marquee")
_LISTS = _words("ul ol dl")
_TABLE_PARTS = _words("table caption tbody thead tfoot tr td th")
# A start tag that ends an element left open before it.
_ENDS = {
    "li": ("li",),
    "dt": ("dt", "dd"),
    "dd": ("dt", "dd"),
    "option": ("option",),
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("td", "th", "tr"),
    "tbody": ("td", "th", "tr", "tbody", "thead", "tfoot"),
    "tfoot": ("td", "th", "tr", "tbody", "thead"),
}

_TAG_NAME = re.compile(r"[A-Za-z][^\s/>]*")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)))?""")
_COMMENT_END = re.compile("--!?>")
_OPEN_QUOTE = re.compile(r"""\s*=\s*["']""")
_SPACE = re.compile(r"[ \t\n\r\f\v\xa0]+")
_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")


def visible_text(html: str) -> tuple[str, bool]:
    """The text of `html` that shows, as plain lines, and whether text was hidden in it.

    Paragraphs are parted by a blank line, list items begin with "- ", table cells are parted by " | ".
    Never raises; reads as much as `is_long` allows.
    """
    styles = StyleSheet()
    if "<style" in html[:MAX_SOURCE].lower():  # what stands at the end of a page holds at its beginning too
        for kind, value, attributes in islice(_tokens(html[:MAX_SOURCE]), MAX_PIECES):
            if kind == "style" and "(" not in attributes.get("media", ""):
                styles.add(value)
    page = _Page(styles)
    for kind, value, attributes in islice(_tokens(html[:MAX_SOURCE]), MAX_PIECES):
        if kind == "text":
            page.text(value)
        elif kind == "open":
            page.open(value, attributes)
        elif kind == "close":
            page.close(value)
        else:
            page.raw(kind, value, attributes)
    return page.finish()


def is_long(html: str) -> bool:
    """Whether this is more than `visible_text` reads."""
    return len(html) > MAX_SOURCE or html.count("<") * 2 > MAX_PIECES


def title(html: str) -> str | None:
    """The page's own title, on one line."""
    found = re.search(r"<title[^<>]*>([^<]{1,2000})", html[:100_000], re.IGNORECASE)
    if found is None:
        return None
    shown, _ = visible_characters(_decode(found.group(1)))
    return " ".join(shown.split()) or None


def _decode(text: str) -> str:
    # Python refuses to convert very long numbers, so that they are settled before `unescape` sees them.
    return unescape(_LONG_REFERENCE.sub("\ufffd", text)) if "&" in text else text


def _tokens(source: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """("text", text, {}), ("open", tag, attributes), ("close", tag, {}), or (tag, content, attributes) of raw text."""
    at, size = 0, len(source)
    while at < size:
        start = source.find("<", at)
        if start < 0:
            yield "text", _decode(source[at:]), {}
            return
        if start > at:
            yield "text", _decode(source[at:start]), {}
        follows = source[start + 1 : start + 2]
        if follows in ("!", "?") and follows:
            at = _skip_markup(source, start)
        elif follows == "/":
            name = _TAG_NAME.match(source, start + 2)
            if name:
                yield "close", name.group().lower(), {}
            at = _after(source, ">", start + 2)
        elif name := _TAG_NAME.match(source, start + 1):
            tag = name.group().lower()
            attributes, at = _attributes(source, name.end())
            if at > size:
                return  # the source ended inside the tag: nothing of it shows
            if tag in _RAW:
                end = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE).search(source, at)
                yield tag, source[at : end.start() if end else size], attributes
                at = _after(source, ">", end.end()) if end else size
            else:
                yield "open", tag, attributes
        else:
            yield "text", "<", {}
            at = start + 1


def _skip_markup(source: str, start: int) -> int:
    if source.startswith("<!--", start):
        if source.startswith(("<!-->", "<!--->"), start):
            return source.find(">", start) + 1
        end = _COMMENT_END.search(source, start + 4)
        return end.end() if end else len(source)
    return _after(source, ">", start)


def _after(source: str, mark: str, start: int) -> int:
    found = source.find(mark, start)
    return len(source) if found < 0 else found + len(mark)


def _attributes(source: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes from `at`, and where the tag ends; past the source's end when it never does."""
    found: dict[str, str] = {}
    while match := _ATTRIBUTE.match(source, at):
        name, at = match.group(1).lower(), match.end()
        quoted = next((group for group in match.groups()[1:] if group is not None), None)
        if quoted is None and _OPEN_QUOTE.match(source, at):
            return found, len(source) + 1
        found.setdefault(name, _decode(quoted or ""))
    end = source.find(">", at)
    return found, end + 1 if end >= 0 else len(source) + 1


class _Element(Struct):
    tag: str
    hidden: bool  # this element or one around it does not show
    gone: bool  # the font has no size here; an inner element may give it one again
    own: bool  # this very element hides
    paint: Paint = Paint()
    names: frozenset[str] = frozenset()  # that selectors may call it by


class _Page:
    """The open elements, and the text so far."""

    def __init__(self, styles: StyleSheet) -> None:
        self._open: list[_Element] = []
        # How often each tag is open since the last wall: answers "is one in scope" without a search.
        self._scopes: list[tuple[str, Counter[str]]] = [("html", Counter())]
        self._styles = styles
        self._outermost = _Element("", False, False, False, Paint(ground=None) if styles.more_grounds else Paint())
        self._around: Counter[str] = Counter()  # how often each name is open
        self._out: list[str] = []
        self._breaks = 2  # line breaks at the end of the output; at the start of a page none is needed
        self._space = False
        self._hidden_text = False
        self._preformatted = 0

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _PARAGRAPHS or tag in _BLOCKS:
            self._close_in_scope(("p",))
        self._close_in_scope(_ENDS.get(tag, ()))
        around = self._open[-1] if self._open else self._outermost
        element = self._element(tag, attributes, around)
        if not element.hidden:
            self._layout(tag, opening=True)
        if tag in _VOID:
            return
        self._push(element)
        if tag == "pre":
            self._preformatted += 1

    def close(self, tag: str) -> None:
        if tag == "br":
            self._layout("br", opening=True)
        elif self._reaches(tag):
            self._pop_to(tag)

    def raw(self, tag: str, content: str, attributes: dict[str, str]) -> None:
        if tag not in _NEVER_SHOWN:
            self.open(tag, attributes)
            self.text(_decode(content) if tag == "textarea" else content)
            self.close(tag)

    def text(self, text: str) -> None:
        current = self._open[-1] if self._open else None
        text, suspicious = visible_characters(text)
        if current is not None and (current.hidden or current.gone or current.paint.hides):
            if current.tag not in _NEVER_SHOWN and any(char.isalnum() for char in text):
                self._hidden_text = True
            return
        self._hidden_text = self._hidden_text or suspicious
        if self._preformatted:
            self._write(text.replace("\xa0", " "))
            return
        words = _SPACE.sub(" ", text)
        if words[:1] == " ":
            self._space = True
        if words.strip():
            self._write(words.strip())
            self._space = words[-1:] == " "

    def finish(self) -> tuple[str, bool]:
        lines = [line.rstrip(" |\t") for line in "".join(self._out).split("\n")]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
        return text, self._hidden_text or self._styles.exhausted

    def _element(self, tag: str, attributes: dict[str, str], around: _Element) -> _Element:
        style = self._styles.of(tag, attributes, self._around)
        if style or "style" in attributes:
            style = cascade(style, declarations(attributes.get("style", "")))
        own = (
            tag in _NEVER_SHOWN
            or tag in _INSTEAD
            or "hidden" in attributes
            or "popover" in attributes
            or attributes.get("aria-hidden", "").strip().lower() == "true"
            or (tag == "dialog" and "open" not in attributes)
            or hides(style)
        )
        gone = font_is_gone(style, around.gone)
        paint = painted(tag, attributes, style, around.paint)
        called = frozenset() if self._styles.empty else frozenset(names(tag, attributes))
        return _Element(tag, around.hidden or own, gone, own, paint, called)

    def _push(self, element: _Element) -> None:
        self._open.append(element)
        self._scopes[-1][1][element.tag] += 1
        self._around.update(element.names)
        if element.tag in _WALLS or element.tag in _LISTS:
            self._scopes.append((element.tag, Counter()))

    def _pop(self) -> _Element:
        element = self._open.pop()
        if element.tag in _WALLS or element.tag in _LISTS:
            self._scopes.pop()
        self._scopes[-1][1][element.tag] -= 1
        self._around.subtract(element.names)
        if element.tag == "pre":
            self._preformatted -= 1
        if not element.hidden:
            self._layout(element.tag, opening=False)
        return element

    def _reaches(self, tag: str) -> bool:
        """Whether an element of this tag is open and no wall stands before it."""
        for wall, counts in reversed(self._scopes[-16:]):
            if counts[tag] > 0:
                return True
            if wall in _WALLS and tag not in _TABLE_PARTS:
                return False
        return False

    def _pop_to(self, tag: str) -> None:
        hiding: _Element | None = None
        while (element := self._pop()).tag != tag:
            # The standard reopens formatting elements (<b>, <font>…) that a block's end tag closed.
            if element.own and element.tag in _FORMATTING:
                hiding = element
        if hiding is not None:
            self._push(_Element(hiding.tag, True, hiding.gone, True, hiding.paint))

    def _close_in_scope(self, tags: tuple[str, ...]) -> None:
        for tag in tags:
            if self._scopes[-1][1][tag] > 0 or (tag in ("td", "th", "tr") and self._cell_open(tag)):
                self._pop_to(tag)

    def _cell_open(self, tag: str) -> bool:
        # A cell is itself a wall: the new cell stands right behind it, in the scope of the same table.
        wall, _ = self._scopes[-1]
        if wall in ("td", "th") and len(self._scopes) > 1:
            return self._scopes[-2][1][tag] > 0
        return False

    def _layout(self, tag: str, *, opening: bool) -> None:
        if tag in _PARAGRAPHS:
            self._break(2)
        elif tag in _BLOCKS or tag == "br":
            self._break(1, forced=tag == "br")
        if opening and tag == "li":
            self._write("- ")
            self._space = False
        elif opening and tag in ("td", "th") and self._breaks == 0:
            self._out.append(" | ")
            self._space = False

    def _break(self, count: int, *, forced: bool = False) -> None:
        missing = 1 if forced and self._breaks < 2 else count - self._breaks
        if missing > 0:
            self._out.append("\n" * missing)
            self._breaks += missing
        self._space = False

    def _write(self, text: str) -> None:
        if self._space and self._breaks == 0 and self._out and not self._out[-1].endswith((" ", "\n")):
            self._out.append(" ")
        self._out.append(text)
        self._space = False
        if text:
            self._breaks = 0
