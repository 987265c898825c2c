"""`can workstreams` as a person and a script meet it, with and without a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chittycan.cli import workstream_view
from chittycan.cli.workstream_view import drawn
from chittycan.control.workstreams import StepRow, StreamDetail, WaitingRow
from chittycan.testing import ANSWER

MOST_LOOKS = 500  # each is a whole command
LETTER = """
name: letter
inputs: {who: {type: text, default: Ann}}
steps:
  - {id: draft, title: The draft, task: "Write to ${inputs.who}", model: gpt-4o}
  - {id: decision, approval: {title: "Send it?", show: {letter: "${draft.text}", pages: [1, 2]}, edit: true}}
  - {id: paid, wait: {event: paid}}
outputs: {letter: "${decision.values.letter}", amount: "${paid.json.amount}"}
"""
SHORT = """
name: short
inputs: {paper: file}
steps:
  - {id: one, task: {prompt: "Sum up", files: ["${inputs.paper}"]}, model: gpt-4o}
outputs: {text: "${one.text}"}
"""
NOTHING = "name: nothing\nsteps:\n  - {id: one, wait: {event: never}}\n"


@pytest.fixture
def ready(home: Any, upstream: Any) -> Any:
    """A home whose models answer, with recipes in its working folder."""
    home.proxies(upstream.proxies())
    work: Path = home.path / "work"
    for name, text in (("letter.yaml", LETTER), ("short.yaml", SHORT), ("nothing.yaml", NOTHING)):
        (work / name).write_text(text)
    (work / "paper.txt").write_text("A lease.")
    return home


def begun(can: Any, *arguments: str) -> str:
    said = can("workstreams", "run", *arguments, "--json")
    assert said.code == 0, said.err
    found: str = said.json["id"]
    return found


def shown(can: Any, workstream: str) -> Any:
    return can("workstream", "show", workstream, "--json").json


def when(can: Any, workstream: str, holds: Callable[[Any], bool]) -> Any:
    """The workstream once that is so."""
    for _ in range(MOST_LOOKS):
        if holds(found := shown(can, workstream)):
            return found
    raise AssertionError(found)


def test_a_run_is_done_by_the_command_that_waits_for_it(can: Any, ready: Any) -> None:
    said = can("workstreams", "run", "short.yaml", "--input", "paper=paper.txt", "--watch")
    assert said.code == 0, said.err
    lines = [line.split("  ", 1)[1] for line in said.lines if "  one  " in line]
    assert lines[0].startswith("one  queued")
    assert lines[-1].startswith("one  done  openai/gpt-4o") or lines[-1].startswith("one  done  gpt-4o")
    assert said.lines[-1] == f"text: {ANSWER}"


def test_without_a_worker_it_is_said_how_the_work_gets_done(can: Any, ready: Any) -> None:
    said = can("workstreams", "run", "letter.yaml")
    assert said.code == 0
    workstream = said.out.split()[1]
    assert f"can workstreams watch {workstream}" in said.out
    assert "no worker is running" in said.out
    [row] = can("workstreams", "list", "--json").json["workstreams"]
    assert (row["id"], row["name"], row["tasks"]) == (workstream, "letter", {"queued": 1})
    assert "letter" in can("workstreams", "list").lines[1]


def test_a_letter_from_its_draft_to_the_end(can: Any, ready: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a server that works, as one person with an editor."""
    ready.proxies(ready.read()["remotes"]["connect"]["proxies"], baseUrl=server)
    workstream = begun(can, "letter.yaml", "-i", "who=Bob")
    found = when(can, workstream, lambda found: found["steps"][1]["status"] == "waiting_for_approval")
    assert found["waiting"][0]["show"] == {"letter": ANSWER, "pages": [1, 2]}
    picture = can("workstreams", "show", workstream).out
    assert f"can workstreams edit {workstream}" in picture
    assert "waits for a decision" in picture
    monkeypatch.setenv("EDITOR", "true")
    assert "nothing was changed" in can("workstreams", "edit", workstream).out
    monkeypatch.setenv("EDITOR", "sed -i 's/^  .*/  Dear Bob/'")
    assert can("workstreams", "edit", workstream).code == 0
    when(can, workstream, lambda found: any(each["type"] == "event" for each in found["waiting"]))
    assert "it was told" in can("workstreams", "event", workstream, "paid", "amount:=7").out
    said = can("workstreams", "watch", workstream, "--json")
    assert (said.code, said.json["outputs"]) == (0, {"letter": "Dear Bob", "amount": 7})


