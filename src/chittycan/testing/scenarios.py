"""What a scripted upstream can do wrong (and right), as a table. The upstream model's name picks the row.

`WALL` holds sixteen faults that a gateway should absorb or report honestly; `SCENARIOS` adds the oddities of
real providers and the plain answers. `does` says what happens, `expect` what a gateway should make of it.
The table itself follows at the end of this docstring (`python -m chittycan.testing.upstream --list`).
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

ANSWER = (
    "A gateway takes one question and returns one answer, whatever happens on the way. "
    "When a provider falls silent, breaks off or runs out of credit, another model goes on "
    "from the last word that was sent, and nobody notices."
)
OTHER_ANSWER = "Quite another model wrote this sentence, and it shares no beginning with the first."
MULTILINGUAL = "京都 の 天気 は 晴れ です。 Ünïcödé, 👩‍🚀 and 🏳️‍🌈 survive any split."
SECONDS_OF_OUTAGE = 30.0


def tokens(text: str) -> list[str]:
    """The words of `text`, each with the white space before it; joined they are `text`."""
    return re.findall(r"\s*\S+|\s+$", text)


@dataclass(frozen=True)
class ToolUse:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """One answer without a wire form. `stop` is one of stop, length, tool_calls, content_filter."""

    text: str = ANSWER
    thinking: str = ""
    refusal: str = ""
    tools: tuple[ToolUse, ...] = ()
    stop: str = "stop"
    input_tokens: int = 17
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        return len(tokens(self.text + self.thinking + self.refusal)) + 5 * len(self.tools)


@dataclass(frozen=True)
class Ask:
    """What a request says, in whatever dialect. `serial` numbers the requests, so that ids differ."""

    dialect: str
    model: str
    stream: bool
    prefill: str | None = None
    after_tool: bool = False
    include_usage: bool = False
    has_stream_options: bool = False
    schema: dict[str, object] | None = None
    only_tool: str | None = None  # the tool that has to be called; `schema` is then its input's
    serial: int = 0


Then = Literal["cut", "eof", "stall", "error"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One behaviour. Seconds are multiplied by the upstream's `speed` and pass on its clock.

    `keep` is the share of the content that is sent before `then` happens.
    """

    name: str = ""
    does: str
    expect: str = "pass the answer on"
    # instead of an answer
    fault: str | None = None  # a key of faults.FAULTS
    headers: tuple[tuple[str, str], ...] = ()
    raw: tuple[int, str, bytes] | None = None  # status, content type, body
    outage: float = 0.0  # seconds of `fault` from the first call on, then a plain answer
    reset: bool = False  # the connection is reset before a byte of the answer
    # when
    wait: float = 0.0  # seconds before the response headers; inf: never
    first_token: float = 0.0  # seconds between headers and first content
    pace: float = 0.0  # seconds between tokens
    # how it breaks
    keep: float = 1.0
    then: Then | None = None
    malformed: bool = False  # an unreadable event half-way; JSON that breaks off when not streamed
    opening: bool = True  # metadata before the content
    done: bool = True  # the end marker, where the dialect has one apart from the finish
    stay_open: bool = False  # the body is never ended after the end marker
    swap: bool = False  # JSON where a stream was asked for, and the reverse
    # how it is written
    gzip: bool = False
    newline: str = "\n"
    space: str = " "  # after the colon
    comments: bool = False
    split: bool = False  # one byte per HTTP chunk
    noise: bool = False  # null and empty deltas, chunks without choices
    usage_everywhere: bool = False
    index_zero: bool = False  # parallel tool calls all claim index 0
    # what it says
    reply: Reply = Reply()
    echo: bool = False
    structured: bool = False
    prefill: bool = True
    stream_options: bool = True


FOREVER = math.inf
WEATHER = ToolUse("call_weather", "get_weather", '{"city": "Paris", "unit": "celsius"}')
TIME = ToolUse("call_time", "get_time", '{"zone": "Europe/Paris"}')

