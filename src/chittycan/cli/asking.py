"""What `can ask` and `can connect proxy` share: from the words on the command line to the answer on the terminal."""

import os
import select
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chittycan.chat import ChatEvent, ChatRequest, Message, Part, RefusalDelta, Text, TextDelta, ThinkingDelta

from chittycan.chat import collect, system as system_message  # isort: skip
from chittycan.cli.output import console, dollars, errors, plain, progress, seconds
from chittycan.errors import UsageError

if TYPE_CHECKING:
    from chittycan.cli.session import Session
    from chittycan.gateway.call import Answer, Options, Trace

PATIENCE = 2.0  # seconds after which an open but silent pipe is explained


def request(words: Sequence[str], *, model: str, system: str | None, quiet: bool) -> ChatRequest:
    """The chat request of a prompt: with the files that it names, and what was piped in. Raises ChittyError."""
    from chittycan.integrations.documents.attach import named_files, part

    prompt = " ".join(words).strip()
    added = piped(bool(prompt))
    if not prompt and not added:
        raise UsageError("There is no prompt.", fix='can ask "What is a heat pump?"')
    parts: list[Part] = [Text(prompt)] if prompt else []
    files = named_files(prompt, Path.cwd())
    if files:
        names = plain(", ".join(path.name for path in files))
        with progress(f"reading {names}"):
            parts += [part(path) for path in files]
        if not quiet:
            errors.print(f"[dim]with {names}[/]")
    if added:
        parts.append(Text(added))
    messages = [system_message(system)] if system else []
    return ChatRequest(model=model, messages=[*messages, Message("user", parts)])


def piped(has_prompt: bool) -> str:
    """Standard input where something is piped in; "" where it is a terminal, closed or /dev/null."""
    try:
        number = sys.stdin.fileno()
        kind = os.fstat(number).st_mode
    except (AttributeError, OSError, ValueError):
        return ""
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind) or stat.S_ISSOCK(kind)):
        return ""
    waits = has_prompt and os.name == "posix" and not stat.S_ISREG(kind)
    if waits and not select.select([number], [], [], PATIENCE)[0]:
        errors.print("[dim]waiting for the end of standard input (a pipe is open; `</dev/null` says there is none)[/]")
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip()


async def answer(session: "Session", chat: ChatRequest, options: "Options", *, live: bool) -> "Answer":
    """Asks; with `live` the text appears on standard output as it is written."""
    if not live:
        with progress(f"asking {plain(chat.model)}"):
            return await session.ask(chat, options)
    from chittycan.gateway.call import Answer

    events: list[ChatEvent] = []
    ending = "\n"
    spinner = progress(f"asking {plain(chat.model)}")
    spinner.start()
    try:
        stream = await session.stream(chat, options)
        async for event in stream.events():
            events.append(event)
            if isinstance(event, ThinkingDelta):
                spinner.update("[dim]thinking[/]")
            elif isinstance(event, TextDelta | RefusalDelta) and event.text:
                spinner.stop()
                sys.stdout.write(event.text)
                sys.stdout.flush()
                ending = event.text[-1]
    finally:
        spinner.stop()
        if ending != "\n":
            sys.stdout.write("\n")
            sys.stdout.flush()
    return Answer(response=collect(events), trace=stream.trace)


def summary(trace: "Trace", asked: str) -> None:
    """The line after an answer: ✓ claude-sonnet-4-5 (1.2s, $0.0031). A pipe gets the answer alone.

    `asked` is the model that was asked for: where another one answered without its having failed, that is said.
    """
    cost = "from the cache" if trace.cached else dollars(trace.cost_nano)
    note = ""
    if trace.fallbacks:
        note = f" [dim]after {trace.fallbacks} other{'s' if trace.fallbacks > 1 else ''} failed[/]"
    elif trace.route in ("named", "private") and asked != "private" and not asked.startswith(("auto", trace.model)):
        note = f" [dim]in place of {plain(asked)}: can explain -m {plain(asked)}[/]"
    where = console if console.is_terminal else errors
    where.print(f"[green]✓[/] {plain(trace.model)} [dim]({seconds(trace.ms)}, {cost})[/]{note}")


def brief(answer: "Answer") -> dict[str, Any]:
    """What scripts get of an answer; `json` only where the answer is JSON."""
    usage, value = answer.trace.usage, parsed(answer.text)
    said = {"json": value} if value is not None else {}
    return {
        "model": answer.model,
        "text": answer.text,
        **said,
        "cost_usd": answer.cost_usd,
        "ms": round(answer.ms, 1),
        "tokens": usage.input + usage.output if usage is not None else None,
    }


def parsed(text: str) -> Any:
    """The answer as JSON, also where the model put it into a Markdown fence; None where it is none."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
