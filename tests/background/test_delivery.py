from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from tests.background.receiver import Receiver
from tests.certificates import Authority
from twistedgate.background.delivery import (
    BODY_SECONDS,
    CONNECT_TIMEOUT,
    LONGEST_ANSWER,
    MOST_ADDRESSES,
    Delivery,
    HTTPDelivery,
    _Whole,
)
from twistedgate.jobs.callback_url import CallbackURL
from twistedgate.jobs.redelivery import Reply
from twistedgate.jobs.webhook import Message
from twistedgate.net.tls import client_settings

MESSAGE = Message(((b"Content-Type", b"application/cloudevents+json"), (b"webhook-id", b"abc-1")), b'{"a":1}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def settings(authority: Authority) -> SSL.Context:
    return client_settings(authority.path, True)


def to(receiver: Receiver, host: str = "hooks.example.com", scheme: str = "http") -> Delivery:
    return Delivery(CallbackURL(scheme, host, receiver.port, "/hook?a=%2F"), ("127.0.0.1",), MESSAGE)


async def test_posts_the_message_to_the_address_in_the_name_of_the_host(
    reactor: Any, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor)
    assert await HTTPDelivery(reactor, settings)(to(receiver)) == Reply(204)
    (call,) = receiver.calls
    assert (call.request, call.body) == ("POST /hook?a=%2F HTTP/1.1", b'{"a":1}')
    assert call.fields == {
        "host": f"hooks.example.com:{receiver.port}",
        "accept": "*/*",
        "connection": "close",
        "content-length": "7",
        "content-type": "application/cloudevents+json",
        "webhook-id": "abc-1",
    }
    await receiver.close()


async def test_shows_and_wants_the_name_of_the_host_though_it_connects_to_an_address(
    reactor: Any, authority: Authority, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor, pair=authority.issue("hooks.example.com"))
    assert await HTTPDelivery(reactor, settings)(to(receiver, scheme="https")) == Reply(204)
    (call,) = receiver.calls
    assert call.transport.getHandle().get_servername() == b"hooks.example.com"  # type: ignore[union-attr]
    await receiver.close()


async def test_an_address_may_have_a_certificate_of_its_own(
    reactor: Any, authority: Authority, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor, pair=authority.issue("127.0.0.1"))
    assert await HTTPDelivery(reactor, settings)(to(receiver, "127.0.0.1", "https")) == Reply(204)
    assert receiver.calls[0].transport.getHandle().get_servername() is None  # type: ignore[union-attr]
    await receiver.close()


@pytest.mark.parametrize("fault", ["another name", "the address only", "expired", "unknown authority"])
async def test_nothing_is_told_to_who_has_not_the_hosts_certificate(
    fault: str, reactor: Any, authority: Authority, settings: SSL.Context, tmp_path: Path
) -> None:
    signer = Authority(tmp_path) if fault == "unknown authority" else authority
    names = {"another name": "other.example.com", "the address only": "127.0.0.1"}
    pair = signer.issue(names.get(fault, "hooks.example.com"), days=-1 if fault == "expired" else 30)
    receiver = Receiver(reactor, pair=pair)
    with pytest.raises(ResponseNeverReceived):
        await HTTPDelivery(reactor, settings)(to(receiver, scheme="https"))
    assert receiver.calls[0].heard == b""
    await receiver.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(
    status: int, reactor: Any, settings: SSL.Context
) -> None:
    other = Receiver(reactor)
    place = f"http://127.0.0.1:{other.port}/".encode()
    answer = b"HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, place)
    receiver = Receiver(reactor, answer)
    assert await HTTPDelivery(reactor, settings)(to(receiver)) == Reply(status)
    assert (len(receiver.calls), other.calls) == (1, [])
    await receiver.close()
    await other.close()


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\nnope", Reply(410)),
        (b"HTTP/1.1 503 No\r\nRetry-After:  120 \r\nContent-Length: 0\r\n\r\n", Reply(503, "120")),
        (
            b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
            Reply(429, "1"),
        ),
        (b"HTTP/1.1 503 No\r\nRetry-After: \xe9\r\nContent-Length: 0\r\n\r\n", Reply(503, "\xe9")),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Reply(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n", Reply(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n", Reply(200)),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (8 * LONGEST_ANSWER), Reply(200)),
        (b"HTTP/1.1 500 No\r\nContent-Length: 999999999\r\n\r\n" + b"x" * (2 * LONGEST_ANSWER), Reply(500)),
    ],
)
async def test_keeps_the_status_whatever_becomes_of_the_body(
    answer: bytes, reply: Reply, reactor: Any, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor, answer)
    assert await HTTPDelivery(reactor, settings)(to(receiver)) == reply
    await receiver.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Filler: %s\r\n" % (b"x" * 990) * (LONGEST_ANSWER // 1000 + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (LONGEST_ANSWER // 20),
    ],
)
async def test_a_head_that_is_none_or_has_no_end_is_no_answer(
    answer: bytes, reactor: Any, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor, answer)
    with pytest.raises((ResponseNeverReceived, ResponseFailed)):
        await HTTPDelivery(reactor, settings)(to(receiver))
    await receiver.close()


