"""How a token is shown at login: the first message of the two SASL mechanisms that take one. Pure.

XOAUTH2 is Google's and Microsoft's, and described in their documentation; OAUTHBEARER is RFC 7628.
"""

from collections.abc import Collection
from typing import Literal

Mechanism = Literal["XOAUTH2", "OAUTHBEARER"]

# What ends the exchange after a server has said why it refuses a token.
AFTER_REFUSAL: dict[Mechanism, str] = {"XOAUTH2": "", "OAUTHBEARER": "\1"}


def mechanism(offered: Collection[str]) -> Mechanism | None:
    """The one to use of those that a server names; None where it takes no tokens."""
    if "XOAUTH2" in offered:
        return "XOAUTH2"
    return "OAUTHBEARER" if "OAUTHBEARER" in offered else None


def first_message(mechanism: Mechanism, *, user: str, host: str, token: str) -> str:
    """Before base64."""
    if mechanism == "XOAUTH2":
        return f"user={user}\1auth=Bearer {token}\1\1"
    name = user.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\1host={host}\1auth=Bearer {token}\1\1"
