"""The embedded model itself: a real child process, a real model, real answers.

On a machine that has neither the model nor a network these tests are skipped; where `CI` is set they fail.
"""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chittycan.errors import Unavailable
from chittycan.providers import model_files
from chittycan.providers.local import PAUSE_AFTER_FAILURE, EmbeddedModel, ServerSettings
from chittycan.testing import FakeClock

PATIENCE = 60.0  # seconds after which a test gives up; nothing here measures time

linux = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through pidfd, which only Linux has")


@pytest.fixture(scope="session")
def model_file() -> Path:
    try:
        return model_files.ensure()
    except Unavailable as error:
        pytest.skip(f"no embedded model: {error.message}")


@pytest.fixture
async def model(model_file: Path, tmp_path: Path) -> AsyncIterator[EmbeddedModel]:
    settings = ServerSettings(context=256, max_tokens=24)
    async with EmbeddedModel(model_file, settings=settings, log_file=tmp_path / "model.log") as embedded:
        yield embedded


def _ask(endpoint: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{endpoint}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def ask(endpoint: str, text: str, **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 40, **more}
    return await asyncio.to_thread(_ask, endpoint, body)


def open_stream(endpoint: str, body: dict[str, Any]) -> tuple[HTTPConnection, HTTPResponse]:
    url = urlsplit(endpoint)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE)
    headers = {"content-type": "application/json"}
    connection.request("POST", f"{url.path}/chat/completions", json.dumps({**body, "stream": True}), headers)
    return connection, connection.getresponse()