async def test_a_receiver_that_says_nothing_is_left_when_the_time_is_over(
    reactor: Any, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor, b"")
    delivering = HTTPDelivery(reactor, settings)(to(receiver))
    await receiver.accepted
    await receiver.calls[0].asked
    delivering.cancel()
    with pytest.raises((CancelledError, ResponseNeverReceived)):
        await delivering
    await receiver.close()


async def test_a_body_that_does_not_end_is_not_waited_for(reactor: Any, settings: SSL.Context) -> None:
    receiver = Receiver(reactor, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    delivering = HTTPDelivery(reactor, settings)(to(receiver))
    while not (waiting := [call for call in reactor.getDelayedCalls() if _is_the_bodys(call, reactor)]):
        await deferLater(reactor, 0)
    waiting[0].reset(0)
    assert await delivering == Reply(200)
    await receiver.close()


def _is_the_bodys(call: Any, reactor: Any) -> bool:
    return "timeItOut" in str(call) and call.getTime() - reactor.seconds() <= BODY_SECONDS


async def test_whoever_refuses_is_no_answer(reactor: Any, settings: SSL.Context) -> None:
    receiver = Receiver(reactor)
    delivery = to(receiver)
    await receiver.close()
    with pytest.raises(Refused):
        await HTTPDelivery(reactor, settings)(delivery)


async def test_the_next_address_is_connected_to_where_one_refuses(
    reactor: Any, settings: SSL.Context
) -> None:
    receiver = Receiver(reactor)
    url = CallbackURL("http", "hooks.example.com", receiver.port, "/")
    delivery = Delivery(url, ("127.0.0.2", "::1", "127.0.0.1"), MESSAGE)
    assert await HTTPDelivery(reactor, settings)(delivery) == Reply(204)
    assert len(receiver.calls) == 1
    await receiver.close()


def test_connects_to_the_addresses_that_it_was_given_and_asks_nobody_for_a_name(
    settings: SSL.Context,
) -> None:
    reactor = MemoryReactorClock()
    url = CallbackURL("https", "hooks.example.com", 443, "/")
    found = ("2606:2800:21f::1", "93.184.215.14", "93.184.215.15", "93.184.215.16")
    delivering = HTTPDelivery(reactor, settings)(Delivery(url, found, MESSAGE))
    for _ in range(MOST_ADDRESSES):
        _, _, factory, timeout, _ = reactor.tcpClients[-1]
        assert timeout == CONNECT_TIMEOUT
        reactor.connectors[-1].stopConnecting = lambda: None
        factory.clientConnectionFailed(reactor.connectors[-1], Failure(Refused()))
    assert [host for host, *_ in reactor.tcpClients] == list(found[:MOST_ADDRESSES])
    failed: list[Any] = []
    delivering.addErrback(failed.append)
    assert failed[0].check(Refused)


def test_a_try_that_is_given_up_connects_to_nobody_else(settings: SSL.Context) -> None:
    reactor = MemoryReactorClock()
    url = CallbackURL("https", "hooks.example.com", 443, "/")
    delivering = HTTPDelivery(reactor, settings)(Delivery(url, ("93.184.215.14", "93.184.215.15"), MESSAGE))
    delivering.addErrback(lambda _: None)
    delivering.cancel()
    assert [host for host, *_ in reactor.tcpClients] == ["93.184.215.14"]


async def test_a_delivery_leaves_no_line_in_the_log(reactor: Any, settings: SSL.Context) -> None:
    receiver = Receiver(reactor)
    with capturedLogs() as events:
        await HTTPDelivery(reactor, settings)(to(receiver))
    assert events == []
    await receiver.close()


def test_a_body_is_what_twisted_wants_of_one() -> None:
    body = _Whole(b"abc")
    assert verifyObject(IBodyProducer, body)
    body.pauseProducing()
    body.resumeProducing()
    body.stopProducing()
