"""Sessions' documents over HTTP: versions as ETags, whose session it is, and what is refused."""

from typing import Any

import pytest

from bare_http import Got
from serving import Serve, Served, proxy

PLACE = "/api/v1/context/deal-42"


def owner(served: Served) -> dict[str, str]:
    """The headers of this machine's own command."""
    return {"authorization": f"Bearer {(served.network.data / 'admin.key').read_text().strip()}"}


@pytest.fixture
async def served(serve: Serve, up: Any) -> Served:
    return await serve({"openai": proxy(up.url, "openai")})


async def put(served: Served, document: Any, query: str = "", **headers: str) -> Got:
    return await served.fetch("PUT", PLACE + query, document, headers)


async def test_a_document_is_put_read_patched_and_deleted(served: Served) -> None:
    made = await put(served, {"client": {"name": "Acme", "city": "Ulm"}})
    assert (made.status, made.headers["etag"]) == (200, '"1"')
    read = await served.fetch("GET", PLACE)
    assert (read.json, read.headers["etag"]) == (made.json, '"1"')
    assert read.json["document"] == {"client": {"name": "Acme", "city": "Ulm"}}
    patch = {"client": {"city": None}, "risk": 7}
    patched = await served.fetch("PATCH", PLACE, patch, {"content-type": "application/merge-patch+json"})
    assert (patched.json["document"], patched.headers["etag"]) == ({"client": {"name": "Acme"}, "risk": 7}, '"2"')
    assert (await served.fetch("DELETE", PLACE)).status == 204
    gone = await served.fetch("GET", PLACE)
    assert (gone.status, gone.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("tag", ['"1"', "1", 'W/"1"'])
async def test_a_write_on_top_of_an_old_version_is_412_and_says_the_new_one(served: Served, tag: str) -> None:
    await put(served, {"a": 1})
    assert (await served.fetch("PATCH", PLACE, {"a": 2}, {"if-match": tag})).status == 200
    for method in ("PATCH", "PUT", "DELETE"):
        late = await served.fetch(method, PLACE, None if method == "DELETE" else {"a": 3}, {"if-match": tag})
        assert (late.status, late.json["error"]["code"]) == (412, "version_conflict")
        assert "version 2" in late.json["error"]["message"]
    assert (await served.fetch("DELETE", PLACE, headers={"if-match": '"2"'})).status == 204


async def test_a_write_may_ask_that_there_be_something_or_nothing(served: Served) -> None:
    assert (await put(served, {}, **{"if-match": "*"})).status == 412
    assert (await put(served, {}, **{"if-none-match": "*"})).status == 200
    assert (await put(served, {}, **{"if-none-match": "*"})).status == 412
    assert (await put(served, {}, **{"if-match": "*"})).status == 200


@pytest.mark.parametrize("headers", [{"if-match": '"abc"'}, {"if-match": '"1", "2"'}, {"if-none-match": '"1"'}])
async def test_conditions_that_say_no_version_are_refused_by_name(served: Served, headers: dict[str, str]) -> None:
    got = await put(served, {}, **headers)
    assert got.status == 400
    assert got.json["error"]["param"].lower() in headers


async def test_who_knows_the_version_is_not_sent_it_again(served: Served) -> None:
    await put(served, {"a": 1})
    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        got = await served.fetch("GET", PLACE, headers={"if-none-match": known})
        assert (got.status, got.body, got.headers["etag"]) == (304, b"", '"1"')
    assert (await served.fetch("GET", PLACE, headers={"if-none-match": '"7"'})).status == 200


async def test_keys_are_labelled_as_they_are_written_and_only_the_owner_lowers_it(served: Served) -> None:
    made = await put(served, {"mail": "x", "id": "y", "note": "z"}, "?private=mail&private=id&outside=mail")
    assert made.json["labels"] == {
        "mail": {"privacy": "private", "trust": "outside"}, "id": {"privacy": "private", "trust": "inside"},
    }  # fmt: skip
    assert (await put(served, {"mail": "x"})).json["labels"] == {"mail": {"privacy": "private", "trust": "outside"}}
    lower = {"key": "mail", "privacy": "public"}
    assert (await served.fetch("PUT", f"{PLACE}/labels", lower)).status == 401
    lowered = await served.fetch("PUT", f"{PLACE}/labels", lower, owner(served))
    assert lowered.json["labels"] == {"mail": {"privacy": "public", "trust": "outside"}}
    wrong = await served.fetch("PUT", f"{PLACE}/labels", {"key": "mail", "privacy": "secret"}, owner(served))
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "privacy")


