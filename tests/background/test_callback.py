from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from tests.background.receiver import Receiver
from tests.certificates import Authority
from tests.conftest import LoggedFailures
from tests.jobs.ended import document_of, ended_job
from tests.stores.test_memory import run
from twistedgate.background.callback import CONCURRENCY, INTERVAL, TRY_TIMEOUT, Callbacks, Telling
from twistedgate.background.delivery import Delivery, HTTPDelivery
from twistedgate.jobs.job import Callback, End, Head, Job, Limits, NewJob, State
from twistedgate.jobs.redelivery import ELSEWHERE_DELAY, ELSEWHERE_LONGEST, Outcome, Reply
from twistedgate.jobs.store import JobStore, StoreAway
from twistedgate.jobs.webhook import CallbackRules, sign
from twistedgate.net.tls import client_settings
from twistedgate.stores.memory import MemoryStore
from twistedgate.upstream.resolver import Answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RULES = CallbackRules.of(("hooks.example.com", "127.0.0.1"), SECRET)
URL = "https://hooks.example.com/hook"
PUBLIC = "93.184.215.14"
START = 1_800_000_000.0
NOT_TOLD = "The end of job abc of route reports cannot be told to hooks.example.com"


class Store:
    """Keeps callbacks as a store does, and is away when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callback]] = []
        self.ended: list[tuple[int, float | None]] = []
        self.limits: list[int] = []
        self.is_away = False
        self.fault: Exception | None = None
        self.holding: Deferred[None] | None = None

    def add(self, *urls: str, attempts: int = 0, at: float = 0.0, **job: Any) -> None:
        for url in urls:
            self.waiting.append((at, Callback(ended_job(**job), url, attempts, 1)))

    def _be_there(self) -> None:
        if self.is_away:
            raise StoreAway
        if self.fault is not None:
            raise self.fault

    async def due_callbacks(self, limit: int, now: float) -> list[Callback]:
        self.limits.append(limit)
        if self.holding is not None:
            await self.holding
        self._be_there()
        due = [one for one in self.waiting if one[0] <= now][:limit]
        for one in due:
            self.waiting.remove(one)
        return [callback for _, callback in due]

    async def callback_ended(self, callback: Callback, next_try: float | None, now: float) -> None:
        self._be_there()
        self.ended.append((callback.attempts, next_try and next_try - now))
        if next_try is not None:
            later = dataclasses.replace(callback, attempts=callback.attempts + 1)
            self.waiting.append((next_try, later))


class Names:
    """A DNS that gives one answer after the other, and the last one from then on."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers) or [(PUBLIC,)]
        self.asked: list[str] = []

    def __call__(self, host: str) -> Deferred[Answer]:
        self.asked.append(host)
        return succeed(Answer(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]))


class Receivers:
    """What is delivered; the test answers, or says what is answered at once."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.given_up = 0
        self.at_once: list[Reply | Exception] = []
        self.waiting: list[Deferred[Reply]] = []

    def __call__(self, delivery: Delivery) -> Deferred[Reply]:
        self.got.append(delivery)
        asking: Deferred[Reply] = Deferred(self._give_up)
        self.waiting.append(asking)
        if self.at_once:
            self.answer(self.at_once.pop(0) if len(self.at_once) > 1 else self.at_once[0])
        return asking

    def _give_up(self, asking: Deferred[Reply]) -> None:
        self.given_up += 1

    def answer(self, reply: Reply | Exception) -> None:
        asking = self.waiting.pop(0)
        if isinstance(reply, Exception):
            asking.errback(Failure(reply))
        else:
            asking.callback(reply)


class World:
    """Everything around callbacks, as the test wants it."""

    def __init__(self, store: JobStore | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.store = Store()
        self.names = Names()
        self.receivers = Receivers()
        self.rules: CallbackRules | None = RULES
        self.outcomes: list[Outcome] = []
        self.document: Callable[[Job], dict[str, object]] = document_of
        telling = Telling(
            store or self.store,  # type: ignore[arg-type]
            self._look_up,
            self.receivers,
            lambda route: self.rules,
            self._document_of,
            self.clock.seconds,
            self.outcomes.append,
        )
        self.callbacks = Callbacks(self.clock, telling)

    def _look_up(self, host: str) -> Deferred[Answer]:
        return self.names(host)

    def _document_of(self, job: Job) -> dict[str, object]:
        return self.document(job)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and whatever is due in it happen when it is due."""
        until = self.clock.seconds() + seconds
        while (calls := self.clock.getDelayedCalls()) and min(_times(calls)) <= until:
            self.clock.advance(max(0.0, min(_times(calls)) - self.clock.seconds()))
        self.clock.advance(until - self.clock.seconds())