def test_turning_it(can: Any, ready: Any) -> None:
    workstream = begun(can, "nothing.yaml")
    for command, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled"), ("resume", "running")):
        assert can("workstreams", command, workstream).lines == [f"✓ {workstream} is {status}"]
    assert can("workstreams", "resume", workstream).code == 1
    early = can("workstreams", "event", workstream, "other")
    assert "it is kept" in early.out
    fork = can("workstreams", "fork", workstream, "--from", "one", "--json").json
    assert (fork["forked_from"], fork["status"]) == (workstream, "running")
    wrong = can("workstreams", "fork", workstream, "--from", "two")
    assert wrong.code == 1
    assert "no step 'two'" in wrong.err


def test_what_cannot_be_decided_is_said(can: Any, ready: Any) -> None:
    workstream = begun(can, "nothing.yaml")
    for command in ("approve", "reject"):
        said = can("workstreams", command, workstream)
        assert (said.code, "waits for a decision" in said.err) == (1, True)
    assert can("workstreams", "edit", workstream).code == 2
    assert can("workstreams", "approve", workstream, "--set", "letter").code == 2
    assert can("workstreams", "show", "ws_0").code == 1


def test_a_failed_run_fails(can: Any, ready: Any) -> None:
    (ready.path / "work" / "failing.yaml").write_text(
        "name: failing\nsteps:\n  - {id: one, wait: {event: never}, deadline: 1s}\n"
    )
    said = can("workstreams", "run", "failing.yaml", "--watch")
    assert said.code == 1
    assert "failed" in said.lines[-1]


@pytest.mark.parametrize("beside", [False, True])
def test_whoever_subscribed_is_told_of_a_run_that_ends_at_once(can: Any, ready: Any, server: str, beside: bool) -> None:
    hooks = [{"url": "https://hooks.example.com", "secret": "env:HOOKS", "events": ["workstream.completed"]}]
    written = ready.read() | {"webhooks": hooks}
    if beside:
        written["remotes"]["connect"]["baseUrl"] = server
    ready.write(written)
    steps = "  - {id: one, when: {if: '1 > 2', then: [{id: two, task: Write}]}}\n"
    skipped = f"name: skipped\ninputs: {{paper: file}}\nsteps:\n{steps}"
    (ready.path / "work" / "skipped.yaml").write_text(skipped)
    workstream = begun(can, "skipped.yaml", "--input", "paper=paper.txt")
    (delivery,) = can("tasks", "list", "--type", "deliver", "--json").json["tasks"]
    assert delivery["title"] == f"tell hooks.example.com: workstream.completed of {workstream}"


def test_every_wrong_line_is_named_with_its_fix(can: Any, ready: Any) -> None:
    (ready.path / "work" / "wrong.yaml").write_text(
        "name: wrong\nsteps:\n  - {id: one, tusk: x}\n  - {id: two, task: '${three.text}'}\n"
    )
    said = can("workstreams", "validate", "wrong.yaml", "letter.yaml")
    assert said.code == 1
    assert any(line.startswith("✗ wrong.yaml:3:") for line in said.lines)
    assert "task" in said.out
    assert said.lines[-1] == "✓ letter.yaml is a recipe"
    found = can("workstreams", "validate", "wrong.yaml", "--json").json
    assert found["wrong.yaml"][0]["line"] == 3
    assert can("workstreams", "run", "wrong.yaml").code == 1
    assert can("workstreams", "validate", "nightly-digest").code == 0
    assert can("workstreams", "validate", "nowhere.yaml").code == 1


def test_the_recipes_that_come_along_are_listed_and_can_be_copied(can: Any, ready: Any) -> None:
    assert {row["name"] for row in can("workstreams", "recipes", "--json").json} == {
        "document-folder", "inbox-digest", "legal-pipeline", "nightly-digest"}  # fmt: skip
    (ready.path / "work" / "mine.yaml").write_text(can("workstreams", "recipes", "legal-pipeline").out)
    assert can("workstreams", "validate", "mine.yaml").code == 0


