"""What is wrong with a recipe of the right shape: names, expressions, times, what does not go together."""

import pytest

from chittycan.agents.invoke import AGENTS
from chittycan.workstreams.recipe_file import check
from chittycan.workstreams.validate import AGENT_TAKES

HEAD = """
name: test
inputs: {word: text, words: list, doc: file, docs: folder, mail: mail, mails: inbox, n: number}
steps:
  - {id: a, task: {prompt: Hi, schema: {properties: {risk: {}}}}}
"""


def found(steps: str, head: str = HEAD) -> list[str]:
    """What is wrong, with the fix."""
    recipe, problems = check(f"{head}{steps}")
    assert recipe is not None, problems
    return [f"{each.where}: {each.what} / {each.fix}" for each in problems]


RIGHT = [
    "  - {id: b, task: '${a.json.risk} ${a.text} ${inputs.word} ${inputs.mail.subject} ${context.x.y}'}",
    "  - {id: b, task: {prompt: Hi, files: ['${inputs.doc}', '${inputs.docs}', '${inputs.mail}']}}",
    "  - {id: b, parallel: [{id: c, task: Hi}, {id: d, task: Ho}]}\n  - {id: e, task: '${c.text}${d.text}${b.status}'}",
    "  - {id: b, when: {if: a.json.risk > 3, then: [{id: c, task: Hi}]}}\n  - {id: d, task: '${c.text}'}",
    "  - {id: b, for_each: {in: '${inputs.docs}', steps: [{id: c, agent: {name: document, file: '${item}'}}],"
    " collect: '${item.name} ${c.json}'}}\n  - {id: d, task: '${b.results}'}",
    "  - {id: b, for_each: {in: '${inputs.mails}', steps: [{id: c, agent: {name: triage, mail: '${item}'}}]}}",
    "  - {id: b, for_each: {in: [x@y.test], as: to, steps: [{id: c, send: {to: '${to}', subject: s, body: b}}]}}",
    "  - {id: b, for_each: {in: ['gpt-4'], as: m, steps: [{id: c, task: Hi, model: '${m}'}]}}",
    "  - {id: b, send: {to: '${inputs.mail.reply_to}', subject: s, body: b}}",
    "  - {id: b, ensemble: {prompt: Hi, models: [a, b], mode: median, extract: number, timeout: 30s}}",
    "  - {id: b, ensemble: {prompt: Hi, name: risk}}",
    "  - {id: b, wait: {until: '${inputs.word}'}}",
    "  - {id: b, wait: {webhook: true}, deadline: 2d}",
    "  - {id: b, approval: {title: Fine, timeout: 1h, on_timeout: approve}}",
    "  - {id: b, task: 'costs $5 and $${no}'}",
]


@pytest.mark.parametrize("steps", RIGHT)
def test_a_right_recipe_has_no_problem(steps: str) -> None:
    assert found(steps) == []