def _times(calls: Sequence[IDelayedCall]) -> list[float]:
    return [call.getTime() for call in calls]


@pytest.fixture
def world() -> World:
    return World()


def test_tells_what_is_due_to_the_address_that_was_judged(world: World) -> None:
    world.store.add(URL)
    world.callbacks.start()
    (delivery,) = world.receivers.got
    assert (str(delivery.url), delivery.addresses) == (URL, (PUBLIC,))
    assert json.loads(delivery.message.body)["data"]["id"] == "abc"
    world.receivers.answer(Reply(204))
    assert (world.store.ended, world.outcomes) == ([(0, None)], [Outcome.DELIVERED])


def test_tells_again_after_5_s_5_m_30_m_2_h_and_5_h_and_then_gives_up(world: World) -> None:
    world.receivers.at_once = [Reply(500)]
    world.store.add(URL)
    told_at = []
    world.callbacks.start()
    while world.store.waiting:
        count = len(world.receivers.got)
        world.pass_time(world.store.waiting[0][0] - world.clock.seconds() - 0.01)
        assert len(world.receivers.got) == count
        world.pass_time(INTERVAL + 0.02)
        assert len(world.receivers.got) == count + 1
        told_at.append(world.clock.seconds() - START)
    delays = [5.0, 300.0, 1800.0, 7200.0, 18000.0, None]
    assert world.store.ended == list(enumerate(delays))
    assert world.outcomes == [Outcome.RETRIED] * 5 + [Outcome.GIVEN_UP]


def ended_in(store: MemoryStore) -> None:
    """Let a job end that has a callback."""
    ended = ended_job()
    new = NewJob(ended.id, ended.route, "", ended.caller, ended.call, ended.terms, b"", callback=URL)
    submitted = run(store.submit(new, Limits(9, 9, 9), START))
    assert submitted.claim is not None
    run(store.finish(submitted.claim, End(State.SUCCEEDED, Head(204, (), 0)), START))


def test_a_store_gives_it_six_times_the_last_long_after_the_job_is_gone() -> None:
    store = MemoryStore("here", 1 << 20)
    world = World(store)
    ended_in(store)
    world.receivers.at_once = [Reply(500)]
    world.callbacks.start()
    for delay, count in ((5.0, 2), (300.0, 3), (1800.0, 4), (7200.0, 5), (18000.0, 6), (3600.0, 6)):
        run(store.sweep(None, world.clock.seconds()))
        world.pass_time(delay + 2 * INTERVAL)
        assert len(world.receivers.got) == count
    assert world.outcomes == [Outcome.RETRIED] * 5 + [Outcome.GIVEN_UP]
    assert len({dict(delivery.message.headers)[b"webhook-id"] for delivery in world.receivers.got}) == 1


def test_a_store_gives_it_once_to_a_receiver_that_takes_it() -> None:
    store = MemoryStore("here", 1 << 20)
    world = World(store)
    ended_in(store)
    world.receivers.at_once = [Reply(204)]
    world.callbacks.start()
    world.pass_time(3600.0)
    assert (len(world.receivers.got), world.outcomes) == (1, [Outcome.DELIVERED])


def test_a_receiver_that_is_gone_is_not_told_again(world: World) -> None:
    world.receivers.at_once = [Reply(410)]
    world.store.add(URL)
    world.callbacks.start()
    assert (world.store.ended, world.outcomes) == ([(0, None)], [Outcome.UNWANTED])


def test_retry_after_is_honoured(world: World) -> None:
    world.receivers.at_once = [Reply(503, "3600")]
    world.store.add(URL)
    world.callbacks.start()
    assert world.store.ended == [(0, 3600.0)]


