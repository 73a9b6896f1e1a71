from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config import notation
from twistedgate.config.notation import Endpoint, Redirect, Respond, TargetConfig
from twistedgate.config.values import Surroundings, ValueType


def read(kind: ValueType[Any], text: str) -> Any:
    return kind.read(text, Surroundings({}))


def refusal(kind: ValueType[Any], text: str) -> str:
    with pytest.raises(ValueError, match=r".") as raised:
        read(kind, text)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://10.0.0.1:8080", TargetConfig("http", "10.0.0.1", 8080)),
        ("http://Orders.Example", TargetConfig("http", "orders.example", 80)),
        ("https://orders", TargetConfig("https", "orders", 443)),
        ("https://[::1]:9 weight=3", TargetConfig("https", "::1", 9, 3)),
        ("http://a_b weight=0", TargetConfig("http", "a_b", 80, 0)),
    ],
)
def test_a_target_is_a_scheme_a_host_and_a_port(text: str, target: TargetConfig) -> None:
    assert read(notation.target, text) == target


@pytest.mark.parametrize(
    "text",
    [
        "a:1",
        "ftp://a",
        "http://",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:1/",
        "http://a:1?x",
        "http://u@a",
        "http://a b",
        "http://a weight=",
        "http://a weight=-1",
        "http://a weight=1001",
        "http://a..b",
        "http://é",
        "http://[a]",
        "http://[::1%eth0]",
        "http://::1",
    ],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    refusal(notation.target, text)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001", "1.2.3.256", "a.1"])
def test_a_number_that_some_take_for_an_address_is_no_host(host: str) -> None:
    assert not notation.is_host(host)


def test_a_target_tells_its_authority() -> None:
    assert TargetConfig("http", "::1", 80).authority == "[::1]:80"
    assert TargetConfig("https", "a", 443).url == "https://a:443"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp:8080", Endpoint("tcp:8080", "tcp", 8080)),
        ("tcp:port=0:interface=127.0.0.1", Endpoint("tcp:port=0:interface=127.0.0.1", "tcp", 0, "127.0.0.1")),
        (r"tcp6:80:interface=\:\:1", Endpoint(r"tcp6:80:interface=\:\:1", "tcp6", 80, "::1")),
        ("unix:/run/a.sock", Endpoint("unix:/run/a.sock", "unix", path="/run/a.sock")),
        ("unix:address=/run/a.sock", Endpoint("unix:address=/run/a.sock", "unix", path="/run/a.sock")),
        ("systemd:domain=INET:index=0", Endpoint("systemd:domain=INET:index=0", "systemd")),
        ("systemd:domain=UNIX:name=web", Endpoint("systemd:domain=UNIX:name=web", "systemd")),
    ],
)
def test_an_endpoint_is_in_twisteds_notation(text: str, endpoint: Endpoint) -> None:
    assert read(notation.endpoint, text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "8080",
        "tcp",
        "tcp:",
        "tcp:a",
        "tcp:65536",
        "tcp:80:interface=localhost",
        "tcp6:80:interface=127.0.0.1",
        "tcp6:80:interface=::1",
        "tcp:80:backlog=5",
        "tcp:80:81",
        "tcp:80 ",
        "unix:",
        "unix:/a:mode=666",
        "unix:/" + "a" * 107,
        "systemd:domain=INET",
        "systemd:index=0",
        "systemd:domain=INET:index=0:name=a",
        "ssl:443",
        "onion:80",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    refusal(notation.endpoint, text)


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        ("tcp:80", False),
        ("tcp:80:interface=", False),
        ("tcp:80:interface=127.0.0.9", True),
        ("tcp:80:interface=10.0.0.1", False),
        (r"tcp6:80:interface=\:\:1", True),
        ("unix:/a", True),
        ("systemd:domain=INET:index=0", False),
    ],
)
def test_an_endpoint_knows_whether_only_this_machine_reaches_it(text: str, is_local: bool) -> None:
    assert read(notation.endpoint, text).is_local is is_local


@given(st.text(alphabet="tcp6unixsystemd:=\\/.0189abINETdomainindexinterface", max_size=40))
def test_no_endpoint_is_more_than_read_or_refused(text: str) -> None:
    for kind in (notation.endpoint, notation.target):
        try:
            read(kind, text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 -- both ends are right, none is expected


def test_an_answer_is_a_status_and_a_text() -> None:
    assert read(notation.respond, '503 "closed, "really""') == Respond(503, 'closed, "really"')
    assert read(notation.respond, "204") == Respond(204, "")
    assert read(notation.respond, '200 "a\nb"') == Respond(200, "a\nb")


@pytest.mark.parametrize("text", ["", "199", "600", "200 a", '200 "a', '304 "a"', '"a"'])
def test_what_is_no_answer_is_refused(text: str) -> None:
    refusal(notation.respond, text)


def test_a_redirect_is_a_status_and_a_location() -> None:
    assert read(notation.redirect, "308 https://a.example/b?c=%20#d") == Redirect(
        308, "https://a.example/b?c=%20#d"
    )
    assert read(notation.redirect, "302 /b") == Redirect(302, "/b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "308",
        "300 /b",
        "308 b",
        "308 //evil.example",
        "308 https:///b",
        "308 /{host}",
        "308 /a b",
        "308 /é",
    ],
)
def test_what_is_no_redirect_is_refused(text: str) -> None:
    refusal(notation.redirect, text)