def wait_until_gone(pid: int) -> bool:
    """Whether the process has ended; waits for it, but not forever."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(PATIENCE * 1000))
    finally:
        os.close(handle)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for another process, which cannot tell us, to get there."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_callers_at_the_same_time_share_one_server_on_loopback(model: EmbeddedModel) -> None:
    endpoints = await asyncio.gather(*(model.endpoint() for _ in range(5)))
    assert len(set(endpoints)) == 1
    assert urlsplit(endpoints[0]).hostname == "127.0.0.1"
    status, _ = await ask(endpoints[0], "Hello")
    assert status == 200


async def test_answers_under_its_own_name_and_counts_tokens(model: EmbeddedModel, model_file: Path) -> None:
    status, answer = await ask(await model.endpoint(), "What is the capital of France?")
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["completion_tokens"] > 0
    assert answer["model"] == model_file.stem


async def test_an_answer_without_a_limit_ends(model: EmbeddedModel) -> None:
    endpoint = await model.endpoint()
    body = {"messages": [{"role": "user", "content": "Count on and on."}], "ignore_eos": True}
    _, answer = await asyncio.to_thread(_ask, endpoint, body)
    assert answer["usage"]["completion_tokens"] == 24
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_streams_deltas_usage_and_an_end_marker(model: EmbeddedModel) -> None:
    body = {
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 20,
        "stream_options": {"include_usage": True},
    }
    connection, answer = await asyncio.to_thread(open_stream, await model.endpoint(), body)
    text = (await asyncio.to_thread(answer.read)).decode()
    connection.close()
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]).strip()
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_output_keeps_to_a_json_schema(model: EmbeddedModel) -> None:
    schema = {
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["invoice", "meeting", "other"]},
            "urgent": {"type": "boolean"},
            "reason": {"type": "string", "maxLength": 60},
        },
        "required": ["category", "urgent", "reason"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "triage", "strict": True, "schema": schema}}
    endpoint = await model.endpoint()
    mails = ["Please pay invoice 17 by Friday.", "Shall we meet on Monday at 10?", "Your parcel has arrived."]
    for mail in mails:
        _, answer = await ask(endpoint, f"Sort this mail: {mail}", response_format=form, max_tokens=120)
        found = json.loads(answer["choices"][0]["message"]["content"])
        assert set(found) == {"category", "urgent", "reason"}
        assert found["category"] in ("invoice", "meeting", "other")
        assert isinstance(found["urgent"], bool)


async def test_a_prompt_that_is_too_long_says_so(model: EmbeddedModel) -> None:
    status, answer = await ask(await model.endpoint(), "word " * 600)
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"
    assert answer["error"]["n_ctx"] == 256


async def test_two_prompts_may_each_fill_most_of_the_context(model: EmbeddedModel) -> None:
    endpoint = await model.endpoint()
    answers = await asyncio.gather(*(ask(endpoint, f"{n} " + "word " * 150, max_tokens=4) for n in range(2)))
    assert [status for status, _ in answers] == [200, 200]


async def test_a_client_that_leaves_frees_the_model(model_file: Path, tmp_path: Path) -> None:
    async with EmbeddedModel(model_file, settings=ServerSettings(parallel=1), log_file=tmp_path / "log") as model:
        endpoint = await model.endpoint()
        endless = {"messages": [{"role": "user", "content": "Go on."}], "max_tokens": 8000, "ignore_eos": True}
        connection, answer = await asyncio.to_thread(open_stream, endpoint, endless)
        await asyncio.to_thread(answer.readline)
        answer.close()
        connection.close()
        # The one slot would be taken for minutes, past the patience of this request.
        status, _ = await ask(endpoint, "Hello", max_tokens=2)
        assert status == 200


async def test_starts_again_after_its_process_was_killed(model: EmbeddedModel) -> None:
    await model.endpoint()
    pid = model.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not model.running)
    status, _ = await ask(await model.endpoint(), "Hello", max_tokens=2)
    assert status == 200
    assert model.pid != pid


async def test_states_its_memory_while_it_runs(model: EmbeddedModel) -> None:
    assert model.memory_mb() is None
    await model.endpoint()
    memory = model.memory_mb()
    assert memory is not None
    assert 98 < memory < 1000
    await model.stop()
    assert model.memory_mb() is None


async def test_gives_its_memory_back_when_idle_and_still_answers(model_file: Path, tmp_path: Path) -> None:
    async with EmbeddedModel(model_file, settings=ServerSettings(idle=1), log_file=tmp_path / "log") as model:
        endpoint = await model.endpoint()
        await until(lambda: (model.memory_mb() or 0) < 200)
        status, _ = await ask(endpoint, "Hello", max_tokens=2)
        assert status == 200


async def test_a_caller_that_gives_up_does_not_stop_the_start_for_others(model: EmbeddedModel) -> None:
    impatient = asyncio.create_task(model.endpoint())
    patient = asyncio.create_task(model.endpoint())
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).startswith("http://127.0.0.1:")
    assert impatient.cancelled()


@linux
async def test_stop_ends_the_process_even_while_it_starts(model: EmbeddedModel) -> None:
    await model.endpoint()
    pid = model.pid
    assert pid is not None
    await model.stop()
    assert wait_until_gone(pid)
    starting = asyncio.create_task(model.endpoint())
    await asyncio.sleep(0)
    await model.stop()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not model.running


@linux
def test_the_child_dies_when_its_parent_is_killed(model_file: Path, tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from chittycan.providers.local import EmbeddedModel

async def main():
    model = EmbeddedModel(Path(sys.argv[1]), log_file=Path(sys.argv[2]))
    await model.endpoint()
    print(model.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(model_file), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_until_gone(child)


def test_the_child_ends_with_its_standard_input(model_file: Path) -> None:
    command = [sys.executable, "-m", "chittycan.providers.local_server", "--model", str(model_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert "endpoint" in json.loads(child.stdout.readline())
        child.stdin.close()
        assert child.wait(PATIENCE) == 0


async def test_the_log_holds_no_word_of_a_request(model: EmbeddedModel, tmp_path: Path) -> None:
    endpoint = await model.endpoint()
    secret = "correcthorse"
    await ask(endpoint, f"My password is {secret}.")
    await ask(endpoint, f"{secret} " * 2000)
    await ask(endpoint, secret, response_format={"type": "json_schema", "json_schema": {"schema": {"type": secret}}})
    await ask(endpoint, secret, messages=[{"role": secret, "content": {secret: secret}}])
    await model.stop()
    log = (tmp_path / "model.log").read_text()
    assert "exceeds the available context size" in log
    assert secret not in log


async def test_says_how_to_install_what_is_missing(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ModuleNotFoundError(name='xllamacpp')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with EmbeddedModel(model_file, log_file=tmp_path / "log") as model:
        with pytest.raises(Unavailable, match="xllamacpp is not installed") as raised:
            await model.endpoint()
    assert 'pip install "chittycan[local]"' in (raised.value.fix or "")


async def test_a_broken_model_file_is_reported_with_the_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 1000)
    async with EmbeddedModel(broken, log_file=tmp_path / "log") as model:
        with pytest.raises(Unavailable, match="could not start") as raised:
            await model.endpoint()
    assert raised.value.fix == f"see {tmp_path / 'log'}"
    assert "failed to load model" in (tmp_path / "log").read_text()


async def test_a_failed_start_is_not_repeated_at_once(model_file: Path, tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "model.gguf"
    async with EmbeddedModel(path, clock=clock, log_file=tmp_path / "log") as model:
        with pytest.raises(Unavailable, match="cannot be read"):
            await model.endpoint()
        path.symlink_to(model_file)
        with pytest.raises(Unavailable, match="cannot be read"):
            await model.endpoint()
        clock.advance(PAUSE_AFTER_FAILURE)
        assert (await model.endpoint()).startswith("http://127.0.0.1:")
