"""Mails that somebody is asking models about: while a process has claimed a mail, no other pays for the same."""

from sqlalchemy import Column, Double, ForeignKey, Table, Text

from chittycan.store.tables import metadata

mail_claims = Table(
    "mail_claims",
    metadata,
    Column("mail_id", Text, ForeignKey("mails.id", ondelete="CASCADE"), primary_key=True),
    Column("nonce", Text, nullable=False),  # `store.claims`
    Column("holder", Text, nullable=False),  # JSON: which process that is
    Column("beat", Double, nullable=False),  # when it last said that it is there
)
