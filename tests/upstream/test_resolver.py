from __future__ import annotations

import socket

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from tests.conftest import LoggedFailures
from twistedgate.upstream.resolver import (
    FIRST_LOOKUP,
    FIRST_RETRY,
    INTERVAL,
    LOOKUP_TIMEOUT,
    SHORTEST_INTERVAL,
    Answer,
    NoSuchName,
    Resolver,
)

HOST = "orders.example.com"


class Names:
    """A lookup that answers when the test says so, or at once when it was told what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[Answer | Exception] = []
        self._waiting: list[Deferred[Answer]] = []

    def __call__(self, host: str) -> Deferred[Answer]:
        self.asked.append(host)
        if self.answers:
            answer = self.answers.pop(0)
            return fail(answer) if isinstance(answer, Exception) else succeed(answer)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def answer(self, *addresses: str, ttl: float | None = None) -> None:
        self._waiting.pop(0).callback(Answer(addresses, ttl))

    def fail(self, error: OSError | None = None) -> None:
        self._waiting.pop(0).errback(error or socket.gaierror(-3, "Temporary failure in name resolution"))


class Heard:
    """What a watcher was told."""

    def __init__(self) -> None:
        self.addresses: list[tuple[str, ...]] = []

    def __call__(self, addresses: tuple[str, ...]) -> None:
        self.addresses.append(addresses)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def resolver(clock: Clock, names: Names) -> Resolver:
    return Resolver(clock, names)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_its_own_answer(address: str, clock: Clock, names: Names, resolver: Resolver) -> None:
    heard = Heard()
    watch = resolver.watch(address, heard)
    assert heard.addresses == [(address,)]
    assert names.asked == []
    assert not clock.getDelayedCalls()
    watch.stop()


def test_tells_the_addresses_in_order_and_only_when_they_change(
    clock: Clock, names: Names, resolver: Resolver
) -> None:
    heard = Heard()
    resolver.watch(HOST, heard)
    assert heard.addresses == []
    names.answer("192.0.2.2", "192.0.2.1", "192.0.2.2")
    assert heard.addresses == [("192.0.2.1", "192.0.2.2")]
    clock.advance(INTERVAL)
    names.answer("192.0.2.1", "192.0.2.2")
    assert len(heard.addresses) == 1
    clock.advance(INTERVAL)
    names.answer("192.0.2.3")
    assert heard.addresses[1:] == [("192.0.2.3",)]
    resolver.stop()
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(("ttl", "wait"), [(None, 30), (0, 5), (5, 5), (12.5, 12.5), (30, 30), (86400, 30)])
def test_looks_again_when_the_record_ends_within_bounds(
    ttl: float | None, wait: float, clock: Clock, names: Names, resolver: Resolver
) -> None:
    resolver.watch(HOST, Heard())
    names.answer("192.0.2.1", ttl=ttl)
    assert [call.getTime() for call in clock.getDelayedCalls()] == [wait]
    clock.advance(wait)
    assert len(names.asked) == 2
    resolver.stop()


def test_a_failure_keeps_the_last_good_answer_and_is_told_once(
    clock: Clock, names: Names, resolver: Resolver
) -> None:
    heard = Heard()
    resolver.watch(HOST, heard)
    names.answer("192.0.2.1")
    clock.advance(INTERVAL)
    with capturedLogs() as events:
        names.fail()
        for _ in range(3):
            clock.advance(SHORTEST_INTERVAL)
            names.fail()
        clock.advance(SHORTEST_INTERVAL)
        names.answer("192.0.2.1")
    assert heard.addresses == [("192.0.2.1",)]
    trouble, end = [formatEvent(event) for event in events]
    assert trouble.startswith(f"The name {HOST} cannot be looked up ([Errno -3] Temporary failure in")
    assert trouble.endswith("its addresses: 192.0.2.1.")
    assert end == f"The name {HOST} can be looked up again."
    resolver.stop()


def test_an_answer_without_addresses_is_a_failure(clock: Clock, names: Names, resolver: Resolver) -> None:
    heard = Heard()
    resolver.watch(HOST, heard)
    with capturedLogs() as events:
        names.answer()
    assert heard.addresses == []
    assert "it has no addresses" in formatEvent(events[0])
    assert "not known yet" in formatEvent(events[0])
    clock.advance(SHORTEST_INTERVAL)
    names.answer("192.0.2.1")
    assert heard.addresses == [("192.0.2.1",)]
    resolver.stop()


def test_a_lookup_that_hangs_is_given_up(clock: Clock, names: Names, resolver: Resolver) -> None:
    resolver.watch(HOST, Heard())
    with capturedLogs() as events:
        clock.advance(LOOKUP_TIMEOUT)
    assert "no answer in time" in formatEvent(events[0])
    clock.advance(SHORTEST_INTERVAL)
    assert len(names.asked) == 2
    resolver.stop()


def test_watchers_of_one_name_share_its_lookups(clock: Clock, names: Names, resolver: Resolver) -> None:
    first, second, third = Heard(), Heard(), Heard()
    watches = [resolver.watch(HOST, first), resolver.watch(HOST, second)]
    assert names.asked == [HOST]
    names.answer("192.0.2.1")
    watches.append(resolver.watch(HOST, third))
    assert first.addresses == second.addresses == third.addresses == [("192.0.2.1",)]
    assert names.asked == [HOST]
    watches[0].stop()
    clock.advance(INTERVAL)
    names.answer("192.0.2.2")
    assert len(first.addresses) == 1
    assert second.addresses == third.addresses == [("192.0.2.1",), ("192.0.2.2",)]
    for watch in watches:
        watch.stop()
        watch.stop()
    assert not clock.getDelayedCalls()


def test_the_last_watcher_to_leave_ends_the_lookup_under_way(
    clock: Clock, names: Names, resolver: Resolver
) -> None:
    heard = Heard()
    with capturedLogs() as events:
        resolver.watch(HOST, heard).stop()
    assert not events
    assert not clock.getDelayedCalls()
    resolver.watch(HOST, heard)
    assert names.asked == [HOST, HOST]
    resolver.stop()


def test_nothing_is_heard_after_the_stop(clock: Clock) -> None:
    """A lookup that does not let itself be cancelled answers all the same."""
    heard = Heard()
    answer: Deferred[Answer] = Deferred(lambda stubborn: stubborn.callback(Answer(("192.0.2.1",))))
    resolver = Resolver(clock, lambda host: answer)
    resolver.watch(HOST, heard)
    resolver.stop()
    assert heard.addresses == []
    assert not clock.getDelayedCalls()


def test_an_answer_may_come_at_once(clock: Clock, names: Names, resolver: Resolver) -> None:
    names.answers = [Answer(("192.0.2.1",)), OSError("gone"), Answer(("192.0.2.2",))]
    heard = Heard()
    resolver.watch(HOST, heard)
    clock.advance(INTERVAL)
    clock.advance(SHORTEST_INTERVAL)
    assert heard.addresses == [("192.0.2.1",), ("192.0.2.2",)]
    resolver.stop()
    assert not clock.getDelayedCalls()


def test_a_watcher_may_stop_another_while_it_hears(clock: Clock, names: Names, resolver: Resolver) -> None:
    heard = Heard()
    resolver.watch(HOST, lambda addresses: later.stop())
    later = resolver.watch(HOST, heard)
    names.answer("192.0.2.1")
    assert heard.addresses == []
    resolver.stop()


def test_a_watcher_that_fails_does_not_end_the_lookups(
    clock: Clock, names: Names, resolver: Resolver, logged_failures: LoggedFailures
) -> None:
    def refuse(addresses: tuple[str, ...]) -> None:
        raise RuntimeError(addresses)

    resolver.watch(HOST, refuse)
    names.answer("192.0.2.1")
    assert len(logged_failures.flush(RuntimeError)) == 1
    clock.advance(INTERVAL)
    assert len(names.asked) == 2
    resolver.stop()


# settled: waiting makes no sense any longer


class Waiting:
    """Somebody who waits for a name, and counts how often it was settled."""

    def __init__(self, resolver: Resolver, host: str = HOST) -> None:
        self.times = 0
        self.watch = resolver.watch(host, Heard(), self._settled)

    def _settled(self) -> None:
        self.times += 1


def test_a_name_that_is_known_is_settled_and_so_is_an_address(names: Names, resolver: Resolver) -> None:
    waiting, address = Waiting(resolver), Waiting(resolver, "192.0.2.1")
    assert (waiting.times, address.times) == (0, 1)
    names.answer("192.0.2.1")
    assert (waiting.times, Waiting(resolver).times) == (1, 1)
    resolver.stop()


@pytest.mark.parametrize("error", [NoSuchName(-2, "Name or service not known"), None])
def test_so_is_one_that_does_not_exist(
    error: NoSuchName | None, clock: Clock, names: Names, resolver: Resolver
) -> None:
    waiting = Waiting(resolver)
    if error is None:
        names.answer()
    else:
        names.fail(error)
    assert (waiting.times, Waiting(resolver).times) == (1, 1)
    assert [call.getTime() for call in clock.getDelayedCalls()] == [SHORTEST_INTERVAL]
    resolver.stop()


def test_a_name_without_an_answer_is_tried_again_soon_as_long_as_it_is_waited_for(
    clock: Clock, names: Names, resolver: Resolver
) -> None:
    waiting = Waiting(resolver)
    names.fail()
    clock.advance(FIRST_RETRY)
    assert names.asked == [HOST] * 2
    assert waiting.times == 0
    names.answer("192.0.2.1")
    assert waiting.times == 1
    resolver.stop()


def test_and_is_settled_once_that_took_too_long(clock: Clock, names: Names, resolver: Resolver) -> None:
    waiting = Waiting(resolver)
    clock.advance(FIRST_LOOKUP)
    assert (waiting.times, Waiting(resolver).times) == (1, 1)
    names.fail()
    clock.advance(FIRST_RETRY)
    assert names.asked == [HOST]
    clock.advance(SHORTEST_INTERVAL)
    names.answer("192.0.2.1")
    assert waiting.times == 1
    resolver.stop()
    assert not clock.getDelayedCalls()


def test_who_left_hears_nothing_of_that(clock: Clock, names: Names, resolver: Resolver) -> None:
    first, second = Waiting(resolver), Waiting(resolver)
    first.watch.stop()
    names.answer("192.0.2.1")
    assert (first.times, second.times) == (0, 1)
    resolver.stop()
    assert not clock.getDelayedCalls()


def test_shows_what_it_knows(names: Names, resolver: Resolver) -> None:
    resolver.watch(HOST, Heard())
    assert repr(resolver) == f"<Resolver [<{HOST} unknown>]>"
    names.answer("192.0.2.1")
    assert repr(resolver) == f"<Resolver [<{HOST} 192.0.2.1>]>"
    resolver.stop()


def test_what_was_known_before_is_the_last_good_answer(
    clock: Clock, names: Names, resolver: Resolver
) -> None:
    resolver.recall({HOST: ["192.0.2.1"], "other.example.com": ["192.0.2.9"]})
    heard, settled = Heard(), Heard()
    watch = resolver.watch(HOST, heard, lambda: settled(()))
    assert (heard.addresses, settled.addresses) == ([("192.0.2.1",)], [()])
    assert resolver.known() == {HOST: ("192.0.2.1",)}
    names.fail()
    assert heard.addresses == [("192.0.2.1",)]
    clock.advance(SHORTEST_INTERVAL)
    names.answer("192.0.2.2")
    assert (heard.addresses[1:], settled.addresses) == ([("192.0.2.2",)], [()])
    watch.stop()
    assert not clock.getDelayedCalls()
    # it was that of then, and is not used again
    again = resolver.watch(HOST, heard)
    assert len(heard.addresses) == 2
    again.stop()
