"""The inbox, agents, drafts and templates over HTTP: what they answer, and that only the owner sees mail."""

from pathlib import Path
from typing import Any

import pytest

from chittycan.agents.pipeline import process
from chittycan.errors import AllFailed
from chittycan.integrations.email.sources import open_source
from chittycan.testing.ask import ScriptedAsk
from serving import Serve, Served

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "inbox"
PATHS = ("/inbox", "/inbox/stats", "/agents", "/agents/triage/history", "/drafts")


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server whose inbox holds the sample mails, processed by rules."""
    served = await serve({})
    down = AllFailed("no model answered")
    ask = ScriptedAsk({f"email.{name}": [down] for name in ("triage", "priority", "response")})
    await process(open_source(SAMPLE), ask, served.network.database)
    return served


@pytest.fixture
def owner(served: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {(served.network.data / 'admin.key').read_text().strip()}"}


async def get(served: Served, path: str, owner: dict[str, str]) -> Any:
    got = await served.fetch("GET", f"/api/v1{path}", headers=owner)
    assert got.status == 200
    return got.json


async def test_the_inbox_is_listed_filtered_and_counted(served: Served, owner: dict[str, str]) -> None:
    rows = await get(served, "/inbox", owner)
    assert [row["priority"] for row in rows] == sorted(
        (row["priority"] for row in rows), key=["HIGH", "NORMAL", "LOW"].index
    )
    urgent = await get(served, "/inbox?priority=high&limit=2&unread=true", owner)
    assert [row["id"] for row in urgent] == [row["id"] for row in rows[:2]]
    stats = await get(served, "/inbox/stats", owner)
    assert (stats["total"], stats["unread"], stats["pendingResponse"]) == (13, 13, 8)


async def test_a_mail_is_shown_and_marked_as_read(served: Served, owner: dict[str, str]) -> None:
    row = (await get(served, "/inbox", owner))[0]
    detail = await get(served, f"/inbox/{row['id']}", owner)
    assert (detail["from"], detail["subject"]) == (row["from"], row["subject"])
    assert [run["agent"] for run in detail["agents"]][:2] == ["triage", "priority"]
    assert {run["fallback"] for run in detail["agents"]} == {True}
    marked = await served.fetch("PUT", f"/api/v1/inbox/{row['id'][:7]}/read", {"read": True}, headers=owner)
    assert marked.json == {"id": row["id"], "read": True}
    assert (await get(served, "/inbox/stats", owner))["unread"] == 12


async def test_agents_and_what_they_did(served: Served, owner: dict[str, str]) -> None:
    rows = await get(served, "/agents", owner)
    assert {row["name"]: row["runs"] for row in rows} == {"triage": 10, "priority": 10, "response": 8, "document": 0}
    runs = await get(served, "/agents/triage/history?limit=4", owner)
    assert len(runs) == 4
    assert {run["reason"].partition(":")[0] for run in runs} == {"upstream_failed"}


async def test_drafts_and_templates(served: Served, owner: dict[str, str]) -> None:
    drafts = await get(served, "/drafts?state=draft", owner)
    assert len(drafts) == 8
    shown = await get(served, f"/drafts/{drafts[0]['mail']}", owner)
    assert shown.items() >= drafts[0].items()
    assert [row["name"] for row in await get(served, "/templates", owner)] == ["received", "standard"]
    values = {"variables": {"name": "Ann", "body": "We will call.", "signature": "M."}}
    made = await served.fetch("POST", "/api/v1/templates/standard/render", values, headers=owner)
    assert made.json["text"].splitlines()[0] == "Dear Ann,"


@pytest.mark.parametrize("path", ["/inbox/none", "/agents/poet/history", "/drafts/none", "/templates/none"])
async def test_what_is_not_there_is_404(served: Served, owner: dict[str, str], path: str) -> None:
    got = await served.fetch("GET", f"/api/v1{path}", headers=owner)
    assert (got.status, got.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", PATHS)
async def test_mail_is_for_the_owner_alone(served: Served, path: str) -> None:
    assert (await served.fetch("GET", f"/api/v1{path}")).status == 401
    key = await served.key()
    got = await served.fetch("GET", f"/api/v1{path}", headers={"authorization": f"Bearer {key}"})
    assert got.status == 403


async def test_a_wrong_priority_is_named(served: Served, owner: dict[str, str]) -> None:
    got = await served.fetch("GET", "/api/v1/inbox?priority=middling", headers=owner)
    assert (got.status, got.json["error"]["param"]) == (400, "priority")


async def test_mail_is_reviewed_and_what_is_learnt_can_be_forgotten(served: Served, owner: dict[str, str]) -> None:
    queue = await get(served, "/inbox/review?limit=2", owner)
    assert (queue["open"], queue["settled"], len(queue["mails"])) == (13, 3, 2)
    assert "rules answered instead of a model" in queue["mails"][0]["doubt"]
    path = f"/api/v1/inbox/{queue['mails'][0]['id']}/review"
    said = {"category": "billing_matter", "priority": "LOW"}
    found = (await served.fetch("POST", path, said, headers=owner)).json
    assert (found["category"], found["priority"], found["review"]) == ("billing_matter", "LOW", "corrected")
    wrong = await served.fetch("POST", path, {"category": "nonsense"}, headers=owner)
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "category")
    passed = await served.fetch("POST", "/api/v1/inbox/review/settled", {}, headers=owner)
    assert passed.json == {"approved": 3}
    assert (await get(served, "/inbox/review", owner))["settled"] == 0
    corrections = await get(served, "/inbox/corrections", owner)
    assert {row["label"] for row in corrections} == {"billing_matter", "LOW"}
    gone = await served.fetch("DELETE", f"/api/v1/inbox/corrections/{corrections[0]['id']}", headers=owner)
    assert gone.json == {"forgotten": 1}
    figures = (await get(served, "/analytics/inbox", owner))["total"]
    assert (figures["mails"], figures["corrected"], figures["fallbacks"]) == (13, 1, 10)