def test_a_network_is_in_cidr_notation() -> None:
    assert read(notation.network, "10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert read(notation.network, "::1") == ip_network("::1/128")
    assert "write 10.0.0.0/8" in refusal(notation.network, "10.1.0.0/8")
    refusal(notation.network, "10.0.0/8")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("API.Example.com", "api.example.com"),
        ("*.Example.com.", "*.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[0:0::1]", "[::1]"),
    ],
)
def test_a_host_is_spelled_as_requests_spell_it(text: str, pattern: str) -> None:
    assert read(notation.host_pattern, text) == pattern


@pytest.mark.parametrize(
    "text", ["*", "a.*", "*a.b", "a:80", "*.a:80", "*.[::1]", "é.com", "a b", "http://a", ""]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    refusal(notation.host_pattern, text)


def test_a_method_is_in_capitals() -> None:
    assert read(notation.method, "PURGE") == "PURGE"
    assert "write GET" in refusal(notation.method, "Get")
    for text in ("CONNECT", "TRACE", "", "A B", "A" * 33):
        refusal(notation.method, text)


def test_a_condition_wants_a_header_or_its_value() -> None:
    assert read(notation.conditions, "X-Version=2\nX-Debug\nX-Empty=\nX-List = a, b") == (
        ("X-Version", "2"),
        ("X-Debug", None),
        ("X-Empty", ""),
        ("X-List", "a, b"),
    )
    for text in ("X A", "=2", "X-A=é", "X-A=\x7f"):
        refusal(notation.conditions, text)


def test_statuses_are_single_or_ranges() -> None:
    assert read(notation.statuses, "200-399") == (200, 399)
    assert read(notation.statuses, "404") == (404, 404)
    for text in ("2xx", "99", "200-", "399-200", "600"):
        refusal(notation.statuses, text)


def test_a_host_header_is_one_of_two_words_or_a_host() -> None:
    for text in ("preserve", "target", "a.example", "a.example:8080", "[::1]", "[::1]:80"):
        assert read(notation.host_header, text) == text
    for text in ("", "a b", "a:b", "a:0", "a\r\nb"):
        refusal(notation.host_header, text)


@pytest.mark.parametrize("text", ["ip", "path", "header:X-A", "cookie:sid", "query:id"])
def test_a_hash_key_is_something_of_the_request(text: str) -> None:
    assert read(notation.hash_key, text) == text


@pytest.mark.parametrize("text", ["", "header", "header:", "header:X A", "body:x"])
def test_what_is_no_hash_key_is_refused(text: str) -> None:
    refusal(notation.hash_key, text)


def test_a_digest_is_of_sha256() -> None:
    assert read(notation.digest, "sha256:" + "0A" * 32) == b"\x0a" * 32
    for text in ("sha256:" + "0a" * 31, "md5:" + "0a" * 32, "hush"):
        assert text not in refusal(notation.digest, text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Hooks.Example", "hooks.example"),
        ("*.example", "*.example"),
        ("http://a.example", "http://a.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "[::1]"),
    ],
)
def test_callbacks_go_to_hosts_and_addresses(text: str, host: str) -> None:
    assert notation.callback_host.read(text, Surroundings()) == host


@pytest.mark.parametrize(
    "text", ["", "a:80", "https://a", "http://", "a/b", "127.1", "0x7f.1", "*.::1", "*.10.0.0.1", "a b"]
)
def test_callbacks_go_nowhere_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        notation.callback_host.read(text, Surroundings())


def test_a_secret_of_callbacks_has_its_form_and_is_not_shown() -> None:
    good = "whsec_" + b64encode(b"x" * 24).decode()
    read = notation.webhook_secret.read(good, Surroundings())
    assert (str(read), repr(read)) == (good, "Secret('...')")
    assert notation.webhook_secret.read("", Surroundings()) == ""
    for bad in ("hush", "whsec_", "whsec_hush!", good[6:], "whsec_" + b64encode(b"x" * 65).decode()):
        with pytest.raises(ValueError, match="is not whsec_") as raised:
            notation.webhook_secret.read(bad, Surroundings())
        assert "hush" not in str(raised.value)
