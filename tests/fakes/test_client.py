from __future__ import annotations

from collections.abc import Awaitable

import pytest

from twistedgate.errors import ClientGone, Refusal
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.fakes.client import Client
from twistedgate.http.message import Response
from twistedgate.net.task import Signal
from twistedgate.testing import exchange


class Line:
    """A line that replies with one response, and remembers how it ended."""

    def __init__(self, response: Response | None = None) -> None:
        self.response = response
        self.ended = "never"
        self.waiting: Signal[None] = Signal()

    async def serve(self, passing: Exchange, client: Client) -> None:
        """Reply, or wait for ever."""
        try:
            if self.response is None:
                await self.waiting
            else:
                replying: Awaitable[None] | None = client.reply(passing, self.response)
                if replying is not None:
                    await replying
            self.ended = "well"
        except ClientGone:
            self.ended = "gone"
        except Refusal as refusal:
            self.ended = refusal.reason


def begun(line: Line, passing: Exchange) -> Client:
    client = Client(passing)
    client.start(line.serve(passing, client))
    return client


@pytest.mark.parametrize(
    ("method", "status", "body"),
    [("GET", 200, b"all"), ("HEAD", 200, b""), ("GET", 204, b""), ("GET", 304, b"")],
)
def test_takes_an_answer_and_its_body_where_there_is_one(method: str, status: int, body: bytes) -> None:
    passing = exchange(method)
    client = begun(Line(Response(status, body=b"all")), passing)
    assert client.answer is not None
    assert (client.answer.status, client.answer.body, client.answer.is_whole) == (status, body, True)
    assert (client.is_done, passing.bytes_out) == (True, len(body))


def test_takes_a_body_piece_by_piece() -> None:
    source, passing = Body(b"first"), exchange()
    client = begun(Line(Response(200, body=source)), passing)
    assert client.answer is not None
    assert (client.answer.body, client.answer.is_whole, client.is_done) == (b"first", False, False)
    source.receive(b" last")
    source.finish()
    assert (client.answer.body, client.answer.is_whole, client.is_done) == (b"first last", True, True)
    assert passing.bytes_out == 10


def test_a_body_that_nobody_wants_is_abandoned() -> None:
    source = Body(b"all")
    begun(Line(Response(200, body=source)), exchange("HEAD"))
    assert source.is_abandoned


def test_half_a_body_cuts_the_connection() -> None:
    source = Body(b"half")
    client = begun(Line(Response(200, body=source)), exchange())
    source.fail()
    assert client.answer is not None
    assert (client.is_cut, client.is_done, client.answer.is_whole) == (True, True, False)
    assert client.exchange.reason == "truncated"


def test_leaving_is_told_to_everybody() -> None:
    coming, source = Body(b"half"), Body(b"half")
    line = Line(Response(200, body=source))
    begun(line, exchange("POST", body=coming)).leave()
    assert (line.ended, coming.is_cut_short, source.is_abandoned) == ("gone", True, True)


def test_leaving_a_second_time_is_nothing() -> None:
    line = Line()
    client = begun(line, exchange())
    client.leave()
    client.leave()
    assert (line.ended, client.is_done, client.answer) == ("gone", True, None)


def test_sends_its_body_and_is_refused_past_the_bound() -> None:
    body, line = Body(b"a"), Line()
    client = begun(line, exchange("POST", body=body))
    body.bound(3)
    client.send(b"bc")
    assert line.ended == "never"
    client.send(b"d")
    assert line.ended == "body-too-large"


def test_ends_its_body() -> None:
    body = Body(b"a")
    client = begun(Line(), exchange("POST", body=body))
    client.finish()
    assert body.is_complete
    client.interrupt(Refusal(504, "timeout"))
    assert client.is_done