WRONG = [
    ("task: '${revew.text}'", "nothing is called 'revew'"),
    ("task: '${aa.text}'", "Did you mean 'a'?"),
    ("task: '${b.text}'", "step 'b' refers to itself"),
    ("task: '${z.text}'}\n  - {id: z, task: Hi", "step 'z' (line 7) is not over when this one starts"),
    ("task: '${a.txt}'", "a has no 'txt' / A step of the kind task gives text, json"),
    ("task: '${a.json.rsk}'", "the schema of a has no 'rsk' / Add it to the schema. Did you mean 'risk'?"),
    ("task: '${inputs.wrd}'", "there is no input 'wrd'"),
    ("task: '${inputs.mail.text}'", "inputs.mail has no 'text' / A mail has id, from"),
    ("task: '${inputs.doc.size}'", "inputs.doc has no 'size'"),
    ("task: '${a.text'", "${ without its }"),
    ("task: '${a.text + 1}'", "is not part of the language"),
    ("task: '${len(context.x)}'", "the context can only be named"),
    ("when: {if: context.x, then: [{id: c, task: Hi}]}", "cannot depend on the context"),
    ("for_each: {in: '${context.x}', steps: [{id: c, task: Hi}]}", "cannot depend on the context"),
    ("for_each: {in: words, steps: [{id: c, task: Hi}]}", "this is text, not a list"),
    ("for_each: {in: 3, steps: [{id: c, task: Hi}]}", "a list is needed"),
    ("for_each: {in: [], as: a, steps: [{id: c, task: Hi}]}", "'a' is the name of something else"),
    ("for_each: {in: [], as: inputs, steps: [{id: c, task: Hi}]}", "'inputs' has a meaning of its own"),
    (
        "for_each: {in: [], steps: [{id: c, task: Hi}]}}\n  - {id: d, task: '${c.text}'",
        "runs once for each item of 'b'",
    ),
    ("for_each: {in: [], steps: [{id: c, task: Hi}]}}\n  - {id: d, task: '${item}'", "nothing is called 'item'"),
    ("parallel: [{id: c, task: Hi}, {id: d, task: '${c.text}'}]", "step 'c' (line 6) is not over"),
    (
        "when: {if: 'true', then: [{id: c, task: Hi}], else: [{id: d, task: '${c.text}'}]}",
        "step 'c' (line 6) is not over",
    ),
    ("when: {if: 'a.text =', then: [{id: c, task: Hi}]}", "cannot be read"),
    ("when: {if: 'true', then: []}", "the block is empty"),
    ("parallel: []", "the block is empty"),
    ("steps: [{id: a, task: Hi}]", "two steps are called 'a' (first in line 5)"),
    ("steps: [{id: context, task: Hi}]", "'context' has a meaning of its own"),
    ("parallel: [{id: c, task: Hi}], model: gpt-4", "'model' has no meaning for the kind parallel"),
    ("wait: 2h, retries: 2", "'retries' has no meaning for the kind wait"),
    ("approval: Fine, deadline: 2h", "Use `timeout` and `on_timeout`"),
    ("ensemble: {prompt: Hi, models: [x, y]}, model: gpt-4", "Name the models under `ensemble:`"),
    ("task: Hi, model: gpt-4, policy: auto", "who answers is said twice"),
    ("task: Hi, deadline: soon", "'soon' is no duration"),
    ("wait: soon", "'soon' is no duration"),
    ("wait: {until: 2026-12-01}", "has no offset"),
    ("wait: {until: tomorrow}", "is no time"),
    ("wait: {}", "it waits for nothing"),
    ("wait: {for: 2h, event: x}", "it waits for for and event"),
    ("approval: {title: x, on_timeout: approve}", "there is no timeout"),
    ("approval: {title: x, timeout: 3}", "text is needed"),
    ("agent: triage", "what triage is to read is not said"),
    ("agent: {name: document, mail: '${inputs.mail}', file: '${inputs.doc}'}", "what document is to read is not said"),
    ("agent: {name: triage, mail: '${inputs.mail}', template: formal}", "triage takes no 'template'"),
    ("agent: {name: triage, mail: '${inputs.word}'}", "inputs.word is text, not a file"),
    ("agent: {name: triage, mail: 'x.eml'}", "files and mails come from inputs"),
    ("agent: {name: triage, mail: '${inputs.mail.id}'}", "inputs.mail is mail, not a file"),
    ("task: {prompt: Hi, files: ['${a.text}']}", "'a' is no file"),
    ("task: {prompt: Hi, files: ['/etc/passwd']}", "files and mails come from inputs"),
    ("task: {prompt: Hi, files: ['x${inputs.doc}']}", "a file must be named as it is"),
    ("task: {prompt: Hi, files: ['${inputs}']}", "`inputs` is no file"),
    ("ensemble: Hi", "who takes part is not said"),
    ("ensemble: {prompt: Hi, models: [x]}", "asks at least 2"),
    ("ensemble: {prompt: Hi, models: [x, y], quorum: 3}", "must be 1 to 2"),
    ("ensemble: {prompt: Hi, models: [x, y], weights: {z: 1}}", "weights.z: is no member"),
]


