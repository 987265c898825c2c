"""Mail that we wrote ourselves. A From alone says nothing: anybody can write ours into theirs.

It counts where the mail lies in our own folder of sent mail, into which strangers put nothing; or where our own server
found that it comes from our domain, and it answers somebody else. What goes from our address to ourselves may be
anybody's words: a form on our own site sends so.
"""

from collections.abc import Collection

from chittycan.agents.prefilter import OWN, Settled
from chittycan.integrations.email.authentication import verdicts
from chittycan.integrations.email.message import Mail


def settle(mail: Mail, own: Collection[str], *, sent: bool, authserv: str | None) -> Settled | None:
    """`own`: our addresses, in lower case. `sent`: the mail lies in a folder of sent mail of ours.

    `authserv`: the name of the one server that says who wrote a mail.
    """
    if mail.sender.address.lower() not in own:
        return None
    if sent:
        return Settled(OWN, "general_inquiry", "a mail of yours, among the sent ones")
    if _answers_others(mail, own) and verdicts(mail, authserv).dmarc == "pass":
        return Settled(OWN, "general_inquiry", "an answer of yours, by your server's word")
    return None


def _answers_others(mail: Mail, own: Collection[str]) -> bool:
    elsewhere = any(each.address.lower() not in own for each in mail.reply_to)
    others = any(each.address.lower() not in own for each in (*mail.to, *mail.cc))
    return mail.in_reply_to is not None and others and not elsewhere
