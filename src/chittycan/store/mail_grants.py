"""Grants of mail accounts whose refresh tokens a provider replaces, and who is getting a token with one just now."""

from sqlalchemy import Column, Connection, Double, Table, Text, select

from chittycan.store.tables import metadata
from chittycan.store.upsert import insert

mail_grants = Table(
    "mail_grants",
    metadata,
    Column("grant", Text, primary_key=True),  # a hash of it
    Column("token", Text),  # sealed: the newest refresh token; NULL: the configured one
    Column("nonce", Text),  # `store.claims`; NULL: nobody
    Column("holder", Text),  # JSON: which process that is
    Column("beat", Double),  # when it last said that it is there
)


def newest(connection: Connection, grant: str) -> str | None:
    return connection.execute(select(mail_grants.c.token).where(mail_grants.c.grant == grant)).scalar()


def keep(connection: Connection, grant: str, token: str) -> None:
    new = insert(connection, mail_grants).values(grant=grant, token=token)
    connection.execute(new.on_conflict_do_update(index_elements=["grant"], set_={"token": token}))