@pytest.mark.parametrize(("step", "says"), WRONG)
def test_a_wrong_recipe_is_told_what_and_how(step: str, says: str) -> None:
    recipe, problems = check(f"{HEAD}  - {{id: b, {step}}}")
    assert [each for each in problems if says in f"{each.where}: {each.what} / {each.fix}"], (recipe, problems)


FOREIGN = ["${a.text}", "${context.to}", "${inputs.mail.subject}", "x@${a.text}", "${w.json.to}"]
TARGETS = [
    "send: {{to: '{}', subject: s, body: b}}",
    "send: {{to: ['{}'], subject: s, body: b}}",
    "call: 'https://x.test/{}'",
    "call: {{url: 'https://x.test', headers: {{h: '{}'}}}}",
    "task: Hi, model: '{}'",
    "ensemble: {{prompt: Hi, models: [x, '{}']}}",
]


@pytest.mark.parametrize("word", FOREIGN)
@pytest.mark.parametrize("step", TARGETS)
def test_where_something_goes_never_comes_from_a_model_or_a_stranger(word: str, step: str) -> None:
    problems = found(f"  - {{id: w, wait: {{event: e}}}}\n  - {{id: b, {step.format(word)}}}")
    assert any("wrote" in each or "written by models" in each for each in problems)


def test_not_even_by_way_of_a_loop_or_an_approval() -> None:
    loop = "  - {id: b, for_each: {in: '${a.json.risk}', steps: [{id: c, send: {to: '${item}', subject: s, body: b}}]}}"
    assert any("'item' may be what a model" in each for each in found(loop))
    approval = "  - {id: b, approval: {title: t, show: {to: '${a.text}'}}}\n  - {id: c, call: '${b.values.to}'}"
    assert any("'b' may be what a model" in each for each in found(approval))


def test_a_models_words_that_go_out_unread_are_a_warning() -> None:
    send = "  - {id: b, send: {to: x@y.test, subject: s, body: '${a.text}'}}"
    assert any("without anybody's approval" in each for each in found(send))
    assert found("  - {id: ok, approval: Fine}\n" + send) == []


def test_every_agent_is_known_with_what_it_takes() -> None:
    assert set(AGENT_TAKES) == set(AGENTS)


TOP = "name: test\nsteps: [{id: a, task: Hi}]\n"


@pytest.mark.parametrize(
    ("top", "says"),
    [
        ("deadline: soon", "deadline: 'soon' is no duration"),
        ("session: '${a.text}'", "session: step 'a'"),
        ("session: '${inputs.x}'", "session: there is no input 'x'"),
        ("outputs: {x: '${b.text}'}", "outputs.x: nothing is called 'b'"),
        ("inputs: {Big: text}", "inputs.Big: 'Big' cannot be a name"),
        ("inputs: {n: {type: number, default: x}}", "inputs.n.default: a number is needed"),
        ("schedule: {cron: '0 25 * * *'}", "schedule.cron: '0 25 * * *' is no schedule"),
        ("schedule: {cron: hourly}", "schedule.cron: 'hourly' is no schedule"),
        ("schedule: {cron: '* * * * *', timezone: Mars/Base}", "schedule.timezone: no time zone 'Mars/Base'"),
        ("inputs: {x: text}\nschedule: {cron: '* * * * *'}", "inputs.x: a schedule has nobody"),
    ],
)
def test_what_stands_at_the_top_is_looked_at(top: str, says: str) -> None:
    assert any(each.startswith(says) for each in found(top, TOP))


@pytest.mark.parametrize("cron", ["0 6 * * *", "*/5 9-17 * * mon-fri", "0,30 0 1 jan,jul *", "15 3 * * 0-7/2"])
def test_schedules_are_those_of_a_crontab(cron: str) -> None:
    assert found(f"schedule: {{cron: '{cron}', timezone: Europe/Vienna}}", TOP) == []
