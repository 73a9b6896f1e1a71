from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest

from twistedgate.exchange import Exchange
from twistedgate.first_present import FirstPresent
from twistedgate.http.message import Response
from twistedgate.policy import Policy, Stage
from twistedgate.problem import refuse
from twistedgate.testing import Clock, admit, dress, exchange, runtime


class Named(Policy):
    """Knows whoever names it in a header; ``wrong`` is refused."""

    @dataclass(frozen=True, slots=True)
    class Config:
        """The header."""

        name: str

    stage = Stage.IDENTIFY

    def __init__(self, config: Config, around: Any) -> None:
        super().__init__(config, around)
        self.name = config.name
        self.finished = 0

    def has_credentials(self, exchange: Exchange) -> bool:
        return exchange.request.headers.has(self.name.encode())

    def on_request(self, exchange: Exchange) -> Response | Awaitable[Response | None] | None:
        name = exchange.request.headers.get(self.name.encode())
        if name == b"wrong":
            return refuse(401, "bad-credentials")
        exchange.identity = f"{self.name}/{(name or b'').decode()}"
        return None

    def on_response(self, exchange: Exchange, response: Response) -> None:
        response.headers.add(b"X-Asked", self.name.encode())

    def on_finish(self, exchange: Exchange) -> None:
        self.finished += 1


class Slow(Named):
    """The same, and takes a moment."""

    async def on_request(self, exchange: Exchange) -> Response | None:
        return super().on_request(exchange)  # type: ignore[return-value]


def named(kind: type[Named], name: str) -> Named:
    return kind(Named.Config(name), runtime(Clock()))


@pytest.mark.parametrize(
    ("headers", "identity", "asked"),
    [
        ({}, "", []),
        ({"a": "me"}, "a/me", [b"a"]),
        ({"b": "me"}, "b/me", [b"b"]),
        ({"b": "you", "a": "me"}, "a/me", [b"a"]),
        ({"a": "wrong", "b": "me"}, "", [b"a"]),
        ({"b": "wrong"}, "", [b"b"]),
    ],
)
@pytest.mark.parametrize("kind", [Named, Slow])
def test_the_first_whose_credentials_are_there_tells_and_refuses_nobody(
    kind: type[Named], headers: dict[str, str], identity: str, asked: list[bytes]
) -> None:
    policies = [named(kind, "a"), named(kind, "b")]
    first, passing = FirstPresent(policies), exchange(headers=headers)
    assert first.has_credentials(passing) is bool(headers)
    assert admit(first, passing) is None
    assert passing.identity == identity
    assert dress(first, passing).headers.get_all(b"x-asked") == asked
    first.on_finish(passing)
    first.on_finish(passing)
    assert [policy.name.encode() for policy in policies if policy.finished] == asked
    assert sum(policy.finished for policy in policies) == len(asked)
    assert first.stage is Stage.IDENTIFY
