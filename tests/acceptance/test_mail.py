"""A real server that looks after a mail account."""

import asyncio

from bare_http import fetch
from mail_servers import PASSWORD, Dovecot
from serving import PATIENCE, Process, Processes, write_config

USER = "served"


async def test_a_server_processes_mail_as_it_comes_in_and_says_so(
    processes: Processes, dovecot_server: Dovecot
) -> None:
    account = {"type": "imap", "host": "localhost", "port": dovecot_server.tls_port, "user": USER, "watch": True,
               "caFile": str(dovecot_server.authority), "password": "env:MAIL_PASSWORD"}  # fmt: skip
    write_config(processes.config, {"embedded": {"enabled": False}, "integrations": {"office": account}}, {})
    dovecot_server.deliver(USER, "1", b"From: Ann <a@bell.example>\r\nSubject: Hello\r\n\r\nWhat does it cost?\r\n")
    server = await processes.serve(MAIL_PASSWORD=PASSWORD)

    async with asyncio.timeout(PATIENCE):
        while 'chitty_mail_stale{source="office"} 0.0' not in await _metrics(server):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    listed = await processes.can("router", "inbox", "list", "--json")
    assert listed.process.stdout is not None
    assert b"Hello" in await listed.process.stdout.read()
    assert dovecot_server.flags(USER) == set()


async def _metrics(server: Process) -> str:
    return (await fetch(server.port, "GET", "/metrics")).body.decode()
