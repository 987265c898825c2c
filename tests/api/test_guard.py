"""Who may come in: keys, and on a server without keys this machine's own programs alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.api.guard import LOOPBACK_NAMES, Guard, bearer_of, host_name, is_loopback
from chittycan.auth.keys import Key, Keys, NewKey
from chittycan.errors import ChittyError, Forbidden, InvalidRequest, Unauthenticated
from chittycan.store.database import Database
from chittycan.testing import FakeClock

HERE = ("127.0.0.1", 50_000)
ADMIN = "the-owners-own-credential"
OWN_HOSTS = ["localhost", "localhost:8787", "127.0.0.1:8787", "[::1]", "[::1]:8787", "LOCALHOST:1"]
FOREIGN_HOSTS = [
    "evil.test", "evil.test:8787", "127.0.0.1.evil.test", "localhost.evil.test", "192.168.0.5:8787", "a:b:c",
    "0.0.0.0:8787", "[::ffff:7f00:1]",
]  # fmt: skip
TRICKS = [
    "", "localhost/#@y", "x/#@localhost", "user@localhost", "localhost:80@evil.test", "local host",
    "localhost,evil.test", "localhost\\evil.test", "localhost?x", "localhost\tx", "[::1]evil.test", "[::1",
]  # fmt: skip


@pytest.fixture
async def keys(sqlite: Database, clock: FakeClock) -> Keys:
    keys = Keys(sqlite, clock, ADMIN)
    await keys.refresh()
    return keys


@pytest.fixture
async def secret(keys: Keys) -> str:
    """Of the one key there is."""
    return (await keys.create(NewKey(name="laptop")))[1]


def headers(host: str | None = "localhost:8787", **more: str) -> dict[bytes, bytes]:
    given = {"host": host, **{name.replace("_", "-"): value for name, value in more.items()}}
    return {name.encode(): value.encode("latin-1") for name, value in given.items() if value is not None}


# Without keys


@pytest.mark.parametrize("host", OWN_HOSTS)
@pytest.mark.parametrize("bearer", [None, "Bearer whatever", "Bearer ' OR 1=1 --"])
def test_without_keys_this_machines_programs_pass_with_any_bearer(keys: Keys, host: str, bearer: str | None) -> None:
    given = headers(host) if bearer is None else headers(host, authorization=bearer)
    assert Guard(keys).admit(given) is None


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_name_that_only_points_here_is_refused(keys: Keys, host: str) -> None:
    with pytest.raises(Forbidden, match="answers only to this machine's own names"):
        Guard(keys).admit(headers(host))


@pytest.mark.parametrize("host", TRICKS)
def test_a_host_that_is_none_is_refused(keys: Keys, host: str) -> None:
    with pytest.raises((InvalidRequest, Forbidden)):
        Guard(keys).admit(headers(host))


def test_no_host_is_refused(keys: Keys) -> None:
    with pytest.raises(InvalidRequest):
        Guard(keys).admit({})


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8787", "https://localhost", "http://[::1]:5173"]
)
def test_pages_of_this_machine_pass(keys: Keys, origin: str) -> None:
    assert Guard(keys).admit(headers(origin=origin)) is None


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "null", "http://localhost.evil.test", "http://evil.test:8787", "file://", "", "http://[bad",
     "http://127.0.0.1@evil.test", "chrome-extension://abcdef"],
)  # fmt: skip
def test_pages_of_other_sites_are_refused(keys: Keys, origin: str) -> None:
    with pytest.raises(Forbidden, match="Web pages"):
        Guard(keys).admit(headers(origin=origin))


def test_the_owners_credential_is_known_without_any_key(keys: Keys) -> None:
    key = Guard(keys).admit(headers("evil.test", authorization=f"Bearer {ADMIN}"))
    assert key is not None
    assert key.admin


# With keys


async def test_from_the_first_key_on_one_is_required(keys: Keys, secret: str) -> None:
    guard = Guard(keys)
    for sent in (headers(), headers(authorization="Bearer wrong"), headers(authorization="Basic abc")):
        with pytest.raises(Unauthenticated):
            guard.admit(sent)


@pytest.mark.parametrize("host", ["localhost", "models.office.test", "", None])
async def test_a_key_opens_from_anywhere(keys: Keys, secret: str, host: str | None) -> None:
    guard = Guard(keys)
    for sent in (headers(host, authorization=f"Bearer {secret}"), headers(host, x_api_key=secret)):
        key = guard.admit(sent)
        assert isinstance(key, Key)
        assert key.name == "laptop"


async def test_a_revoked_key_opens_nothing(keys: Keys, secret: str) -> None:
    await keys.revoke("laptop")
    with pytest.raises(Unauthenticated, match="revoked"):
        Guard(keys).admit(headers(authorization=f"Bearer {secret}"))


@pytest.mark.parametrize(
    ("given", "bearer"),
    [
        (headers(authorization="Bearer abc"), "abc"),
        (headers(authorization="bearer  abc "), "abc"),
        (headers(x_api_key=" abc "), "abc"),
        (headers(authorization="Basic dXNlcg==", x_api_key="abc"), "abc"),
        (headers(authorization="Bearer ", x_api_key="abc"), "abc"),
        (headers(authorization="Bearer one", x_api_key="two"), "one"),
        (headers(authorization="Bearer"), None),
        (headers(), None),
    ],
)
def test_where_a_credential_stands(given: dict[bytes, bytes], bearer: str | None) -> None:
    assert bearer_of(given) == bearer


# Metrics


def test_metrics_are_for_this_machine(keys: Keys) -> None:
    Guard(keys).admit_scrape(headers(), HERE)


@pytest.mark.parametrize(
    ("given", "client"),
    [(headers("evil.test"), HERE), (headers(origin="https://evil.test"), HERE), (headers(), ("10.0.0.9", 1)),
     (headers(), None)],
)  # fmt: skip
def test_metrics_are_for_nobody_else(keys: Keys, given: dict[bytes, bytes], client: tuple[str, int] | None) -> None:
    with pytest.raises((Forbidden, Unauthenticated)):
        Guard(keys).admit_scrape(given, client)


async def test_metrics_are_for_whoever_has_a_key(keys: Keys, secret: str) -> None:
    Guard(keys).admit_scrape(headers("monitor.test", authorization=f"Bearer {secret}"), ("10.0.0.9", 1))
    with pytest.raises(Unauthenticated):
        Guard(keys).admit_scrape(headers("monitor.test"), ("10.0.0.9", 1))


# Names


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_addresses_of_this_machine_alone(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "10.0.0.1", "evil.test", "", "localhost.evil.test"])
def test_addresses_that_others_reach(name: str) -> None:
    assert not is_loopback(name)


@given(st.text(max_size=30))
def test_no_host_header_whatever_passes_for_this_machine_by_accident(host: str) -> None:
    name = host_name(host)
    if name in LOOPBACK_NAMES:
        bare, _, port = host.lower().rpartition(":")
        assert host.lower() in LOOPBACK_NAMES or bare in LOOPBACK_NAMES, port


@given(st.dictionaries(st.sampled_from([b"host", b"origin", b"authorization", b"x-api-key"]), st.binary(max_size=40)))
def test_no_headers_whatever_are_a_bug_of_ours(given: dict[bytes, bytes]) -> None:
    class NoKeys:
        required = False

        def authenticate(self, bearer: str | None) -> None:
            return None

    try:
        Guard(NoKeys()).admit(given)  # type: ignore[arg-type]
    except ChittyError:
        pass
