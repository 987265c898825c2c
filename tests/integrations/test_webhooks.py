"""Webhooks: signing as others verify it, verifying what others sign, when a delivery is tried again."""

import base64
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.webhooks import BatchCompletedWebhookEvent, ResponseCompletedWebhookEvent

from chittycan.errors import InvalidRequest, Unauthenticated
from chittycan.integrations import webhooks
from chittycan.integrations.webhooks import new_secret, payload, retry_after, signed_headers, verdict, verify

# The example that the libraries of Standard Webhooks test themselves with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
HEADERS = {
    "Webhook-Id": ID,
    "Webhook-Timestamp": str(AT),
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_published_example_is_signed_and_verified() -> None:
    signed = signed_headers([SECRET], ID, AT + 0.9, BODY)
    assert {name: signed[name.lower()] for name in HEADERS} == HEADERS
    assert verify([SECRET], HEADERS, BODY, now=AT) == ID


@pytest.mark.parametrize("event", ["response.completed", "batch.completed"])
def test_openais_client_reads_our_events(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: AT + 1.0)
    body = payload(event, {"id": "resp_1"}, id="evt_1", at=AT)
    client = openai.OpenAI(api_key="unused", webhook_secret=SECRET)
    read = client.webhooks.unwrap(body, signed_headers([SECRET], "evt_1", AT, body))
    assert isinstance(read, ResponseCompletedWebhookEvent | BatchCompletedWebhookEvent)
    assert (read.type, read.data.id, read.id, read.created_at) == (event, "resp_1", "evt_1", AT)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body + b" ", signed_headers([SECRET], "evt_1", AT, body))


def test_a_body_carries_what_standard_webhooks_names() -> None:
    body = payload("task.completed", {"id": "t1"}, id="evt_1", at=1674087231.25)
    assert (
        body == b'{"id":"evt_1","object":"event","type":"task.completed","created_at":1674087231,'
        b'"timestamp":"2023-01-19T00:13:51.250Z","data":{"id":"t1"}}'
    )


@pytest.mark.parametrize(
    ("change", "body", "now"),
    [
        ({}, BODY + b" ", AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
        ({"Webhook-Id": "msg_other"}, BODY, AT),
        ({"Webhook-Timestamp": str(AT + 1)}, BODY, AT),
        ({"Webhook-Timestamp": "soon"}, BODY, AT),
        ({"Webhook-Timestamp": "٣"}, BODY, 3),
        ({"Webhook-Timestamp": "9" * 5000}, BODY, AT),
        ({"Webhook-Signature": "v1,"}, BODY, AT),
        ({"Webhook-Signature": ""}, BODY, AT),
        ({"Webhook-Signature": "v1,é"}, BODY, AT),
        ({"Webhook-Signature": HEADERS["Webhook-Signature"].replace("v1,", "v2,")}, BODY, AT),
        ({"Webhook-Signature": None}, BODY, AT),
        ({"Webhook-Id": None}, BODY, AT),
    ],
)
def test_anything_else_is_refused(change: dict[str, str | None], body: bytes, now: float) -> None:
    headers = {name: value for name, value in {**HEADERS, **change}.items() if value is not None}
    with pytest.raises(Unauthenticated):
        verify([SECRET], headers, body, now=now)


def test_another_secret_or_none_verifies_nothing() -> None:
    for others in ([new_secret()], []):
        with pytest.raises(Unauthenticated):
            verify(others, HEADERS, BODY, now=AT)


def test_while_a_secret_is_replaced_either_one_verifies() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers([old, new], "evt_1", AT, BODY)
    assert verify([old], headers, BODY, now=AT) == verify([new], headers, BODY, now=AT) == "evt_1"
    assert verify([new_secret(), new], headers, BODY, now=AT) == "evt_1"


@given(st.text(max_size=40), st.binary(max_size=200), st.integers(0, 2**40))
def test_what_is_signed_here_verifies_here(id: str, body: bytes, at: int) -> None:
    assert verify([SECRET], signed_headers([SECRET], id, at, body), body, now=at) == id


def test_secrets_are_new_and_long_enough() -> None:
    assert new_secret() != new_secret()
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "hunter2", "whsec_c2hvcnQ="])
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        signed_headers([secret], "evt_1", AT, BODY)
    assert caught.value.param == "secret"
    assert not secret or secret not in str(caught.value)


def test_nothing_leaves_unsigned() -> None:
    with pytest.raises(InvalidRequest, match="no secret"):
        signed_headers([], "evt_1", AT, BODY)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (302, "retry"),
        (404, "retry"),
        (410, "gone"),
        (429, "retry"),
        (503, "retry"),
    ],
)
def test_an_answer_ends_a_delivery_or_asks_for_another(status: int, expected: str) -> None:
    assert verdict(status) == expected


def test_tries_grow_apart_and_end_after_three_days() -> None:
    waits = [retry_after(failures) for failures in range(1, len(webhooks.RETRIES) + 2)]
    assert waits[:3] == [5, 300, 1800]
    assert waits[-1] is None
    assert sorted(webhooks.RETRIES) == list(webhooks.RETRIES)
    assert 2.5 * 86_400 < sum(webhooks.RETRIES) < 4 * 86_400


def test_the_page_verifies_as_it_says() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/webhooks.md").read_text("utf-8")
    code = page.partition("```python\nimport base64")[2].partition("```")[0]
    said: dict[str, Any] = {}
    exec(f"import base64{code}", said)
    verified, secret, body = said["verified"], new_secret(), b'{"type":"task.completed"}'
    headers = signed_headers([new_secret(), secret], "evt_1", time.time(), body)
    assert verified(secret, headers, body)
    assert not verified(secret, headers, body + b" ")
    assert not verified(new_secret(), headers, body)
    assert not verified(secret, signed_headers([secret], "evt_1", time.time() - 400, body), body)
