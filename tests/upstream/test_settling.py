from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from tests.conftest import LoggedFailures
from tests.upstream.network import Names
from twistedgate.upstream.resolver import FIRST_LOOKUP, Resolver
from twistedgate.upstream.settling import Settling


class Waiting(Settling):
    """A wait whose end is counted."""

    def __init__(self, **known: tuple[str, ...]) -> None:
        self.clock = Clock()
        self.lookups = Names(**known)
        self.resolver = Resolver(self.clock, self.lookups)
        self.ends: list[str] = []
        super().__init__(self.resolver)

    def wait_for(self, *hosts: str, then: str = "over") -> None:
        """Wait for these names."""
        self.wait(hosts, lambda: self.ends.append(then))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is looked up any more."""
        return repr(self.resolver) == "<Resolver []>" and not self.clock.getDelayedCalls()


@pytest.mark.parametrize("hosts", [(), ("192.0.2.1",), ("a.test", "b.test")])
def test_what_is_settled_is_not_waited_for(hosts: tuple[str, ...]) -> None:
    waiting = Waiting(a=("192.0.2.1",), b=("192.0.2.2",))
    waiting.wait_for(*hosts)
    assert waiting.ends == ["over"]
    assert waiting.is_clean


def test_waits_for_all_names() -> None:
    waiting = Waiting(a=("192.0.2.1",))
    waiting.wait_for("c.test", "a.test", "b.test")
    assert repr(waiting) == "<Settling b.test, c.test>"
    waiting.lookups.answer("b.test", "192.0.2.2")
    assert waiting.ends == []
    waiting.lookups.answer("c.test")
    assert waiting.ends == ["over"]
    assert waiting.is_clean


def test_not_for_ever() -> None:
    waiting = Waiting()
    waiting.wait_for("a.test", "b.test")
    waiting.clock.advance(FIRST_LOOKUP)
    assert waiting.ends == ["over"]
    assert waiting.is_clean


def test_another_wait_takes_the_place_of_the_first() -> None:
    waiting = Waiting()
    waiting.wait_for("a.test", then="first")
    waiting.wait_for("b.test", then="second")
    waiting.lookups.answer("b.test", "192.0.2.2")
    waiting.clock.advance(FIRST_LOOKUP)
    assert waiting.ends == ["second"]
    assert waiting.is_clean


def test_a_stop_leaves_nothing_behind() -> None:
    waiting = Waiting()
    waiting.wait_for("a.test")
    waiting.stop()
    assert waiting.names == []
    assert waiting.is_clean
    waiting.stop()
    assert waiting.ends == []


def test_names_are_known_to_whoever_watches_them_at_the_end() -> None:
    waiting = Waiting()
    heard: list[tuple[str, ...]] = []
    waiting.wait(["a.test"], lambda: waiting.resolver.watch("a.test", heard.append))
    waiting.lookups.answer("a.test", "192.0.2.1")
    assert heard == [("192.0.2.1",)]
    assert waiting.lookups.asked == ["a.test"]
    waiting.resolver.stop()
    assert waiting.is_clean


def test_names_stay_known_until_what_is_done_then_is_over() -> None:
    waiting = Waiting()
    heard: list[tuple[str, ...]] = []
    doing: Deferred[None] = Deferred()
    waiting.wait(["a.test"], lambda: doing)
    waiting.lookups.answer("a.test", "192.0.2.1")
    waiting.resolver.watch("a.test", heard.append)
    assert heard == [("192.0.2.1",)]
    waiting.resolver.stop()
    doing.callback(None)
    assert waiting.is_clean


@pytest.mark.parametrize("is_late", [False, True])
def test_what_fails_then_leaves_nothing_behind(is_late: bool, logged_failures: LoggedFailures) -> None:
    waiting = Waiting()
    doing: Deferred[None] = Deferred() if is_late else fail(ValueError("no"))
    waiting.wait(["a.test"], lambda: doing)
    waiting.lookups.answer("a.test", "192.0.2.1")
    if is_late:
        doing.errback(ValueError("no"))
    assert len(logged_failures.flush(ValueError)) == 1
    assert waiting.is_clean
