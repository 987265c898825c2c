"""`can tasks` as a person and a script meet it, with and without a server."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chittycan.cli.task_view import cells, drawn, show_end, show_task, span
from chittycan.control.tasks import TaskDetail
from chittycan.testing import ANSWER
from chittycan.workstreams.task import Task


@pytest.fixture
def ready(home: Any, upstream: Any) -> Any:
    """A home whose models answer."""
    home.proxies(upstream.proxies())
    return home


def submitted(can: Any, *arguments: str) -> str:
    said = can("tasks", "submit", "Say hi", "--json", *arguments)
    assert said.code == 0, said.err
    found: str = said.json["id"]
    return found


def status(can: Any, task: str) -> str:
    found: str = can("task", "show", task, "--json").json["status"]
    return found


# nobody works


def test_a_submitted_task_waits_and_the_person_is_told_how_it_gets_done(can: Any, ready: Any) -> None:
    said = can("tasks", "submit", "Say", "hi")
    assert said.code == 0
    task = said.out.split()[1]
    assert said.lines[0] == f"✓ {task} is queued and waits for a worker; none is running"
    assert "can up" in said.out
    assert f"can tasks wait {task}" in said.out
    assert can("tasks", "list", "--json").json["tasks"][0]["title"] == "Say hi"


def test_what_is_piped_in_is_added(can: Any, ready: Any) -> None:
    said = can("tasks", "submit", "Summarise", "--json", stdin="the text")
    assert can("tasks", "show", said.json["id"], "--json").json["prompt"] == "Summarise\n\nthe text"


def test_a_script_gets_the_fields_of_http(can: Any, ready: Any) -> None:
    said = can("tasks", "submit", "Say hi", "--kind", "code.review", "--priority", "7", "--session", "deal", "--json")
    assert set(said.json) == {"id", "status", "waiting_for"}
    shown = can("tasks", "show", said.json["id"], "--json").json
    assert (shown["kind"], shown["priority"], shown["session"], shown["attempts"]) == ("code.review", 7, "deal", 0)


def test_submitted_twice_under_one_key_it_is_one_task(can: Any, ready: Any) -> None:
    assert submitted(can, "--idempotency-key", "k") == submitted(can, "--idempotency-key", "k")


def test_lists_are_filtered_and_paged(can: Any, ready: Any) -> None:
    one, two = submitted(can, "--kind", "a"), submitted(can, "--kind", "a")
    submitted(can, "--kind", "b")
    page = can("tasks", "list", "--kind", "a", "--limit", "1", "--json").json
    assert [task["id"] for task in page["tasks"]] == [two]
    rest = can("tasks", "list", "--kind", "a", "--limit", "1", "--cursor", page["cursor"], "--json").json
    assert ([task["id"] for task in rest["tasks"]], rest["cursor"]) == ([one], None)
    said = can("tasks", "list", "--kind", "a", "--limit", "1")
    assert said.lines[0].split()[:3] == ["task", "status", "title"]
    assert f"--cursor {page['cursor']}" in said.out
    assert "no such task" in can("tasks", "list", "--status", "done").out


def test_cancel_retry_and_show_say_where_it_stands(can: Any, ready: Any) -> None:
    task = submitted(can)
    assert can("tasks", "cancel", task, "--reason", "too late").out == f"✓ {task} is cancelled\n"
    shown = can("tasks", "show", task)
    assert shown.lines[0] == f"{task}  cancelled"
    assert "too late" in shown.out
    assert can("tasks", "cancel", task).out == f"✓ {task} is cancelled\n"
    assert can("tasks", "wait", task).code == 1
    assert can("tasks", "retry", task).out == f"✓ {task} is queued\n"
    again = can("tasks", "retry", task)
    assert (again.code, "is queued" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("submit",), 2, "no prompt"),
        (("submit", "x", "--deadline", "soon"), 2, "duration"),
        (("submit", "x", "--at", "2h", "--deadline", "1h"), 2, "before"),
        (("submit", "x", "--file", "none.pdf"), 2, "none.pdf"),
        (("submit", "x", "--webhook", "example.org"), 2, "http"),
        (("submit", "x", "--after", "task_none"), 1, "task_none"),
        (("submit", "x", "--model", "nonsense"), 1, "nonsense"),
        (("list", "--status", "asleep"), 2, "waiting_for_model"),
        (("show", "task_none"), 1, "task_none"),
        (("wait", "task_none"), 1, "task_none"),
        (("watch", "task_none"), 1, "task_none"),
        (("approve", "task_none", "--set", "x"), 2, "NAME=TEXT"),
    ],
)
def test_what_is_wrong_is_said(can: Any, ready: Any, arguments: tuple[str, ...], code: int, word: str) -> None:
    said = can("tasks", *arguments)
    assert (said.code, word in said.err) == (code, True), said.err
    assert can("tasks", "list", "--json").json["tasks"] == []


# this command works


def test_wait_prints_the_answer_alone_and_who_gave_it(can: Any, ready: Any) -> None:
    said = can("tasks", "submit", "Say hi", "--wait")
    assert (said.code, said.out) == (0, ANSWER + "\n"), said.err
    assert said.err.startswith("✓ gpt-4o (")


def test_what_was_submitted_before_is_done_by_whoever_waits(can: Any, ready: Any, upstream: Any) -> None:
    first = submitted(can)
    last = submitted(can, "--after", first)
    row = can("tasks", "wait", last, "--json").json
    assert (row["status"], row["result"]["text"], row["result"]["model"]) == ("done", ANSWER, "gpt-4o")
    assert row["result"]["cost_usd"] == 0  # the model is on this machine
    assert status(can, first) == "done"
    listed = can("tasks", "list").out
    assert listed.count("gpt-4o") == 2


def test_a_failure_is_one_for_scripts_too(can: Any, ready: Any, upstream: Any) -> None:
    upstream.script("gpt-4o", "400-bad-field")
    said = can("tasks", "submit", "Say hi", "--model", "gpt-4o", "--wait")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("✗ task_")


def test_watch_tells_every_change_in_a_line_of_its_own(can: Any, ready: Any) -> None:
    one, two = submitted(can), submitted(can)
    said = can("tasks", "watch", one, two)
    assert said.code == 0
    for task in (one, two):
        lines = [line for line in said.lines if task in line]
        assert "queued: a worker" in lines[0]
        assert lines[-1].split()[2:4] == ["done", "gpt-4o"]


def test_watch_for_scripts_is_a_line_of_json_per_change(can: Any, ready: Any) -> None:
    import json

    task = submitted(can)
    rows = [json.loads(line) for line in can("tasks", "watch", task, "--json").lines]
    assert [rows[0]["status"], rows[-1]["status"]] == ["queued", "done"]


def test_a_file_is_taken_along_as_it_is_now(can: Any, ready: Any, upstream: Any) -> None:
    Path("note.txt").write_text("The rent is 900 euros.")
    task = submitted(can, "--file", "note.txt")
    Path("note.txt").unlink()
    assert can("tasks", "wait", task).code == 0
    assert "The rent is 900 euros." in upstream.upstream.requests[-1].body.decode()


def test_whoever_stops_waiting_is_told_that_the_task_goes_on(can: Any, ready: Any, upstream: Any) -> None:
    upstream.script("gpt-4o", "s04-hang")
    with subprocess.Popen(
        [sys.executable, "-m", "chittycan.cli.main", "tasks", "submit", "Say hi", "--model", "gpt-4o", "--wait"],
        env=ready.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 30
        while not upstream.asked() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    (task,) = can("tasks", "list", "--json").json["tasks"]
    assert (process.returncode, out) == (130, "")
    assert f"can tasks watch {task['id']}" in err
    assert task["status"] in ("running", "queued")


# through a server


def test_a_running_server_does_the_work(can: Any, home: Any, upstream: Any, server: Any) -> None:
    home.proxies(upstream.proxies(), baseUrl=server)
    Path("note.txt").write_text("The rent is 900 euros.")
    said = can("tasks", "submit", "Say hi", "--file", "note.txt", "--wait")
    assert (said.code, said.out) == (0, ANSWER + "\n"), said.err
    assert "The rent is 900 euros." in upstream.upstream.requests[-1].body.decode()
    (task,) = can("tasks", "list", "--json").json["tasks"]
    assert (task["model"], task["cost_usd"]) == ("gpt-4o", 0)
    assert "none is running" not in can("tasks", "submit", "again").out


# how it looks


def detail(**fields: Any) -> TaskDetail:
    row = {"id": "task_1", "status": "running", "type": "task", "since": 1000.0, "created": 1000.0, "priority": 0,
           "attempts": 1}  # fmt: skip
    return TaskDetail(**{**row, **fields})


def picture(rows: list[TaskDetail], width: int = 100) -> str:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(drawn(rows))
    return captured.get()


def test_the_live_picture_says_what_is_waited_for_and_what_it_cost() -> None:
    lines = picture([
        detail(status="waiting_for_model", waiting_for="gpt-4 is unreachable", since=time.time() - 125),
        detail(id="task_2", status="done", started=10.0, ended=13.2, model="smollm2", cost_usd=0.0),
        detail(id="task_3", status="failed", error={"message": "no [brackets] harm"}),
    ]).splitlines()  # fmt: skip
    assert lines[1].split()[:6] == ["◷", "task_1", "waiting", "for", "model", "gpt-4"]
    assert "2m" in lines[1]
    assert lines[2].split() == ["✓", "task_2", "done", "3.2s", "smollm2", "$0"]
    assert "no [brackets] harm" in lines[3]


def test_long_titles_give_way_on_a_narrow_terminal() -> None:
    lines = picture([detail(title="t" * 200, waiting_for="w" * 200)], width=90).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 90


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0s"), (59, "59s"), (61, "1m"), (3600 * 2 + 300, "2h 5m"), (86400 * 3.5, "3d 12h")]
)
def test_spans_are_short(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_what_a_person_must_decide_is_shown_with_how(capfd: Any) -> None:
    show_task(detail(status="waiting_for_approval", type="approval", waiting_for="a person's decision",
                     question={"title": "Send it?", "show": {"letter": "Dear [Sir]"}}))  # fmt: skip
    said = capfd.readouterr().out
    assert "Send it?" in said
    assert "Dear [Sir]" in said
    assert "can tasks approve task_1" in said


def test_an_answer_that_is_no_text_is_printed_as_json(capfd: Any) -> None:
    show_end(detail(status="done", result={"decision": "approved", "model": None, "cost_usd": None}))
    assert capfd.readouterr().out == '{\n  "decision": "approved"\n}\n'


def test_a_price_that_nobody_knows_is_no_zero() -> None:
    assert cells(detail(status="done", model="m"), 0.0)[-1] == "price unknown"
    assert cells(detail(status="queued"), 0.0)[-1] is None


def test_a_decision_reaches_the_task(can: Any, ready: Any) -> None:
    import asyncio

    from chittycan.app import Network

    async def ask() -> str:
        async with Network(look_around=False) as network:
            spec = {"title": "Send it?", "show": {"letter": "Dear"}, "edit": True}
            return (await network.tasks.submit(Task(id="", type="approval", spec=spec))).id

    task = asyncio.run(ask())
    assert can("tasks", "approve", task, "--set", "letter=Dear Sir", "--comment", "fine").code == 0
    row = can("tasks", "wait", task, "--json").json
    assert (
        row["result"].items() >= {"decision": "approved", "values": {"letter": "Dear Sir"}, "comment": "fine"}.items()
    )
