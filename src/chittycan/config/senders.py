"""In whose name mail goes out: what an account in `integrations` says of it, of whatever type the account is."""

from msgspec import Struct, field

from chittycan.config.settings import SmtpSettings


class SenderSettings(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is absent is taken from `smtp` and `inbox`. `sender` is the From, `smtp` a server of the account's own.

    `save_sent`: a copy is put among the account's sent mails, unless the server did so.
    """

    sender: str | None = field(name="from", default=None)
    smtp: SmtpSettings | None = None
    signature: str | None = None
    save_sent: bool = True


SENDER_KEYS = SenderSettings.__struct_encode_fields__