WALL: dict[str, Scenario] = {
    "s01-429-retry-after": Scenario(
        does="429 with Retry-After: 2 (seconds)", expect="wait 2 s if nobody else can serve, else rotate or fall back",
        fault="rate_limit", headers=(("retry-after", "2"),),
    ),
    "s02-429": Scenario(
        does="429 without Retry-After", expect="back off and retry, rotate or fall back", fault="rate_limit",
    ),
    "s03-500": Scenario(does="500", expect="retry once or twice with backoff, then fall back", fault="server"),
    "s04-hang": Scenario(
        does="accepts the request and never answers", expect="first-token deadline, then the next model at once",
        wait=FOREVER,
    ),
    "s05-dead-host": Scenario(
        does="resets the connection (a closed port is `ScriptedUpstream.dead_url`)", expect="fall back", reset=True,
    ),
    "s06-cut-before": Scenario(
        does="200 and metadata, then the connection closes before the first token",
        expect="failed before content: retry or fall back, nothing of this attempt is seen", keep=0.0, then="cut",
    ),
    "s07-slow-first-token": Scenario(
        does="200 and metadata, first token after 20 s",
        expect="next model at the first-token deadline; alone: wait, with keepalives", first_token=20.0,
    ),
    "s08-cut-middle": Scenario(
        does="half of the answer, then the connection closes",
        expect="another model continues; the client sees one whole answer", keep=0.5, then="cut",
    ),
    "s09-stall": Scenario(
        does="half of the answer, then silence", expect="idle deadline, then as for a cut", keep=0.5, then="stall",
    ),
    "s10-malformed": Scenario(
        does="an event that is not JSON half-way, then the rest", expect="skip and count it; the answer is whole",
        malformed=True,
    ),
    "s11-no-done": Scenario(
        does="finish reason, then the end without [DONE] or message_stop",
        expect="the client gets a proper end and usage at once", done=False,
    ),
    "s12-200-error": Scenario(
        does="200 whose first event (or body) is an error", expect="failed before content: retry or fall back",
        opening=False, keep=0.0, then="error",
    ),
    "s13-outage": Scenario(
        does="503 for 30 s from the first call on, then healthy", expect="fall back meanwhile; return within 30 s",
        fault="unavailable", outage=SECONDS_OF_OUTAGE,
    ),
    "s14-content-filter": Scenario(
        does="refuses by content policy (400; Gemini: 200 without candidates)",
        expect="tell the client; never route around it", fault="content",
    ),
    "s15-quota": Scenario(
        does="out of credit: 429 insufficient_quota (Anthropic: 400 credit balance)",
        expect="no retry with that key; rotate, fall back, cool down for minutes", fault="quota",
    ),
    "s16-bad-key": Scenario(
        does="401 that repeats the key (Gemini: 400)", expect="rotate or fall back; never a 401 or the key downstream",
        fault="bad_key",
    ),
}  # fmt: skip

