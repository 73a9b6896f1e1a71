from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.admin.conftest import Answer
from tests.conftest import LoggedFailures
from twistedgate.admin.answers import answer
from twistedgate.admin.guard import Guard
from twistedgate.admin.later import Asked, answer_later
from twistedgate.admin.site import AdminSite
from twistedgate.config.model import Endpoint, ListenerConfig
from twistedgate.errors import Refusal


class Later(Resource):
    """Answers when the test says so."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.outcome: Deferred[int] = Deferred()

    def render(self, request: Request) -> int:
        async def work(asked: Asked) -> bytes | None:
            self.asked.append(asked)
            status = await self.outcome
            if status == 0:
                asked.request.write(b"half")
                raise RuntimeError("s3cret")
            return answer(asked.request, status, {"path": asked.request.path.decode()})

        return answer_later(request, work)


class Talk:
    """A request that is under way."""

    def __init__(self, clock: Any, path: str = "/x") -> None:
        self.resource = Later()
        listener = ListenerConfig("operator", endpoint=Endpoint("tcp:9000", "tcp", 9000, ""))
        site = AdminSite(self.resource, Guard(""), listener, clock)
        self.transport = StringTransport()
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    @property
    def asked(self) -> Asked:
        (asked,) = self.resource.asked
        return asked

    def leave(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))


def test_the_answer_comes_when_the_work_is_done(clock: Any) -> None:
    talk = Talk(clock)
    assert talk.transport.value() == b""
    talk.resource.outcome.callback(202)
    told = Answer(talk.transport.value())
    assert (told.status, told.document) == (202, {"path": "/x"})
    assert not talk.asked.is_gone


def test_a_refusal_is_the_answer(clock: Any) -> None:
    talk = Talk(clock)
    talk.resource.outcome.errback(Refusal(409, "wrong-state", "it is so"))
    told = Answer(talk.transport.value())
    assert (told.status, told.document["detail"]) == (409, "it is so")


def test_what_went_wrong_is_for_the_log_only(clock: Any, logged_failures: LoggedFailures) -> None:
    talk = Talk(clock)
    talk.resource.outcome.errback(RuntimeError("s3cret"))
    told = Answer(talk.transport.value())
    assert (told.status, told.document["reason"]) == (500, "internal")
    assert b"s3cret" not in talk.transport.value()
    assert len(logged_failures.flush(RuntimeError)) == 1


def test_an_answer_that_was_begun_is_cut_off(clock: Any, logged_failures: LoggedFailures) -> None:
    talk = Talk(clock)
    talk.resource.outcome.callback(0)
    assert talk.transport.disconnecting
    assert len(logged_failures.flush(RuntimeError)) == 1


@pytest.mark.parametrize("is_good", [False, True])
def test_who_left_is_not_answered_and_the_work_is_told(clock: Any, *, is_good: bool) -> None:
    talk = Talk(clock)
    told: list[str] = []
    talk.asked.on_gone = lambda: told.append("gone")
    talk.leave()
    assert (talk.asked.is_gone, told) == (True, ["gone"])
    if is_good:
        talk.resource.outcome.callback(200)
    else:
        talk.resource.outcome.errback(Refusal(404, "no-route"))
    talk.asked.cut()
    assert talk.transport.value() == b""


def test_every_parameter_is_there_as_often_as_it_was_sent(clock: Any) -> None:
    talk = Talk(clock, "/x?a=1&b&a=%C3%BC&c=&%66=x+y&e=%FF")
    assert talk.asked.parameters() == [
        ("a", "1"),
        ("b", ""),
        ("a", "ü"),
        ("c", ""),
        ("f", "x y"),
        ("e", "\N{REPLACEMENT CHARACTER}"),
    ]
    talk.resource.outcome.callback(200)
