"""One thing that was found, and of which kinds there are."""

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "email", "phone", "card", "iban", "ssn", "ip", "licence", "crypto", "id", "name", "secret", "private_key", "term",
]  # fmt: skip


class Finding(Struct, frozen=True):
    """`start` and `end` are places in the text, in characters. What stands there is not kept."""

    kind: Kind
    start: int
    end: int