def test_a_recipe_is_put_on_a_schedule(can: Any, ready: Any) -> None:
    said = can("workstreams", "schedule", "short.yaml", "--cron", "0 6 * * 1-5", "--timezone", "Europe/Vienna",
               "--catch-up", "all", "-i", "paper=paper.txt")  # fmt: skip
    assert said.code == 0, said.err
    assert "short begins 0 6 * * 1-5 (Europe/Vienna), next at" in said.out
    [row] = can("workstreams", "schedules", "list", "--json").json
    assert (row["name"], row["catch_up"], row["paused"]) == ("short", "all", False)
    assert can("workstreams", "schedules", "pause", "short").lines == ["✓ short is paused"]
    assert "paused" in can("workstreams", "schedules", "list").out
    assert can("workstreams", "schedules", "resume", "short").code == 0
    begun_by_hand = can("workstreams", "schedules", "run-now", "short", "--json").json
    assert begun_by_hand["schedule"] == "short"
    assert can("workstreams", "schedules", "delete", "short").code == 0
    assert can("workstreams", "schedules", "delete", "short").code == 1
    assert can("workstreams", "schedule", "letter.yaml").code == 1  # it has none of its own
    assert can("workstreams", "schedule", "letter.yaml", "--cron", "often").code == 1
    assert can("workstreams", "schedule", "letter.yaml", "--catch-up", "some").code == 2


# the picture


def step(path: str, status: str, **more: Any) -> StepRow:
    given = {"path": path, "title": path, "type": "task", "status": status, "task": None, "model": "gpt-4",
             "instead_of": None, "waiting_for": None, "error": None, "started": 100.0, "ended": None,
             "cost_usd": 0.0, "steps": []} | more  # fmt: skip
    return StepRow(**given)


def stream(steps: list[StepRow], **more: Any) -> StreamDetail:
    given = {"id": "ws_1", "name": "deal", "status": "running", "error": None, "session": "s", "spent_usd": 0.0123,
             "tasks": {}, "forked_from": None, "schedule": None, "created": 40.0, "updated": 100.0, "ended": None,
             "description": "", "inputs": {}, "outputs": None, "steps": steps, "total": 4, "over": 1, "waiting": [],
             "private": True, "budget_usd": 2.0, "idle": False} | more  # fmt: skip
    return StreamDetail(**given)


def picture(found: StreamDetail, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[str]:
    console = Console(width=100, force_terminal=True, color_system=None)
    monkeypatch.setattr(workstream_view, "console", console)
    with console.capture() as captured:
        console.print(drawn(found, now=160.0, **more))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_picture_says_who_is_at_what_and_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = picture(
        stream([
            step("review", "done", model="smollm2", instead_of="gpt-4", ended=101.5, cost_usd=0.0123),
            step("both", "running", type="parallel", model=None, steps=[
                step("left", "running"), step("right", "waiting_for_model", waiting_for="openai: unreachable"),
            ]),
            step("last", "pending", started=None),
        ]),
        monkeypatch,
    )  # fmt: skip
    assert lines[0] == "deal  ▸ running  ws_1"
    assert lines[1].endswith("1 of 4 steps · $0.0123 of $2.00 · 2m · private")
    assert lines[3].split() == ["✓", "review", "smollm2", "for", "gpt-4", "1.5s", "$0.0123"]
    assert lines[5].startswith("  ▸ left")
    assert lines[6].startswith("  ◷ right")
    assert lines[6].endswith("waits for openai: unreachable")
    assert lines[7].split() == ["·", "last", "gpt-4"]


def test_the_picture_shows_what_is_to_be_decided_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = WaitingRow(
        path="decision", task="ws_1.decision", title="Send it?", type="approval", show={"letter": "Dear Ann\n" * 50},
        edit=False, who=["lawyer"], event=None, url=None, until=160.0 + 3 * 3600, since=100.0,
    )  # fmt: skip
    found = stream([step("decision", "waiting_for_approval", type="approval")], waiting=[asked], idle=True)
    lines = picture(found, monkeypatch, live=True)
    title = next(line for line in lines if "Send it?" in line)
    assert "for lawyer" in title
    assert "3h 0m left" in title
    assert sum("Dear Ann" in line for line in lines) == 1  # one line a value, while it is drawn again and again
    assert any("can workstreams approve ws_1" in line for line in lines)
    assert not any("workstreams edit" in line for line in lines)
    assert lines[-1] == "! no worker is running: can serve is one"
    assert sum("Dear Ann" in line for line in picture(found, monkeypatch)) == 50


def test_a_long_loop_is_counted_and_only_what_goes_on_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        step(f"each[{number}]", "done" if number < 90 else "running", type="item", model=None) for number in range(100)
    ]
    lines = picture(stream([step("each", "running", type="for_each", model=None, steps=items)]), monkeypatch)
    assert any("90 of 100 items are done" in line for line in lines)
    assert sum("each[" in line for line in lines) == 8


def test_a_failure_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = step("one", "failed", error="no such host", ended=101.0)
    lines = picture(stream([failed], status="failed", error="one: no such host", ended=101.0), monkeypatch)
    assert lines[3].endswith("no such host")
    assert "✗ one: no such host" in lines
    assert lines[-1].startswith("→ can workstreams resume ws_1")
