"""The type `agent`: one of our agents on one mail or document."""

import asyncio
from typing import Any

import msgspec
from msgspec.structs import replace

from chittycan.agents.agent import AgentResult
from chittycan.agents.document import DOCUMENT, Paper
from chittycan.agents.invoke import Besides, invoke
from chittycan.agents.performers.calls import Calls
from chittycan.agents.performers.material import file_of, mail_of
from chittycan.agents.performers.parts import Parts
from chittycan.agents.reading import paper_of, read_paper
from chittycan.errors import ChittyError, InvalidRequest
from chittycan.workstreams.task import Done, Outcome, Task


async def perform(parts: Parts, task: Task) -> Outcome:
    """Runs the agent `name` on `mail` (of the inbox) or, for `document`, on `file`.

    What `triage` and `priority` found is given to the agents after them. Where models cannot serve now the task
    waits; where none ever will, or none writes what can be used, the agent's rules answer: `fallback` is then true,
    and `reason` says why. `result`: `json`, `fallback`.
    """
    calls = await Calls.of(parts, task, private=await _privileged(parts, task))
    try:
        found = await _run(parts, task, calls)
    except ChittyError as error:
        return calls.failed(error)
    result: dict[str, Any] = {"json": found.output, "fallback": found.fallback}
    if found.reason is not None and found.fallback:
        result["reason"] = found.reason
    return Done(result=result | calls.marks, model=found.model, cost_nano=calls.cost_nano)


async def _run(parts: Parts, task: Task, calls: Calls) -> AgentResult[Any]:
    spec = task.spec
    if spec.get("file") is not None:
        if spec["name"] != DOCUMENT.name:
            raise InvalidRequest(f"the agent {spec['name']} reads mails, no files", param="file")
        return await read_paper(await _paper(parts, task), calls.ask, model=task.model)
    if spec.get("mail") is None:
        raise InvalidRequest("there is neither a mail nor a file to look at", param="mail")
    stored, _ = await mail_of(parts, task, spec["mail"])
    terms = replace(parts.mail_terms(stored.account or ""), model=task.model)
    if spec.get("template"):
        terms = replace(terms, template=spec["template"])
    earlier = {name: msgspec.to_builtins(spec[name]) for name in ("triage", "priority") if spec.get(name) is not None}
    return await invoke(
        spec["name"], stored.id, calls.ask, parts.database, terms,
        besides=Besides(attachment=spec.get("attachment"), earlier=earlier),
        reread=parts.reread, clock=parts.clock,
    )  # fmt: skip


async def _privileged(parts: Parts, task: Task) -> bool:
    """Whether it is about a mail that private models alone may see."""
    if task.spec.get("file") is not None or task.spec.get("mail") is None:
        return False
    stored, _ = await mail_of(parts, task, task.spec["mail"])
    return stored.privacy is not None


async def _paper(parts: Parts, task: Task) -> Paper:
    """The text of the file. Raises InvalidRequest where it has none."""
    from chittycan.integrations.documents.extract import extract

    name, data = await file_of(parts, task, task.spec["file"])
    async with parts.reading:
        document = await asyncio.to_thread(extract, data, name)
    return paper_of(name, document)
