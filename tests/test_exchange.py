from __future__ import annotations

from twistedgate.exchange import Exchange
from twistedgate.http.hops import Peer
from twistedgate.testing import exchange, gateway

PEER = Peer("192.0.2.1", 443, "https", is_trusted=False, listener="public")


def test_the_client_is_the_peer_until_somebody_trusted_says_otherwise() -> None:
    begun = Exchange(None, PEER, "id-1", 5.0, 0.0)
    assert (begun.client, begun.scheme, begun.peer) == ("192.0.2.1", "https", PEER)


def test_nothing_is_counted_in_at_first() -> None:
    begun = exchange()
    assert (begun.entered, begun.holds_gate, begun.holds_upstream, begun.holds_target) == (
        0,
        False,
        False,
        None,
    )
    assert (begun.status, begun.reason, begun.attempts, begun.first_byte, begun.finished) == (
        0,
        "",
        0,
        0.0,
        0.0,
    )


def test_its_route_is_known_once_it_was_found() -> None:
    passing = exchange()
    assert passing.route == ""
    gateway("[route:static]\npath = *\nrespond = 200\n").serve(passing)
    assert "".join((passing.route,)) == "static"


def test_nothing_can_be_hung_on_it() -> None:
    assert not hasattr(exchange(), "__dict__")


def test_shows_what_it_is_and_how_far_it_got() -> None:
    passing = exchange("POST", "https://a.example/b?secret")
    shown = [repr(passing)]
    passing.status = 201
    shown.append(repr(passing))
    assert shown == [
        "<Exchange request-1 <Request POST a.example/b> under way>",
        "<Exchange request-1 <Request POST a.example/b> 201>",
    ]