@pytest.mark.parametrize(
    "fault", [Refused(), ResponseNeverReceived([Failure(OSError("broken pipe"))]), OSError("no route")]
)
def test_whatever_goes_wrong_is_a_try_in_vain_and_the_loop_goes_on(fault: Exception, world: World) -> None:
    world.receivers.at_once = [fault, Reply(200)]
    world.store.add(URL)
    world.callbacks.start()
    assert world.store.ended == [(0, 5.0)]
    world.pass_time(5.0 + INTERVAL)
    assert world.store.ended == [(0, 5.0), (1, None)]


def test_a_slow_receiver_is_given_up_after_15_s(world: World) -> None:
    world.store.add(URL)
    world.callbacks.start()
    world.pass_time(TRY_TIMEOUT - 0.1)
    assert (world.receivers.given_up, world.store.ended) == (0, [])
    with capturedLogs() as events:
        world.pass_time(0.1)
    assert (world.receivers.given_up, world.store.ended) == (1, [(0, 5.0)])
    (event,) = events
    assert formatEvent(event) == f"{NOT_TOLD} (try 1 of 6): no answer in time"


def test_a_lookup_that_takes_too_long_is_part_of_those_15_s(world: World) -> None:
    asking: Deferred[Answer] = Deferred()
    world.names = lambda host: asking  # type: ignore[assignment]
    world.store.add(URL)
    world.callbacks.start()
    world.pass_time(TRY_TIMEOUT)
    assert (world.store.ended, world.receivers.got) == ([(0, 5.0)], [])


