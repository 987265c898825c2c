"""What kind of work a request is, and how hard: told from its words and its shape, by signals that anyone can count.

Images make it `vision`, and more tokens than most windows hold make it `long`. Otherwise each word of the table gives
points to a kind, once, and so does what looks like code or a formula. The kind with the most points wins where it has
`ENOUGH` and no other has as many; else there is no kind. Words count in the first and the last `MARGIN` characters
only, where people say what they want: what lies between is what they want it done to.

The difficulty is a rough rule, no better than its like elsewhere: it says which tier to begin with, not who is able.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Literal

from msgspec import Struct

Difficulty = Literal["simple", "medium", "complex"]
TIERS: tuple[Difficulty, ...] = ("simple", "medium", "complex")

CODE, WRITING, MATHS, EXTRACTION = "code", "writing", "maths", "extraction"
TRANSLATION, SUMMARY, VISION, LONG = "translation", "summary", "vision", "long"
KINDS = (CODE, WRITING, MATHS, EXTRACTION, TRANSLATION, SUMMARY, VISION, LONG)

ENOUGH = 4  # points that a kind needs
MARGIN = 400  # characters at either end whose words count
LOOKED_AT = 4_000  # characters that are searched for code and formulas
LONG_TOKENS = 100_000
LONG_PROMPT, VERY_LONG_PROMPT = 400, 2_500  # characters
DONE_TO_A_TEXT = frozenset({TRANSLATION, SUMMARY, EXTRACTION})  # the text's length does not make it hard


Signal = tuple[str, int, str]  # a kind, the points that it gets, and what gives them


class Work(Struct, frozen=True):
    """What a request is. Few ask why, so that it is only then put into words."""

    kind: str | None
    difficulty: Difficulty
    signals: tuple[Signal, ...] = ()  # of any kind
    reason: str = ""  # where it is no signals

    @property
    def why(self) -> str:
        """The signals of `kind`; it quotes no more than words of the table."""
        return self.reason or ", ".join(signal for kind, _, signal in self.signals if kind == self.kind)


def _points(**words: str) -> dict[str, int]:
    return {word: int(points[1:]) for points, text in words.items() for word in text.split()}


_TABLE: Mapping[str, Mapping[str, int]] = {
    CODE: _points(
        _3="python javascript typescript golang sql regex traceback stacktrace refactor pytest dockerfile segfault "
        "postgres numpy pandas django webpack linter css html",
        _2="code compile compiler debug function array def bash java rust kubernetes docker boolean struct unittest "
        "codebase async mutex",
        _1="bug script class api algorithm variable string loop endpoint json return exception import program sorted "
        "list tuple dictionary test tests stack commit branch merge method repository element elements given",
    ),
    MATHS: _points(
        _3="equation integral derivative theorem polynomial eigenvalue cosine logarithm",
        _2="calculate prove probability matrix triangle radius perimeter circumference fraction divided multiplied "
        "remainder integer integers angle percent modulo factorial hypotenuse",
        _1="solve compute sum product percentage total ratio average per twice half times prime square root degrees "
        "equal value each cost costs number numbers digits remaining left altogether factor multiple expression mean "
        "divide multiply subtract add cents probability ways",
    ),
    WRITING: _points(
        _4="proofread paraphrase",
        _3="essay poem haiku sonnet limerick tweet slogan rewrite rephrase reword copywriting screenplay",
        _2="write draft story blog letter email speech lyrics headline caption grammar newsletter toast eulogy novel "
        "compose announcement",
        _1="article paragraph tone style persuasive friendly formal song post short dialogue wording audience title "
        "polite catchy creative",
    ),
    EXTRACTION: _points(
        _3="extract",
        _2="parse entities fields",
        _1="json csv table dates names amounts addresses invoice following text document values every",
    ),
    TRANSLATION: _points(
        _4="translate übersetze übersetzen traduis traduire traduce",
        _3="translation",
        _1="english german french spanish italian portuguese dutch polish russian ukrainian turkish arabic hebrew "
        "hindi chinese japanese korean swedish danish norwegian finnish greek czech into",
    ),
    SUMMARY: _points(
        _4="summarize summarise tldr zusammenfassen",
        _3="summary condense",
        _2="abstract gist",
        _1="points key main short shorter bullet bullets sentences takeaways following article meeting",
    ),
}  # fmt: skip

_PHRASES: Mapping[str, tuple[str, int]] = {
    "list all": (EXTRACTION, 2), "pull out": (EXTRACTION, 2), "from the following": (EXTRACTION, 2),
    "as json": (EXTRACTION, 1), "how many": (MATHS, 2), "how much": (MATHS, 2), "write a function": (CODE, 3),
    "write a program": (CODE, 3), "write a script": (CODE, 3), "unit test": (CODE, 3), "c++": (CODE, 3),
    "c#": (CODE, 3), "stack trace": (CODE, 3), "pull request": (CODE, 3), "tl;dr": (SUMMARY, 4),
    "key points": (SUMMARY, 2), "main points": (SUMMARY, 2), "cover letter": (WRITING, 2), "blog post": (WRITING, 1),
}  # fmt: skip

# What looks like code, or like a formula: looked for in more of the text than words are. By a text that all of them
# hold, which is looked for first.
_CODE_SIGNS = {
    "`": ("```", "```"), ";": ("();", "};"), "{": ("() {", "){"), ">": ("=> ", "->"), "<": ("</",), "&": ("&&",),
    "#": ("#include", "#!/"), ".": ("console.", "self.", ".py", ".js", ".ts"), "def ": ("def ",),
    "import ": ("import ",), "SELECT ": ("SELECT ",), "return ": ("return ",), "const ": ("const ",),
}  # fmt: skip
_FORMULA_SIGNS = {
    "\\": ("\\frac", "\\sqrt", "\\int", "\\sum", "\\cdot", "\\[", "\\(", "\\begin{"), "^": ("^{", "^2"),
    "_": ("_{",), "√": ("√",), "π": ("π",), "∫": ("∫",),
}  # fmt: skip
_SUM = re.compile(r"\d ?[+*×÷^=] ?\d|\d [-/x] \d|\b[a-z] ?[=^] ?[\d(]")
_SUM_SIGNS = ("+", "*", "×", "÷", "^", "=", " - ", " / ", " x ")  # no sum is without one of them
_SPACED = str.maketrans(dict.fromkeys("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", " "))

# Words of work that takes thought, whatever it is about.
_HARD = frozenset(_points(
    _1="prove derive design architect architecture analyse analyze analysis evaluate compare optimise optimize "
    "refactor debug strategy tradeoffs implications comprehensive critique reconcile diagnose justify rigorous "
    "constraints investigate plan argue counterexample algorithm complexity deadlock concurrency legal contract"
))  # fmt: skip
_SIGNALS: Mapping[str, tuple[Signal, ...]] = {
    word: tuple((kind, words[word], word) for kind, words in _TABLE.items() if word in words)
    for word in {word for words in _TABLE.values() for word in words}
}
_WORDS = frozenset(_SIGNALS)
_PHRASES_OF: Mapping[str, tuple[str, ...]] = {
    first: tuple(phrase for phrase in _PHRASES if phrase.translate(_SPACED).split()[0] == first)
    for first in {phrase.translate(_SPACED).split()[0] for phrase in _PHRASES}
}
_FIRST_WORDS = frozenset(_PHRASES_OF)


def work_of(
    text: str,
    *,
    images: bool = False,
    tokens: int = 0,
    schema: bool = False,
    tools: bool = False,
    kind: str | None = None,
) -> Work:
    """`text` is what the user asked last, `tokens` the whole input's. A `kind` that the caller gave is kept."""
    said = text if len(text) <= 2 * MARGIN else f"{text[:MARGIN]}\n{text[-MARGIN:]}"
    said = said.lower()
    words = set(said.translate(_SPACED).split())
    signals: tuple[Signal, ...] = ()
    reason = "given"
    if images and kind is None:
        kind, reason = VISION, "it shows an image"
    elif tokens >= LONG_TOKENS and kind is None:
        kind, reason = LONG, f"about {tokens} tokens"
    elif kind is None:
        signals = (*_signals(text, said, words), *(((EXTRACTION, 1, "a schema"),) if schema else ()))
        kind, reason = _clearest(signals)
    return Work(kind, _difficulty(len(text), words, kind, tools), signals, reason)


