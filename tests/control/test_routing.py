"""Teaching `auto` over HTTP: from what was said of answers, in a process of its own."""

from typing import Any

import pytest

from serving import Serve, Served, proxy


def owner(served: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {(served.network.data / 'admin.key').read_text().strip()}"}


@pytest.fixture
async def served(serve: Serve, up: Any) -> Served:
    models = {
        name: {"proxy": "openai", "upstream": "ok", "price": {"input": price, "output": price}}
        for name, price in (("dear", 100), ("cheap", 1))
    }
    return await serve({"openai": proxy(up.url, "openai", defaultModel="dear")}, models, {"*": ["dear"]})


async def test_what_was_said_of_answers_is_learnt_and_used(served: Served) -> None:
    for model in ("dear", "cheap") * 10:
        answer = await served.chat(model, headers={"x-chitty-kind": "code"})
        said = {"request_id": answer.headers["x-chitty-request-id"], "score": 1.0}
        assert (await served.fetch("POST", "/api/v1/feedback", said, owner(served))).status == 200
    asked = {"prompt": "fix it", "kind": "code"}
    before = await served.fetch("POST", "/api/v1/explain", asked, owner(served))
    assert before.json["chain"] == ["dear"]

    tried = await served.fetch("POST", "/api/v1/routing/train", {"dry_run": True}, owner(served))
    assert (tried.json["at"], tried.json["report"]["scored"]) == (None, 20)
    assert (await served.fetch("GET", "/api/v1/routing/quality", headers=owner(served))).json["report"] is None

    assert (await served.fetch("POST", "/api/v1/routing/train", {}, owner(served))).status == 200
    await served.network.policy.refresh()
    after = await served.fetch("POST", "/api/v1/explain", asked, owner(served))
    assert after.json["chain"][0] == "cheap"
    gone = await served.fetch("DELETE", "/api/v1/routing/quality", headers=owner(served))
    assert gone.json == {"trainings": 1}


@pytest.mark.parametrize("learn", [False, True])
async def test_what_holders_of_keys_say_is_learnt_from_where_the_owner_wants_that(
    serve: Serve, up: Any, learn: bool
) -> None:
    models = {"one": {"proxy": "openai", "upstream": "ok"}}
    served = await serve({"openai": proxy(up.url, "openai")}, models, routing={"learn": learn})
    guest = {"authorization": f"Bearer {await served.key('guest')}"}
    for who in (guest, owner(served)):
        answer = await served.chat("one", headers={**who, "x-chitty-kind": "code"})
        said = {"request_id": answer.headers["x-chitty-request-id"], "score": 1.0}
        assert (await served.fetch("POST", "/api/v1/feedback", said, who)).status == 200
    tried = await served.fetch("POST", "/api/v1/routing/train", {"dry_run": True}, owner(served))
    assert tried.json["report"]["scored"] == 1 + learn


async def test_a_server_goes_on_with_what_it_knows_where_the_newest_is_damaged(served: Served) -> None:
    from chittycan.store import quality

    await served.network.database.run(quality.keep, b"damaged", "{}", 1.0)
    await served.network.policy.refresh()
    assert (await served.chat("auto")).status == 200


async def test_training_is_the_owners(served: Served) -> None:
    key = {"authorization": f"Bearer {await served.key('someone')}"}
    for method, path in (("POST", "train"), ("GET", "quality"), ("DELETE", "quality")):
        assert (await served.fetch(method, f"/api/v1/routing/{path}", headers=key)).status == 403