ERRORS: dict[str, Scenario] = {
    "429-date": Scenario(
        does="429 with Retry-After as an HTTP date 2 s ahead", fault="rate_limit", headers=(("retry-after", "{date}"),),
        expect="as for 2 seconds",
    ),
    "429-ms": Scenario(
        does="429 with retry-after-ms: 250", fault="rate_limit", headers=(("retry-after-ms", "250"),),
        expect="wait 0.25 s",
    ),
    "429-hour": Scenario(
        does="429 with Retry-After: 3600", fault="rate_limit", headers=(("retry-after", "3600"),),
        expect="fall back now, cool down for the hour",
    ),
    "429-garbage": Scenario(
        does="429 with Retry-After: soon", fault="rate_limit", headers=(("retry-after", "soon"),), expect="back off",
    ),
    "408": Scenario(does="408", fault="request_timeout", expect="as for 500"),
    "503": Scenario(does="503", fault="unavailable", expect="as for 500"),
    "504": Scenario(does="504", fault="gateway_timeout", expect="as for 500"),
    "529": Scenario(does="529 overloaded", fault="overloaded", expect="as for 500; same key"),
    "502-html": Scenario(
        does="502 with a page of HTML",
        raw=(502, "text/html", b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
        expect="as for 500; the page is not echoed",
    ),
    "200-empty": Scenario(
        does="200 with no body", raw=(200, "application/json", b""), expect="failed before content",
    ),
    "200-html": Scenario(
        does="200 with a page of HTML", raw=(200, "text/html", b"<html>Welcome to the captive portal</html>"),
        expect="failed before content",
    ),
    "redirect": Scenario(
        does="302 to another host", raw=(302, "text/plain", b""), headers=(("location", "http://127.0.0.1:9/"),),
        expect="never followed; failed",
    ),
    "400-credit": Scenario(does="400 whose text says the credit is gone", fault="credit", expect="as for quota"),
    "402": Scenario(does="402", fault="payment", expect="as for quota"),
    "403-key-limit": Scenario(does="403 key limit exceeded", fault="key_limit", expect="as for quota"),
    "403": Scenario(does="403", fault="forbidden", expect="as for a bad key"),
    "400-context": Scenario(does="400 prompt too long", fault="context", expect="only to a larger window"),
    "413": Scenario(does="413", fault="too_large", expect="only to a larger window"),
    "400-bad-field": Scenario(does="400 for a field", fault="bad_field", expect="tell the caller; no fallback"),
    "404-model": Scenario(does="404 no such model", fault="no_model", expect="fall back, cool down long"),
    "200-error-late": Scenario(
        does="metadata and pings, then an error event before any content", keep=0.0, then="error", noise=True,
        expect="failed before content: nothing of this attempt leaks",
    ),
    "error-middle": Scenario(
        does="half of the answer, then an error event", keep=0.5, then="error", expect="as for a cut",
    ),
    "eof-no-finish": Scenario(
        does="half of the answer, then a clean end without finish reason", keep=0.5, then="eof",
        expect="as for a cut; a finish is never invented",
    ),
    "reset": Scenario(does="resets the connection", reset=True, expect="as for 500"),
    "slow-headers": Scenario(does="headers after 20 s", wait=20.0, expect="as for a slow first token"),
}  # fmt: skip

ODDITIES: dict[str, Scenario] = {
    "json-on-stream": Scenario(does="JSON where a stream was asked for, SSE where not", swap=True),
    "gzip": Scenario(does="a gzip body", gzip=True),
    "comments": Scenario(does="SSE comments before and between events", comments=True),
    "crlf": Scenario(does="events end in CRLF", newline="\r\n"),
    "cr": Scenario(does="events end in CR alone, no space after the colon", newline="\r", space=""),
    "no-space": Scenario(does="no space after `data:`", space=""),
    "utf8-split": Scenario(does="one byte per HTTP chunk, through kanji and emoji", split=True,
                           reply=Reply(MULTILINGUAL)),
    "noise": Scenario(does="null and empty deltas, missing index, chunks without choices", noise=True),
    "usage-everywhere": Scenario(does="cumulative usage in every chunk", usage_everywhere=True,
                                 expect="the last counts, never the sum"),
    "open-after-done": Scenario(does="keeps the socket open after the end marker", stay_open=True,
                                expect="end the client's stream at once; do not pool the connection"),
    "no-stream-options": Scenario(does="400 when the body has stream_options", stream_options=False,
                                  expect="retry without, remember it"),
    "slow": Scenario(does="0.05 s between tokens", pace=0.05),
}  # fmt: skip

ANSWERS: dict[str, Scenario] = {
    "ok": Scenario(does="ANSWER; the rest of it after a prefill that is a prefix of it"),
    "ok-noprefill": Scenario(does="ANSWER; 400 to a prefill", prefill=False,
                             expect="restart and suppress what the client already has"),
    "ok-other": Scenario(does="OTHER_ANSWER, which does not begin like ANSWER", reply=Reply(OTHER_ANSWER),
                         prefill=False),
    "long": Scenario(does="5,000 tokens, 0.01 s apart (to hang up on)", pace=0.01,
                     reply=Reply(" ".join(f"word{n}" for n in range(5000)))),
    "tools": Scenario(does="two parallel tool calls; ANSWER after their results",
                      reply=Reply("", tools=(WEATHER, TIME), stop="tool_calls")),
    "tools-text": Scenario(does="text, then a tool call",
                           reply=Reply("Let me look.", tools=(WEATHER,), stop="tool_calls")),
    "tools-index-0": Scenario(does="two tool calls that both claim index 0", index_zero=True,
                              reply=Reply("", tools=(WEATHER, TIME), stop="tool_calls"), expect="re-index"),
    "tools-same-id": Scenario(
        does="two tool calls with one id", expect="make the second id unique",
        reply=Reply("", tools=(WEATHER, ToolUse(WEATHER.id, TIME.name, TIME.arguments)), stop="tool_calls"),
    ),
    "tools-empty": Scenario(does="a tool call without arguments", expect='arguments are "{}"',
                            reply=Reply("", tools=(ToolUse("call_now", "now", ""),), stop="tool_calls")),
    "tools-cut": Scenario(does="a tool call whose JSON breaks off at the token limit", expect="still a valid answer",
                          reply=Reply("", tools=(ToolUse("call_1", "get_weather", '{"city": "Par'),), stop="length")),
    "tools-cut-middle": Scenario(does="breaks off in the middle of tool calls", keep=0.6, then="cut",
                                 reply=Reply("", tools=(WEATHER, TIME), stop="tool_calls"),
                                 expect="in-band error; never continued"),
    "thinking": Scenario(does="reasoning, then ANSWER", reply=Reply(thinking="First I consider the question itself.")),
    "refusal": Scenario(does="a refusal", reply=Reply("", refusal="I will not help with that.",
                                                     stop="content_filter")),
    "filtered": Scenario(does="text that ends with finish reason content_filter",
                         reply=Reply("I was about to", stop="content_filter")),
    "length": Scenario(does="text that ends at the token limit", reply=Reply("Cut by the limit", stop="length")),
    "cached": Scenario(does="usage with 800 of 1,000 input tokens cached",
                       reply=Reply(input_tokens=1000, cached_tokens=800)),
    "cache-write": Scenario(does="usage with 12,304 tokens written to the cache",
                            reply=Reply(input_tokens=12307, cache_write_tokens=12304)),
    "echo": Scenario(does="the JSON body that was received, as the answer's text", echo=True),
    "json": Scenario(does="the smallest JSON that satisfies the schema asked for", structured=True),
}  # fmt: skip

SCENARIOS: dict[str, Scenario] = {**WALL, **ERRORS, **ODDITIES, **ANSWERS}


def table() -> str:
    """The scenarios as a Markdown table."""
    rows = [f"| `{name}` | {each.does} | {each.expect} |" for name, each in SCENARIOS.items()]
    return "\n".join(["| upstream model | what it does | what a gateway should do |", "|---|---|---|", *rows])


__doc__ = f"{__doc__}\n{table()}\n"
