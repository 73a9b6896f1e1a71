"""Exchanges as the line leaves them when they are over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twistedgate.exchange import Exchange
from twistedgate.http.headers import Headers
from twistedgate.http.hops import Peer
from twistedgate.http.message import Request
from twistedgate.http.target import RequestTarget

MakeExchange = Callable[..., Exchange]


def _exchange(path: str = "/orders/7", query: str = "?a=1", headers: Headers | None = None) -> Exchange:
    target = RequestTarget(path, query, "api.example.com", "api.example.com:8080", False)
    request = Request("GET", target, headers or Headers())
    peer = Peer("192.0.2.7", 8080, "http", False, "public")
    exchange = Exchange(request, peer, "c0ffee-1", 1000.0, 1763912345.678)
    exchange.status = 200
    exchange.bytes_in, exchange.bytes_out = 0, 119
    exchange.upstream, exchange.target, exchange.attempts = "orders", "http://10.0.0.1:8080", 1
    exchange.connect_seconds = 0.00025
    exchange.first_byte, exchange.finished = 1000.25, 1000.5
    return exchange


@pytest.fixture
def make_exchange() -> MakeExchange:
    """Make a finished exchange of ``path``, ``query`` and ``headers``."""
    return _exchange
