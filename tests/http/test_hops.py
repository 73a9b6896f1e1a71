"""Whom the gateway believes, what it says of a client, and that a request comes round only once."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.errors import Refusal
from twistedgate.http.headers import Field, Headers
from twistedgate.http.hops import Caller, Forwarder, Introduction, Peer
from twistedgate.http.message import Request
from twistedgate.http.target import RequestTarget, parse_host

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48"))
PROXY = "10.0.0.1"
STRANGER = "192.0.2.7"

SPOOFED = [
    (b"X-Forwarded-For", b"1.2.3.4"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"evil.test"),
    (b"X-Forwarded-Port", b"1"),
    (b"X-Forwarded-Server", b"evil"),
    (b"X-Forwarded-Prefix", b"/evil"),
    (b"Forwarded", b"for=1.2.3.4"),
    (b"X-Real-IP", b"1.2.3.4"),
    (b"X-Original-URL", b"/evil"),
    (b"X-Original-Host", b"evil.test"),
    (b"X-Rewrite-URL", b"/evil"),
    (b"X-Request-Id", b"mine"),
]


def fields(*pairs: tuple[bytes, bytes]) -> list[Field]:
    return [(name.lower(), name, value) for name, value in pairs]


def peer_at(address: str, *, scheme: str = "http", port: int = 80, is_trusted: bool | None = None) -> Peer:
    forwarder = Forwarder("gate", TRUSTED)
    trusted = forwarder.is_trusted(address) if is_trusted is None else is_trusted
    return Peer(address, port, scheme, trusted, "main")


def make_request(authority: str = "example.com") -> Request:
    host = parse_host(authority.encode())[0] if authority else ""
    return Request("GET", RequestTarget("/", "", host, authority, False), Headers())


def dress(
    peer: Peer, *claims: tuple[bytes, bytes], authority: str = "example.com"
) -> tuple[Caller | None, dict[str, str]]:
    """Return what was believed, and the fields that go on, by lower-cased name."""
    request = make_request(authority)
    caller = Forwarder("gate", TRUSTED).dress(request, fields(*claims), Introduction(peer), "id-1")
    assert request.headers.lines == request.headers.copy().lines
    written: dict[str, str] = {}
    for line in request.headers.lines.decode("latin-1").splitlines():
        name, _, value = line.partition(": ")
        written[name.lower()] = f"{written[name.lower()]} | {value}" if name.lower() in written else value
    return caller, written


def test_a_stranger_is_the_client() -> None:
    caller, written = dress(peer_at(STRANGER))
    assert caller is None
    assert written == {
        "x-forwarded-for": STRANGER,
        "x-forwarded-proto": "http",
        "x-forwarded-host": "example.com",
        "x-forwarded-port": "80",
        "forwarded": f"for={STRANGER};host=example.com;proto=http",
        "via": "1.1 gate",
        "x-request-id": "id-1",
    }


def test_what_a_stranger_claims_is_overwritten() -> None:
    assert dress(peer_at(STRANGER), *SPOOFED) == dress(peer_at(STRANGER))


@given(st.lists(st.sampled_from(SPOOFED)))
def test_no_claim_of_a_stranger_gets_through(claims: list[tuple[bytes, bytes]]) -> None:
    assert dress(peer_at(STRANGER), *claims) == dress(peer_at(STRANGER))


def test_each_host_of_one_connection_is_told_apart() -> None:
    forwarder, introduction = Forwarder("gate"), Introduction(peer_at(STRANGER))
    seen = []
    for authority in ("a.test", "a.test", "b.test:81", "a.test"):
        request = make_request(authority)
        forwarder.dress(request, (), introduction, "id")
        seen.append(request.headers.get(b"x-forwarded-host"))
    assert seen == [b"a.test", b"a.test", b"b.test:81", b"a.test"]


def test_the_port_is_that_of_the_listener() -> None:
    assert dress(peer_at(STRANGER, scheme="https", port=8443))[1]["x-forwarded-port"] == "8443"


def test_a_unix_socket_has_no_port_and_no_address_to_tell() -> None:
    _, written = dress(peer_at("unix:", port=0))
    assert "x-forwarded-port" not in written
    assert written["forwarded"] == "for=unknown;host=example.com;proto=http"


def test_a_request_without_a_host_says_none() -> None:
    _, written = dress(peer_at(STRANGER), authority="")
    assert "x-forwarded-host" not in written
    assert written["forwarded"] == f"for={STRANGER};proto=http"


@pytest.mark.parametrize(
    ("address", "authority", "element"),
    [
        ("2001:db8::7", "example.com", 'for="[2001:db8::7]";host=example.com;proto=http'),
        (STRANGER, "example.com:8080", 'for=192.0.2.7;host="example.com:8080";proto=http'),
        (STRANGER, "[::1]", 'for=192.0.2.7;host="[::1]";proto=http'),
        ("::1", "[::1]:80", 'for="[::1]";host="[::1]:80";proto=http'),
    ],
)
def test_forwarded_quotes_what_is_no_token(address: str, authority: str, element: str) -> None:
    assert dress(peer_at(address), authority=authority)[1]["forwarded"] == element


# A trusted peer


def client_of(chain: bytes, address: str = PROXY) -> str:
    caller, _ = dress(peer_at(address), (b"X-Forwarded-For", chain))
    assert caller is not None
    return caller.client


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"1.1.1.1, 192.0.2.7", "192.0.2.7"),
        (b"1.1.1.1, 192.0.2.7, 10.9.9.9", "192.0.2.7"),
        (b"1.1.1.1,192.0.2.7,10.9.9.9,2001:db8:1::5", "192.0.2.7"),
        (b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (b"192.0.2.7:4711", "192.0.2.7"),
        (b"2001:db8::7", "2001:db8::7"),
        (b"[2001:db8::7]:4711", "2001:db8::7"),
        (b"[2001:DB8:0::7]", "2001:db8::7"),
        (b"1.1.1.1, unknown, 10.2.2.2", "10.2.2.2"),
        (b"1.1.1.1, _hidden", PROXY),
        (b"999.1.1.1", PROXY),
        (b"", PROXY),
        (b",", PROXY),
        (b"192.0.2.7, ", PROXY),
        (b"\xff", PROXY),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_trusted_proxy(chain: bytes, client: str) -> None:
    assert client_of(chain) == client


@given(
    forged=st.lists(st.ip_addresses(v=4), max_size=3),
    client=st.ip_addresses(v=4).filter(lambda address: address not in TRUSTED[0]),
    proxies=st.lists(st.ip_addresses(v=4, network="10.0.0.0/8"), max_size=3),
)
def test_what_stands_left_of_the_client_changes_nothing(
    forged: list[object], client: object, proxies: list[object]
) -> None:
    chain = ", ".join(map(str, [*forged, client, *proxies]))
    assert client_of(chain.encode()) == str(client)


def test_several_fields_are_one_list() -> None:
    caller, written = dress(
        peer_at(PROXY), (b"X-Forwarded-For", b"1.1.1.1"), (b"X-Forwarded-For", b"192.0.2.7")
    )
    assert caller == Caller("192.0.2.7", "http", "id-1")
    assert written["x-forwarded-for"] == "1.1.1.1, 192.0.2.7, 10.0.0.1"


def test_a_trusted_peers_claims_are_extended() -> None:
    caller, written = dress(
        peer_at(PROXY),
        (b"X-Forwarded-For", b"192.0.2.7"),
        (b"X-Forwarded-Proto", b"HTTPS"),
        (b"X-Forwarded-Host", b"shop.test:444"),
        (b"X-Forwarded-Port", b"444"),
        (b"X-Forwarded-Prefix", b"/shop"),
        (b"Forwarded", b"for=192.0.2.7"),
        (b"X-Real-IP", b"192.0.2.7"),
        (b"X-Request-Id", b"theirs"),
        (b"Via", b"1.0 front"),
    )
    assert caller == Caller("192.0.2.7", "https", "theirs")
    assert written == {
        "via": "1.0 front | 1.1 gate",
        "x-forwarded-for": "192.0.2.7, 10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.test:444",
        "x-forwarded-port": "444",
        "x-forwarded-prefix": "/shop",
        "forwarded": 'for=192.0.2.7, for=10.0.0.1;host="shop.test:444";proto=https',
        "x-real-ip": "192.0.2.7",
        "x-request-id": "theirs",
    }


@pytest.mark.parametrize(
    "claim",
    [
        (b"X-Forwarded-Proto", b"gopher"),
        (b"X-Forwarded-Proto", b"https, http"),
        (b"X-Forwarded-Host", b"a b"),
        (b"X-Forwarded-Host", b'evil"'),
        (b"X-Forwarded-Port", b"0x50"),
        (b"X-Forwarded-Port", b"123456"),
        (b"X-Request-Id", b"a b"),
        (b"X-Request-Id", b"a" * 129),
        (b"X-Request-Id", b""),
        (b"X-Original-Host", b"evil.test"),
    ],
)
def test_a_trusted_peers_nonsense_is_not_passed_on(claim: tuple[bytes, bytes]) -> None:
    caller, written = dress(peer_at(PROXY), claim)
    assert caller == Caller(PROXY, "http", "id-1")
    assert written == dress(peer_at(PROXY))[1]


# Who is trusted


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8:1:2::3", True),
        ("2001:db8:2::3", False),
        ("2001:db8:1::3%eth0", True),
        ("unix:", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_trust_is_by_network(address: str, is_trusted: bool) -> None:
    assert Forwarder("gate", TRUSTED).is_trusted(address) is is_trusted


def test_nobody_is_trusted_unless_named() -> None:
    assert not Forwarder("gate").is_trusted("127.0.0.1")


# Loops


@pytest.mark.parametrize("address", [STRANGER, PROXY])
@pytest.mark.parametrize(
    "via", [b"1.1 gate", b"1.0 a, 1.1 gate", b"HTTP/1.1 gate (ours), 1.1 b", b"1.1\tgate"]
)
def test_a_request_that_comes_round_is_refused(address: str, via: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        dress(peer_at(address), (b"Via", b"1.1 first"), (b"Via", via))
    assert (caught.value.status, caught.value.reason) == (508, "loop")


@pytest.mark.parametrize("via", [b"1.1 gateway", b"1.1 my-gate", b"1.1 other (not gate)", b"1.1 a", b"gate"])
def test_another_hop_is_no_loop(via: bytes) -> None:
    assert dress(peer_at(STRANGER), (b"Via", via))[1]["via"] == f"{via.decode()} | 1.1 gate"


def test_what_one_gateway_writes_the_next_one_with_its_name_refuses() -> None:
    request = make_request()
    forwarder = Forwarder("gate")
    forwarder.dress(request, (), Introduction(peer_at(STRANGER)), "id")
    claims = [field for field in request.headers if field[0] == b"via"]
    with pytest.raises(Refusal):
        forwarder.dress(make_request(), claims, Introduction(peer_at(STRANGER)), "id")
    Forwarder("other").dress(make_request(), claims, Introduction(peer_at(STRANGER)), "id")
