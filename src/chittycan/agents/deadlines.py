"""The day by which a mail wants something, as it is written there, and how many days off that is."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from chittycan.integrations.email.message import Mail

READ = 4000  # characters of the text that are looked at
NEAR = 10  # days

_MONTHS = {
    1: "january januar janvier enero gennaio januari jan janeiro stycznia",
    2: "february februar fevrier febrero febbraio februari feb fevereiro lutego",
    3: "march marz mars marzo maart mar mrz marco marca",
    4: "april avril abril aprile apr kwietnia",
    5: "may mai mayo maggio mei maio maja",
    6: "june juni juin junio giugno jun junho czerwca",
    7: "july juli juillet julio luglio jul julho lipca",
    8: "august aout agosto augustus aug sierpnia",
    9: "september septembre septiembre settembre sept sep setembro wrzesnia",
    10: "october oktober octobre octubre ottobre oct okt outubro pazdziernika",
    11: "november novembre noviembre nov novembro listopada",
    12: "december dezember decembre diciembre dicembre dec dez dezembro grudnia",
}
_MONTH = {name: number for number, names in _MONTHS.items() for name in names.split()}
_WEEKDAYS = (
    "monday montag lundi lunes lunedi maandag segunda-feira poniedzialku",
    "tuesday dienstag mardi martes martedi dinsdag terca-feira wtorku",
    "wednesday mittwoch mercredi miercoles mercoledi woensdag quarta-feira srody",
    "thursday donnerstag jeudi jueves giovedi donderdag quinta-feira czwartku",
    "friday freitag vendredi viernes venerdi vrijdag sexta-feira piatku",
    "saturday samstag samedi sabado sabato zaterdag soboty",
    "sunday sonntag dimanche domingo domenica zondag niedzieli",
)
_WEEKDAY = {name: number for number, names in enumerate(_WEEKDAYS) for name in names.split()}
_SOON = {
    "today": 0, "heute": 0, "aujourd'hui": 0, "hoy": 0, "oggi": 0, "vandaag": 0, "tonight": 0,
    "hoje": 0, "dzisiaj": 0, "dzis": 0,
    "tomorrow": 1, "morgen": 1, "demain": 1, "manana": 1, "domani": 1, "amanha": 1, "jutra": 1,
}  # fmt: skip
_NUMBERS = {
    1: "one a an einem einer ein un une uno una een um uma jednego",
    2: "two zwei deux dos due twee dois duas dwoch",
    3: "three drei trois tres tre drie trzech",
    4: "four vier quatre cuatro quattro quatro czterech",
    5: "five funf cinq cinco cinque vijf pieciu",
    6: "six sechs seis sei zes seis szesciu",
    7: "seven sieben sept siete sette zeven sete siedmiu",
    8: "eight acht huit ocho otto oito osmiu",
    10: "ten zehn dix diez dieci tien dez dziesieciu",
    14: "fourteen vierzehn quatorze quattordici veertien catorze czternastu",
    15: "fifteen quinze quince quindici quinze pietnastu",
    20: "twenty zwanzig vingt veinte venti twintig vinte dwudziestu",
    28: "twenty-eight",
    30: "thirty trente treinta trenta dertig trinta trzydziestu",
}
_NUMBER = {name: number for number, names in _NUMBERS.items() for name in names.split()}
_UNITS = {
    1 / 24: "hour hours stunde stunden heure heures hora horas ora ore uur uren godzin godziny",
    1: "day days tag tagen tage jour jours dia dias giorno giorni dag dagen werktagen arbeitstagen dias dni dnia",
    7: "week weeks woche wochen semaine semaines semana semanas settimana settimane weken tydzien tygodni tygodnia",
    30: "month months monat monaten monate mois mes meses mese mesi maand maanden mes miesiaca miesiecy",
}
_UNIT = {name: days for days, names in _UNITS.items() for name in names.split()}


def _any(names: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_DATE = (
    r"\d{4}-\d\d-\d\d|\d{1,2}[./]\s?\d{1,2}[./]\s?(?:\d{4}|\d\d)?|"
    rf"\d{{1,2}}(?:\.|st|nd|rd|th|er|o)?\s(?:de\s|of\s)?(?:{_any(_MONTH)})\b(?:,?\s(?:de\s)?\d{{4}})?|"
    rf"(?:{_any(_MONTH)})\s\d{{1,2}}\b(?:st|nd|rd|th)?(?:,?\s\d{{4}})?"
)
_UNTIL = (
    r"by|until|before|no later than|not later than|at the latest by|latest by|due(?: on| by)?|deadline(?: is| of)?:?|"
    r"expires?(?: on)?|ends(?: on)?|bis(?: zum| spatestens| spatestens zum| einschliesslich)?|"
    r"spatestens(?: am| bis| bis zum)?|lauft(?: am)? ab|fristende:?|"
    r"avant(?: le)?|jusqu'au|au plus tard(?: le)?|d'ici(?: le| au)?|le delai expire le|"
    r"antes del?|hasta(?: el)?|a mas tardar(?: el)?|termina el|vence el|finaliza el|"
    r"entro(?: il| e non oltre il| le)?|non oltre il|scade il|prima del|"
    r"voor|uiterlijk(?: op)?|tot(?: en met)?|verloopt op|"
    r"ate(?: ao| a| o)?(?: dia)?|antes de|o mais tardar(?: ate)?|termina a|expira a|caduca a|"
    r"do(?: dnia)?|najpozniej(?: do)?|przed|uplywa|nie pozniej niz(?: do)?"
)
_WITHIN = (
    r"within(?: the next)?|in the next|you have|innerhalb(?: von)?|binnen(?: von)?|in den nachsten|sie haben|"
    r"dans(?: un delai de| les)|sous|vous avez|vous disposez de|en un plazo de|en el plazo de|dentro de|plazo de|"
    r"tienen|tiene|entro|no prazo de|num prazo de|dentro de|nos proximos|nas proximas|"
    r"w terminie(?: do)?|w ciagu(?: najblizszych)?|terminie"
)
_BETWEEN = rf"(?:(?:{_any(_WEEKDAY)}|the|el|le|il|den|dem|end of|close of business(?: on)?|noon(?: on)?|eod|cob),?\s+)"
_SPAN = rf"(?P<span>(?P<number>\d{{1,3}}|{_any(_NUMBER)})\s(?:working\s|business\s|calendar\s)?(?P<unit>{_any(_UNIT)}))"
_DEADLINE = re.compile(
    rf"\b(?:{_UNTIL})\s+{_BETWEEN}{{0,3}}"
    rf"(?:(?P<date>{_DATE})|(?P<weekday>(?:{_any(_WEEKDAY)}))\b|(?P<soon>{_any(_SOON)})\b)"
    rf"|\b(?:{_WITHIN})\s+{_SPAN}\b",
    re.IGNORECASE,
)
_PROMISE = re.compile(
    r"\b(?:we (?:will|shall|aim|expect)|will be|wird|wir (?:werden|melden)|sera|nous (?:reviendrons|vous)|"
    r"sara|wordt|zullen)\b"
    r"[^.!?\n]*$"
)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_FIGURES = re.compile(r"(\d{1,2})([./])\s?(\d{1,2})[./]\s?(\d{4}|\d\d)?")


class Deadline(Struct, frozen=True):
    """`words` as they stand in the mail; `days` from when it was written, None where that cannot be told."""

    words: str
    days: float | None

    @property
    def near(self) -> bool:
        return self.days is not None and self.days <= NEAR


def deadline(mail: Mail) -> Deadline | None:
    """The nearest that the mail names, in its text or else in its subject."""
    for text in (mail.text[:READ], mail.subject):
        level = _level(text)
        found = [_read(match, text, mail.date) for match in _DEADLINE.finditer(level) if not _promised(match, level)]
        if found:
            return min(found, key=lambda each: 1e9 if each.days is None else each.days)
    return None


def _promised(found: re.Match[str], text: str) -> bool:
    """Whether the writer says when something will be done, instead of asking for it."""
    return found["span"] is not None and bool(_PROMISE.search(text[max(0, found.start() - 80) : found.start()]))


def _lower(letter: str) -> str:
    return letter.lower() if len(letter.lower()) == 1 else letter


def _level(text: str) -> str:
    """Without accents, and as long as it was, so that places stay."""
    if text.isascii():
        return text.lower()
    return "".join(
        letter if letter.isascii() else unicodedata.normalize("NFKD", letter)[0] for letter in map(_lower, text)
    )


def _read(found: re.Match[str], text: str, written: float | None) -> Deadline:
    kind = next(name for name in ("date", "weekday", "soon", "span") if found[name])
    words = " ".join(text[slice(*found.span(kind))].split()).rstrip(".,")
    if kind == "soon":
        return Deadline(words, _SOON[found["soon"]])
    if kind == "span":
        number = int(found["number"]) if found["number"].isdigit() else _NUMBER[found["number"]]
        return Deadline(words, number * _UNIT[found["unit"]])
    if kind == "weekday":
        return Deadline(words, 6)  # the next of that name
    if written is None:
        return Deadline(words, None)
    today = datetime.fromtimestamp(written, UTC).date()
    day = _day(" ".join(found["date"].split()), today)
    return Deadline(words, None if day is None else (day - today).days)


def _day(words: str, today: date) -> date | None:
    """The day; where no year is written, the first one that does not lie far back."""
    try:
        if iso := _ISO.fullmatch(words):
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        if figures := _FIGURES.fullmatch(words):
            day, month, year = int(figures[1]), int(figures[3]), int(figures[4] or 0)
            if month > 12 and figures[2] == "/":
                day, month = month, day
        else:
            day = int(re.search(r"\d{1,2}", words)[0])  # type: ignore[index]
            month = next(_MONTH[word] for word in re.findall(r"[a-z]+", words) if word in _MONTH)
            year = int(found[0]) if (found := re.search(r"\d{4}", words)) else 0
        if year:
            return date(year + 2000 if year < 100 else year, month, day)
        this_year = date(today.year, month, day)
        return this_year if this_year >= today - timedelta(days=60) else date(today.year + 1, month, day)
    except (ValueError, StopIteration, TypeError):
        return None
