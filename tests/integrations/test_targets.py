"""Which URLs, hosts and addresses a request of ours may go to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chittycan.errors import ConfigError, Forbidden, InvalidRequest
from chittycan.integrations.targets import AllowList, parse, reach


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("https://hooks.example.com/a?b=c", "https", "hooks.example.com", 443, "/a?b=c"),
        ("HTTPS://Hooks.Example.COM.", "https", "hooks.example.com", 443, "/"),
        ("http://127.0.0.1:9000/x#part", "http", "127.0.0.1", 9000, "/x"),
        ("https://[2001:DB8::1]:8443", "https", "2001:db8::1", 8443, "/"),
        ("https://xn--bcher-kva.example?q", "https", "xn--bcher-kva.example", 443, "/?q"),
    ],
)
def test_a_url_is_read_into_its_parts(url: str, scheme: str, host: str, port: int, path: str) -> None:
    target = parse(url)
    assert (target.scheme, target.host, target.port, target.path) == (scheme, host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.com", "//hooks.example.com/", "ftp://hooks.example.com", "file:///etc/passwd", "https://",
        "https:///path", "https://user@hooks.example.com", "https://u:p@hooks.example.com/", "https://good\\@evil.com",
        "https://a b.example.com", "https://a.example.com/\r\nhost: evil", "https://a.example.com:0/",
        "https://a.example.com:99999", "https://a.example.com:x", "https://[::1", "https://[fe80::1%25eth0]/",
        "https://bücher.example", "https://-a.example", "https://a..example", "https://" + "a" * 9000,
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(url)
    assert caught.value.param == "url"
    assert caught.value.fix


@given(st.text())
def test_any_text_is_a_target_or_an_error_of_ours(text: str) -> None:
    try:
        target = parse("https://" + text)
    except InvalidRequest:
        return
    assert target.host
    assert parse(f"https://{target.authority}{target.path}") == target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", "public"), ("2606:4700::1111", "public"),
        ("10.1.2.3", "private"), ("172.31.0.1", "private"), ("192.168.1.1", "private"), ("100.64.0.1", "private"),
        ("127.0.0.1", "private"), ("::1", "private"), ("fd12:3456::1", "private"),
        ("169.254.169.254", "never"), ("fe80::1", "never"), ("100.100.100.200", "never"), ("fd00:ec2::254", "never"),
        ("168.63.129.16", "never"), ("192.0.0.192", "never"), ("0.0.0.0", "never"), ("::", "never"),
        ("224.0.0.1", "never"), ("ff02::1", "never"), ("240.0.0.1", "never"), ("255.255.255.255", "never"),
        ("192.0.2.1", "never"), ("2001:db8::1", "never"), ("::7f00:1", "never"),
        # other ways to write an IPv4 address: mapped, 6to4, NAT64, Teredo
        ("::ffff:127.0.0.1", "private"), ("::ffff:169.254.169.254", "never"), ("2002:7f00:1::", "private"),
        ("2002:a9fe:a9fe::1", "never"), ("64:ff9b::a9fe:a9fe", "never"), ("64:ff9b::5db8:d70e", "public"),
        ("64:ff9b:1::a00:1", "private"), ("2001:0:4136:e378:8000:63bf:80ff:fffe", "private"),
    ],
)  # fmt: skip
def test_an_address_is_public_private_or_out_of_reach(address: str, expected: str) -> None:
    assert reach(ip_address(address)) == expected


@given(st.ip_addresses())
def test_only_what_the_registries_call_global_is_public(address: object) -> None:
    known = ip_address(str(address))
    if reach(known) == "public" and known.version == 4:
        assert known.is_global
        assert not known.is_multicast


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("hooks.example.com", "https://hooks.example.com/a", True),
        ("Hooks.Example.com.", "https://hooks.example.com/a", True),
        ("hooks.example.com", "http://hooks.example.com/a", False),
        ("http://hooks.example.com", "http://hooks.example.com/a", True),
        ("http://hooks.example.com", "https://hooks.example.com/a", False),
        ("hooks.example.com", "https://hooks.example.com:8443/", False),
        ("hooks.example.com:8443", "https://hooks.example.com:8443/", True),
        ("hooks.example.com", "https://hooks.example.com.evil.net/", False),
        ("hooks.example.com", "https://a.hooks.example.com/", False),
        ("*.example.com", "https://hooks.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://badexample.com/", False),
        ("*", "https://anything.net/", True),
        ("*", "http://anything.net/", False),
        ("*", "https://93.184.215.14/", False),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", True),
        ("127.0.0.1:9000", "https://127.0.0.1:9000/", True),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/", False),
        ("localhost:9000", "http://localhost:9000/", True),
        ("10.0.0.7:80", "http://10.0.0.7/", False),
        ("[::1]:9000", "http://[::1]:9000/", True),
    ],
)
def test_the_list_says_which_servers_may_be_asked(entry: str, url: str, allowed: bool) -> None:
    hosts = AllowList([entry])
    if allowed:
        hosts.check(parse(url))
    else:
        with pytest.raises(Forbidden, match="not on the list"):
            hosts.check(parse(url))


def test_what_to_add_to_the_list_is_in_the_error() -> None:
    with pytest.raises(Forbidden) as caught:
        AllowList().check(parse("https://hooks.example.com:8443/secret-path"))
    assert "hooks.example.com:8443" in str(caught.value.fix)
    assert "secret-path" not in f"{caught.value} {caught.value.fix}"


@pytest.mark.parametrize(
    ("entry", "private", "address", "allowed"),
    [
        ("hooks.example.com", False, "93.184.215.14", True),
        ("hooks.example.com", False, "10.0.0.7", False),
        ("hooks.example.com", True, "10.0.0.7", True),
        ("hooks.example.com", True, "169.254.169.254", False),
        ("hooks.example.com", True, "::ffff:169.254.169.254", False),
        ("hooks.example.com", False, "fe80::1%eth0", False),
        ("hooks.example.com", False, "no address", False),
    ],
)
def test_a_listed_name_must_lead_to_an_address_that_may_be_reached(
    entry: str, private: bool, address: str, allowed: bool
) -> None:
    hosts, target = AllowList([entry], private=private), parse("https://hooks.example.com/")
    if allowed:
        hosts.check_addresses(target, [address])
    else:
        with pytest.raises(Forbidden, match="private network"):
            hosts.check_addresses(target, ["93.184.215.14", address])


@pytest.mark.parametrize("literal", ["127.0.0.1", "10.0.0.7", "169.254.1.1", "fd00::7"])
def test_an_address_that_is_written_out_may_be_private(literal: str) -> None:
    entry = f"[{literal}]" if ":" in literal else literal
    hosts = AllowList([entry])
    hosts.check_addresses(parse(f"https://{entry}/"), [literal])
    with pytest.raises(Forbidden):
        hosts.check_addresses(parse(f"https://{entry}/"), ["10.9.9.9"])


def test_localhost_means_this_machine_only() -> None:
    hosts, target = AllowList(["localhost:9000"]), parse("http://localhost:9000/")
    hosts.check_addresses(target, ["127.0.0.1", "::1"])
    with pytest.raises(Forbidden):
        hosts.check_addresses(target, ["10.0.0.7"])


@pytest.mark.parametrize("entry", ["", "a b", "https://", "example.com/path", "*.", "ex*mple.com", "a:0", "a:99999"])
def test_a_broken_entry_is_named(entry: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AllowList(["good.example.com", entry])
    assert caught.value.key == "outbound.allow.1"
