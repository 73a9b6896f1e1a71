from __future__ import annotations

import pytest

from twistedgate.admin.guard import OF_BROWSERS, Guard, check_origin, is_own_host
from twistedgate.errors import Refusal

OPEN = Guard("")
LOCKED = Guard("tökén of 20 letters")
RIGHT = "Bearer tökén of 20 letters".encode()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9000",
        "LocalHost.:1",
        "gateway.localhost",
        "127.0.0.1",
        "127.8.9.10:9000",
        "[::1]",
        "[0:0:0:0:0:0:0:1]:9000",
        "192.0.2.7",
        "192.0.2.7:80",
    ],
)
def test_a_loopback_name_or_the_connections_own_address_is_this_machine(host: str) -> None:
    assert is_own_host(host.encode(), "192.0.2.7")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "notlocalhost",
        "192.0.2.8",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]",
        "localhost@example.com",
        "localhost, example.com",
        "127.1",
        "0x7f000001",
        "localhost:99999",
        "localhost:",
    ],
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_own_host(host.encode(), "192.0.2.7")


def test_a_socket_of_both_families_knows_its_ipv4_address() -> None:
    assert is_own_host(b"192.0.2.7", "::ffff:192.0.2.7")
    assert is_own_host(b"[::ffff:127.0.0.1]", "192.0.2.7")


@pytest.mark.parametrize("hosts", [[], [b"example.com"], [b"localhost", b"localhost"]])
def test_refuses_a_host_that_is_missing_foreign_or_doubled(hosts: list[bytes]) -> None:
    with pytest.raises(Refusal) as raised:
        OPEN.check(hosts, "127.0.0.1", [])
    assert (raised.value.status, raised.value.reason) == (421, "bad-host")


@pytest.mark.parametrize("hosts", [[], [b"example.com"], [b"a", b"b"]])
def test_a_unix_socket_takes_any_host(hosts: list[bytes]) -> None:
    OPEN.check(hosts, None, [])
    LOCKED.check(hosts, None, [RIGHT])


def test_the_host_is_looked_at_before_the_token() -> None:
    with pytest.raises(Refusal) as raised:
        LOCKED.check([b"example.com"], "127.0.0.1", [])
    assert raised.value.status == 421


@pytest.mark.parametrize("credentials", [RIGHT, b"bearer" + RIGHT[6:], b"Bearer  " + RIGHT[7:] + b" "])
def test_the_token_lets_pass(credentials: bytes) -> None:
    LOCKED.check([b"localhost"], "127.0.0.1", [credentials])


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ([], "no-credentials"),
        ([b""], "bad-credentials"),
        ([b"Bearer"], "bad-credentials"),
        ([b"Bearer wrong"], "bad-credentials"),
        ([RIGHT[:-1]], "bad-credentials"),
        ([RIGHT + b"s"], "bad-credentials"),
        ([RIGHT[7:]], "bad-credentials"),
        ([b"Basic" + RIGHT[6:]], "bad-credentials"),
        ([RIGHT, RIGHT], "bad-credentials"),
    ],
)
def test_anything_else_does_not(credentials: list[bytes], reason: str) -> None:
    with pytest.raises(Refusal) as raised:
        LOCKED.check([b"localhost"], "127.0.0.1", credentials)
    refusal = raised.value
    assert (refusal.status, refusal.reason) == (401, reason)
    assert refusal.fields[0][0] == b"WWW-Authenticate"


def test_without_a_token_credentials_are_not_looked_at() -> None:
    OPEN.check([b"localhost"], "127.0.0.1", [b"Bearer whatever"])


def has_none(name: bytes) -> bool:
    return False


@pytest.mark.parametrize(
    "kinds", [[], [b"application/json"], [b"Application/JSON; charset=utf-8"], [b"application/json ;x"]]
)
def test_a_command_is_json_or_nothing(kinds: list[bytes]) -> None:
    check_origin(has_none, kinds)


@pytest.mark.parametrize(
    "kinds",
    [
        [b"application/x-www-form-urlencoded"],
        [b"multipart/form-data; boundary=x"],
        [b"text/plain"],
        [b"text/plain; x=application/json"],
        [b"application/json-seq"],
        [b""],
        [b"application/json", b"text/plain"],
    ],
)
def test_what_a_form_can_send_is_no_command(kinds: list[bytes]) -> None:
    with pytest.raises(Refusal) as raised:
        check_origin(has_none, kinds)
    assert (raised.value.status, raised.value.reason) == (403, "cross-site")


@pytest.mark.parametrize("field", OF_BROWSERS)
def test_what_a_browser_sends_is_no_command(field: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        check_origin(lambda name: name == field, [b"application/json"])
    assert raised.value.reason == "cross-site"