async def test_history_and_sessions_say_who_and_when(served: Served) -> None:
    await put(served, {"a": 1}, "?private=a&ttl=60")
    await served.fetch("PATCH", PLACE, {"b": 2})
    second, first = (await served.fetch("GET", f"{PLACE}/history")).json
    assert (first["version"], first["replaced"], first["patch"], first["kind"]) == (1, True, {"a": 1}, "person")
    assert first["labels"] == {"a": {"privacy": "private", "trust": "inside"}}
    assert (second["version"], second["replaced"], second["patch"]) == (2, False, {"b": 2})
    assert len((await served.fetch("GET", f"{PLACE}/history?limit=1")).json) == 1
    (row,) = (await served.fetch("GET", "/api/v1/sessions")).json
    assert (row["session"], row["version"], row["size"], row["key"]) == ("deal-42", 2, 13, None)
    assert row["expires_at"] == row["updated_at"] + 60


async def test_a_key_has_sessions_of_its_own(served: Served) -> None:
    mine, theirs = [{"authorization": f"Bearer {await served.key(name)}"} for name in ("mine", "theirs")]
    made = await served.fetch("PUT", PLACE, {"a": 1}, mine)
    assert made.json["key"] == "mine"
    assert (await served.fetch("GET", f"{PLACE}/history", headers=mine)).json[0]["name"] == "mine"
    for method, path in (("GET", PLACE), ("DELETE", PLACE), ("PATCH", PLACE), ("GET", f"{PLACE}/history")):
        body: Any = {} if method == "PATCH" else None
        got = await served.fetch(method, path, body, theirs)
        assert (got.status, got.json["error"]["code"]) == (403, "session_not_allowed")
    assert (await served.fetch("GET", "/api/v1/sessions", headers=theirs)).json == []
    assert (await served.fetch("GET", PLACE, headers=owner(served))).json["document"] == {"a": 1}


async def test_the_owner_shares_a_session_with_one_key(served: Served) -> None:
    await put(served, {"a": 1})
    key = {"authorization": f"Bearer {await served.key('app')}"}
    assert (await served.fetch("GET", PLACE, headers=key)).status == 403
    shared = await served.fetch("PUT", f"{PLACE}/key", {"key": "app"}, owner(served))
    assert (shared.json["key"], shared.json["version"]) == ("app", 1)
    assert (await served.fetch("PATCH", PLACE, {"b": 2}, key)).status == 200
    unknown = await served.fetch("PUT", f"{PLACE}/key", {"key": "nobody"}, owner(served))
    assert (unknown.status, unknown.json["error"]["param"]) == (400, "key")
    assert (await served.fetch("PUT", f"{PLACE}/key", {}, owner(served))).json["key"] is None
    assert (await served.fetch("GET", PLACE, headers=key)).status == 403


@pytest.mark.parametrize("body", [b"[1]", b'"a"', b"null", b"{", b'{"a": 1, "a": 2}', b""])
async def test_what_is_no_json_object_is_refused(served: Served, body: bytes) -> None:
    for method in ("PUT", "PATCH"):
        assert (await served.fetch(method, PLACE, body)).status == 400


@pytest.mark.parametrize("query", ["?ttl=-1", "?ttl=soon", "?private=b", "?ttl=nan"])
async def test_a_wrong_parameter_is_refused_and_nothing_written(served: Served, query: str) -> None:
    assert (await put(served, {"a": 1}, query)).status == 400
    assert (await served.fetch("GET", PLACE)).status == 404


async def test_names_are_any_text_but_paths(served: Served) -> None:
    for name in ("deal%2042", "gr%C3%B6%C3%9Fe", "a:b@c;d"):
        assert (await served.fetch("PUT", f"/api/v1/context/{name}", {})).status == 200
    assert (await served.fetch("PUT", "/api/v1/context/a%0Ab", {})).status == 400
    names = {row["session"] for row in (await served.fetch("GET", "/api/v1/sessions")).json}
    assert names == {"deal 42", "größe", "a:b@c;d"}


async def test_a_document_that_is_too_large_is_413(serve: Serve, up: Any) -> None:
    served = await serve({"openai": proxy(up.url, "openai")}, context={"maxBytes": 100})
    got = await put(served, {"a": "x" * 100})
    assert (got.status, got.json["error"]["code"]) == (413, "request_too_large")
