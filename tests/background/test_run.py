"""What was kept of a call becomes the request that it was, and an exchange without a client."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.stores.world import CALL
from twistedgate.background.kept import KeptRequest
from twistedgate.background.run import RunExchange, request_of
from twistedgate.jobs.job import Call, Claim, Delivery, Job, State, Terms

TERMS = Terms(Delivery.AT_MOST_ONCE, ttl=60.0, queue_timeout=30.0, retries=1)


def claim(body: bytes | None = b"hello", **changed: Any) -> Claim:
    """Return a claim of a job with this body, its call changed."""
    told = {name: getattr(CALL, name) for name in Call.__slots__} | changed
    job = Job("j-1", "reports", "", "", Call(**told), TERMS, State.RUNNING, 1.0, started=7.0, attempts=1)
    return Claim(job, body, 1)


def store() -> Any:
    return None


def test_the_request_is_what_it_was() -> None:
    request = request_of(claim(), store())
    assert (request.method, request.length, request.body) == ("POST", 5, b"hello")
    assert (request.target.path, request.target.query) == ("/reports/7", "?a=%20b")
    fields = [(name, value) for _, name, value in request.headers]
    assert fields == [*CALL.headers, (b"Job-Id", b"j-1")]


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("example.com", "example.com"),
        ("example.com:8080", "example.com"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("example.com.", "example.com"),
    ],
)
def test_its_host_is_without_port(authority: str, host: str) -> None:
    target = request_of(claim(authority=authority), store()).target
    assert (target.host, target.authority) == (host, authority)


def test_a_large_body_is_the_stores() -> None:
    assert isinstance(request_of(claim(None, length=1 << 20), store()).body, KeptRequest)
    assert request_of(claim(None, length=0), store()).body == b""


def test_the_exchange_is_the_callers_and_nobody_waits_for_it() -> None:
    clock = Clock()
    clock.advance(100)
    exchange = RunExchange(claim(), request_of(claim(), store()), clock)
    assert (exchange.is_run, exchange.run, exchange.bytes_in) == (True, 1, CALL.length)
    assert (exchange.client, exchange.consumer, exchange.groups) == ("192.0.2.1", "alice", ("staff", "night"))
    assert (exchange.request_id, exchange.job, exchange.started, exchange.opened) == (
        "r-1",
        "j-1",
        100.0,
        7.0,
    )
    assert (exchange.peer.listener, exchange.scheme) == ("public", "https")