PRIVATE = [
    "127.0.0.2",
    "10.0.0.1",
    "169.254.169.254",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "0.0.0.0",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_is_connected_to_where_any_address_is_not_public(address: str, world: World) -> None:
    world.names = Names((PUBLIC, address))
    world.store.add(URL)
    world.callbacks.start()
    assert (world.receivers.got, world.store.ended) == ([], [(0, 5.0)])


@pytest.mark.parametrize("address", PRIVATE)
def test_a_dns_that_changes_its_mind_is_judged_each_time_and_asked_once(address: str, world: World) -> None:
    world.names = Names((PUBLIC,), (address,))
    world.receivers.at_once = [Reply(500)]
    world.store.add(URL)
    world.callbacks.start()
    assert [delivery.addresses for delivery in world.receivers.got] == [(PUBLIC,)]
    assert world.names.asked == ["hooks.example.com"]
    world.pass_time(5.0 + INTERVAL)
    assert len(world.receivers.got) == 1
    assert world.names.asked == ["hooks.example.com"] * 2
    assert world.store.ended == [(0, 5.0), (1, 300.0)]


def test_a_name_may_have_an_address_that_the_list_names(world: World) -> None:
    world.names = Names(("127.0.0.1",))
    world.store.add(URL)
    world.callbacks.start()
    assert world.receivers.got[0].addresses == ("127.0.0.1",)


def test_an_address_is_not_looked_up(world: World) -> None:
    world.store.add("http://127.0.0.1:8080/hook")
    world.callbacks.start()
    assert (world.names.asked, world.receivers.got[0].addresses) == ([], ("127.0.0.1",))


@pytest.mark.parametrize(
    "url", ["https://other.example.com/", "http://hooks.example.com/", "https://10.0.0.1/", "x"]
)
def test_a_url_that_the_route_does_not_take_any_more_is_not_looked_up(url: str, world: World) -> None:
    world.store.add(url)
    world.callbacks.start()
    assert (world.names.asked, world.receivers.got, world.store.ended) == ([], [], [(0, 5.0)])


def test_a_route_that_is_not_here_leaves_its_callbacks_to_others_for_a_day(world: World) -> None:
    world.rules = None
    world.store.add(URL, attempts=9, finished=START)
    world.callbacks.start()
    assert (world.store.ended, world.outcomes) == ([(9, ELSEWHERE_DELAY)], [])
    world.store.waiting.clear()
    world.store.add(URL, finished=START - ELSEWHERE_LONGEST - 1)
    world.pass_time(INTERVAL)
    assert (world.store.ended[1:], world.outcomes) == ([(0, None)], [Outcome.GIVEN_UP])
    assert world.receivers.got == []


def test_so_many_are_under_way_at_a_time_and_no_more(world: World) -> None:
    world.store.add(*[URL] * (CONCURRENCY + 5))
    world.callbacks.start()
    world.pass_time(3 * INTERVAL)
    assert len(world.receivers.got) == CONCURRENCY
    world.receivers.answer(Reply(200))
    world.receivers.answer(Reply(200))
    world.pass_time(0.0)
    assert len(world.receivers.got) == CONCURRENCY + 2
    assert world.store.limits == [CONCURRENCY, 2]
    for _ in range(CONCURRENCY):
        world.receivers.answer(Reply(200))
    world.pass_time(0.0)
    assert len(world.receivers.got) == CONCURRENCY + 5


def test_looks_again_each_second_and_at_once_when_nudged(world: World) -> None:
    world.callbacks.start()
    world.pass_time(2 * INTERVAL)
    assert len(world.store.limits) == 3
    world.store.add(URL)
    world.callbacks.nudge()
    world.pass_time(0.0)
    assert len(world.receivers.got) == 1
    assert len(world.clock.getDelayedCalls()) == 2  # the next look, and the bound of the try


def test_a_nudge_during_a_look_is_not_lost(world: World) -> None:
    holding: Deferred[None] = Deferred()
    world.store.holding = holding
    world.callbacks.start()
    world.callbacks.nudge()
    world.store.holding = None
    holding.callback(None)
    world.pass_time(0.0)
    assert len(world.store.limits) == 2


def test_a_store_that_is_away_is_waited_for_with_one_line_in_the_log(world: World) -> None:
    world.store.is_away = True
    world.store.add(URL)
    with capturedLogs() as events:
        world.callbacks.start()
        world.pass_time(10 * INTERVAL)
    assert [formatEvent(event) for event in events] == ["The store of jobs is away; callbacks wait for it."]
    assert len(world.store.limits) == 11
    world.store.is_away = False
    world.pass_time(INTERVAL)
    assert len(world.receivers.got) == 1


def test_a_nudge_does_not_hurry_a_store_that_is_away(world: World) -> None:
    world.store.is_away = True
    world.callbacks.start()
    for _ in range(5):
        world.callbacks.nudge()
        world.pass_time(0.0)
    assert len(world.store.limits) <= 6


def test_a_store_that_is_away_hears_of_the_end_when_it_is_back(world: World) -> None:
    world.store.add(URL)
    world.callbacks.start()
    world.store.is_away = True
    world.receivers.answer(Reply(200))
    world.pass_time(5 * INTERVAL)
    assert (world.store.ended, len(world.receivers.got)) == ([], 1)
    world.store.is_away = False
    world.pass_time(INTERVAL)
    assert world.store.ended == [(0, None)]
    assert len(world.receivers.got) == 1


def test_a_store_that_fails_is_asked_again(world: World, logged_failures: LoggedFailures) -> None:
    world.store.fault = RuntimeError("a bug")
    world.store.add(URL)
    world.callbacks.start()
    assert len(logged_failures.flush(RuntimeError)) == 1
    world.store.fault = None
    world.pass_time(INTERVAL)
    world.store.fault = RuntimeError("a bug")
    world.receivers.answer(Reply(200))
    assert len(logged_failures.flush(RuntimeError)) == 1
    world.store.fault = None
    world.store.add(URL)
    world.pass_time(INTERVAL)
    assert len(world.receivers.got) == 2


def test_a_status_that_cannot_be_written_holds_up_nobody_else(
    world: World, logged_failures: LoggedFailures
) -> None:
    world.document = lambda job: {}
    world.store.add(URL)
    world.callbacks.start()
    assert len(logged_failures.flush(KeyError)) == 1
    world.document = document_of
    world.store.add(URL)
    world.pass_time(INTERVAL)
    assert len(world.receivers.got) == 1


def test_the_log_shows_neither_url_nor_control_characters(world: World) -> None:
    world.receivers.at_once = [OSError("\x1b[31mred\n")]
    world.store.add("https://hooks.example.com/hook?token=hunter2", attempts=5)
    with capturedLogs() as events:
        world.callbacks.start()
    lines = [formatEvent(event) for event in events]
    assert lines == [
        f"{NOT_TOLD} (try 6 of 6): \\x1b[31mred\\n",
        "The end of job abc of route reports could not be told; nobody tries any more.",
    ]


def has_ended(stopping: Deferred[None]) -> bool:
    return stopping.called


def test_stopped_with_nothing_to_do_it_is_done_at_once(world: World) -> None:
    world.callbacks.start()
    stopping = world.callbacks.stop()
    assert has_ended(stopping)
    assert world.clock.getDelayedCalls() == []
    world.callbacks.nudge()
    assert "stopped, 0 under way" in repr(world.callbacks)


def test_stopped_it_waits_for_those_under_way_and_takes_no_more(world: World) -> None:
    world.store.add(URL)
    world.callbacks.start()
    stopping = world.callbacks.stop()
    world.store.add(URL)
    assert not has_ended(stopping)
    world.receivers.answer(Reply(200))
    assert has_ended(stopping)
    world.pass_time(10.0)
    assert len(world.receivers.got) == 1


def test_stopped_during_a_look_it_tells_what_that_brings(world: World) -> None:
    holding: Deferred[None] = Deferred()
    world.store.holding = holding
    world.store.add(URL)
    world.callbacks.start()
    assert "looking" in repr(world.callbacks)
    stopping = world.callbacks.stop()
    holding.callback(None)
    assert not has_ended(stopping)
    world.receivers.answer(Reply(200))
    assert has_ended(stopping)
    assert world.store.ended == [(0, None)]


def test_stopped_it_does_not_wait_for_a_store_that_is_away(world: World) -> None:
    world.store.add(URL)
    world.callbacks.start()
    world.store.is_away = True
    stopping = world.callbacks.stop()
    world.receivers.answer(Reply(200))
    assert has_ended(stopping)


class Away:
    """Callbacks with real connections: a store, names, and what was told."""

    def __init__(self, reactor: Any, trusted: str | None, *answers: tuple[str, ...]) -> None:
        self.store = Store()
        self.names = Names(*answers)
        self.told: Deferred[Outcome] = Deferred()
        telling = Telling(
            self.store,  # type: ignore[arg-type]
            self.names,
            HTTPDelivery(reactor, client_settings(trusted, True)),
            lambda route: RULES,
            document_of,
            lambda: START,
            self.told.callback,
        )
        self.callbacks = Callbacks(reactor, telling)

    async def tell(self, url: str) -> Outcome:
        self.store.add(url)
        self.callbacks.start()
        outcome = await self.told
        await self.callbacks.stop()
        return outcome


async def test_a_receiver_verifies_what_it_is_told(reactor: Any, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    receiver = Receiver(reactor, pair=authority.issue("hooks.example.com"))
    away = Away(reactor, authority.path, ("127.0.0.1",))
    assert await away.tell(f"https://hooks.example.com:{receiver.port}/hook") is Outcome.DELIVERED
    (call,) = receiver.calls
    fields = call.fields
    expected = sign(RULES.secret, fields["webhook-id"], int(fields["webhook-timestamp"]), call.body)
    assert fields["webhook-signature"] == expected
    assert json.loads(call.body)["type"] == "com.twistedgate.job.succeeded"
    assert away.store.ended == [(0, None)]
    await receiver.close()


@pytest.mark.parametrize("address", ["127.0.0.2", "::ffff:127.0.0.1", "::1", "0.0.0.0"])
async def test_a_receiver_on_this_machine_that_is_not_named_never_sees_a_connection(
    address: str, reactor: Any
) -> None:
    receiver = Receiver(reactor)
    away = Away(reactor, None, (address,))
    assert await away.tell(f"https://hooks.example.com:{receiver.port}/hook") is Outcome.RETRIED
    assert receiver.calls == []
    await receiver.close()


async def test_a_redirect_to_this_machine_is_not_followed(reactor: Any) -> None:
    other = Receiver(reactor)
    place = f"http://127.0.0.1:{other.port}/".encode()
    receiver = Receiver(reactor, b"HTTP/1.1 307 X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place)
    away = Away(reactor, None)
    assert await away.tell(f"http://127.0.0.1:{receiver.port}/hook") is Outcome.RETRIED
    assert (len(receiver.calls), other.calls) == (1, [])
    await receiver.close()
    await other.close()


async def test_connects_to_what_was_judged_and_looks_nothing_up_after_that(
    reactor: Any, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    receiver = Receiver(reactor, pair=authority.issue("hooks.example.com"))
    away = Away(reactor, authority.path, ("127.0.0.1",), ("127.0.0.2",))
    # No name server has this name: whoever looked it up again would not come far.
    assert await away.tell(f"https://hooks.example.com:{receiver.port}/hook") is Outcome.DELIVERED
    assert away.names.asked == ["hooks.example.com"]
    assert len(receiver.calls) == 1
    await receiver.close()