def _clearest(signals: Iterable[Signal]) -> tuple[str | None, str]:
    """The kind with the most points, or None and why."""
    points: dict[str, int] = {}
    for kind, share, _ in signals:
        points[kind] = points.get(kind, 0) + share
    if not points:
        return None, "no signal of any kind"
    most = max(points.values())
    best = [kind for kind, count in points.items() if count == most]
    return (None, "no kind is clear") if most < ENOUGH or len(best) > 1 else (best[0], "")


def _signals(text: str, said: str, words: set[str]) -> list[Signal]:
    found = [*chain.from_iterable(map(_SIGNALS.__getitem__, sorted(words & _WORDS)))]
    for first in sorted(words & _FIRST_WORDS):
        found += [(*_PHRASES[phrase], phrase) for phrase in _PHRASES_OF[first] if phrase in said]
    looked_at = text if len(text) <= LOOKED_AT else text[: LOOKED_AT // 2] + text[-LOOKED_AT // 2 :]
    code = _count(_CODE_SIGNS, looked_at)
    if code:
        found.append((CODE, min(2 * code, 6), "what looks like code"))
    numbers = sum(map(str.isdigit, words))
    if _count(_FORMULA_SIGNS, looked_at):
        found.append((MATHS, 3, "a formula"))
    elif numbers and any(sign in said for sign in _SUM_SIGNS) and _SUM.search(said):
        found.append((MATHS, 3, "a sum"))
    if numbers > 1:
        found.append((MATHS, 2 if numbers > 2 else 1, f"{numbers} numbers"))
    return found


def _count(signs: Mapping[str, Iterable[str]], text: str) -> int:
    count = 0
    for mark in signs:
        if mark in text:
            count += sum(map(text.__contains__, signs[mark]))
    return count


def _difficulty(length: int, words: Iterable[str], kind: str | None, tools: bool) -> Difficulty:
    """A point each for: a long prompt, a very long one, code or maths, tools; one or two for words of hard work."""
    parts = frozenset((kind or "").split("."))
    points = min(len(_HARD.intersection(words)), 2) + bool(parts & {CODE, MATHS}) + tools
    if not parts & DONE_TO_A_TEXT:
        points += (length > LONG_PROMPT) + (length > VERY_LONG_PROMPT)
    return "simple" if points == 0 else "medium" if points < 3 else "complex"
