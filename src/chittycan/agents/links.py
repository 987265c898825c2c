"""What a mail program would make a link of, taken out of a text that a model wrote. Pure.

Where a link leads is not to be seen in it, and whoever wrote the mail may have chosen it: an answer that the office
signs must not carry it, nor an address to answer to instead.
"""

import re

# [shown](target), ![shown](target), [shown][name]: what shows stays
_NAMED = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_FILES = "pdf|docx?|xlsx?|odt|rtf|txt|csv|jpe?g|png|eml"  # names of files, which no program takes for hosts
_LINK = re.compile(
    r"^[ \t]*\[[^\]]*\]:.*$"  # [name]: target
    r"|</?[a-z!][^>]*>"  # HTML
    r"|\b(?:mailto|tel|sms|data|javascript|vbscript|file|callto):\S+"
    r"|(?:\b[a-z][a-z0-9+.-]*:)?//\S+"
    r"|\bwww\.\S+"
    r"|\S+@[\w-]+(?:\.[\w-]+)+"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b(?:[:/]\S*)?"
    rf"|\b(?:[\w-]+[.\u3002\uff0e\uff61])+(?!(?:{_FILES})\b)(?:[^\W\d_]{{2,24}}|xn--[\w-]+)\b(?:[:/]\S*)?",
    re.IGNORECASE | re.MULTILINE,
)


def without_links(text: str) -> str:
    """`text` without links, addresses, names of hosts and HTML; of a link with words, the words."""
    bare = text
    while (shorter := _LINK.sub(_left, _NAMED.sub(r"\1", bare))) != bare:  # what is left may make up another
        bare = shorter
    return bare


def _left(found: re.Match[str]) -> str:
    """Nothing, but of `come in.We will` the words, with the space that was forgotten: so it is no link either."""
    first, _, second = found[0].partition(".")
    return f"{first}. {second}" if first.isalpha() and second.isalpha() and second[0].isupper() else ""
