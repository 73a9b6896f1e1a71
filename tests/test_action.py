from __future__ import annotations

import inspect

import pytest

from twistedgate.action import Action
from twistedgate.actions.proxy import Proxy
from twistedgate.actions.redirect import Redirect
from twistedgate.actions.respond import Respond
from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.testing import exchange, gateway


class Echo:
    """Answers with the path."""

    def __init__(self) -> None:
        self.finished: list[Exchange] = []

    async def answer(self, exchange: Exchange) -> Response:
        """Return the response."""
        return Response(200, body=exchange.request.target.path.encode())

    def finish(self, exchange: Exchange) -> None:
        """Remember it."""
        self.finished.append(exchange)


def test_what_answers_and_finishes_is_an_action() -> None:
    made, echo = gateway("[route:r]\npath = *\nrespond = 204\n"), Echo()
    action: Action = echo
    passing = exchange(url="/a/b")
    made.serve(passing)
    assert passing.pipeline is not None
    passing.pipeline.action = action
    again = exchange(url="/a/b")
    assert made.serve(again).body == b"/a/b"
    assert echo.finished == [again]


@pytest.mark.parametrize("kind", [Proxy, Redirect, Respond])
def test_ours_are_actions(kind: type[Action]) -> None:
    assert inspect.iscoroutinefunction(kind.answer)
    assert not inspect.iscoroutinefunction(kind.finish)
