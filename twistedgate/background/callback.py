"""Tells those who want to know that a job has ended: takes callbacks that are due, and sends each.

Before each try the URL is judged again by what the route says now; its host is looked up once, every address
is judged, and the connection goes to one of those: nobody looks the name up after that, so that a DNS which
says something else a moment later says it to nobody.  A try takes 15 s at most, and so many are under way at
a time.  Whatever fails, the loop goes on: a store that is away is asked again, and is told of the tries that
have ended meanwhile when it is back.  This module does not know how a callback is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as GivenUp
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.background.delivery import Deliver, Delivery
from twistedgate.jobs.addresses import read_address
from twistedgate.jobs.callback_url import CallbackHosts, CallbackRefused, parse_callback_url
from twistedgate.jobs.job import Callback, Job
from twistedgate.jobs.redelivery import DELAYS, Next, Outcome, Reply, after_try, elsewhere
from twistedgate.jobs.store import JobStore, StoreAway
from twistedgate.jobs.webhook import CallbackRules, Message, message_of
from twistedgate.upstream.resolver import Lookup

INTERVAL = 1.0
"""Seconds after which the store is asked again, and told again what it has not taken."""

TRY_TIMEOUT = 15.0
"""Seconds that a try may take, lookup included: what Standard Webhooks gives a receiver, at the least."""

CONCURRENCY = 20
"""Tries under way at a time, of one process: enough while some receivers use all their time."""

LONGEST_TROUBLE = 200
"""Characters of what went wrong that are logged: some of it may be the receiver's own words."""

_log = Logger()


@dataclass(frozen=True, slots=True)
class Telling:
    """What callbacks are told with."""

    store: JobStore
    lookup: Lookup
    deliver: Deliver
    rules: Callable[[str], CallbackRules | None]
    """What the route of this name says of callbacks now; ``None`` if it is gone, or takes none any more."""
    document: Callable[[Job], Mapping[str, object]]
    """The status document of a job."""
    now: Callable[[], float]
    """Seconds since 1970."""
    told: Callable[[Outcome], object] = lambda outcome: None
    """Called for each try that has ended."""


class Callbacks:
    """Takes callbacks and tells them, until it is stopped."""

    def __init__(self, reactor: IReactorTime, telling: Telling) -> None:
        self._reactor = reactor
        self._telling = telling
        self._under_way = 0
        self._has_more = False
        self._is_away = False
        self._is_looking = False
        self._next: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._is_stopped else "looking" if self._is_looking else "waiting"
        return f"<Callbacks {state}, {self._under_way} under way>"

    @property
    def _is_stopped(self) -> bool:
        return self._stopped is not None

    def start(self) -> None:
        """Look for callbacks now, and again and again."""
        self._look()

    def nudge(self) -> None:
        """Look soon: there may be one."""
        self._has_more = True
        if self._next is not None:
            self._next.reset(0)

    def stop(self) -> Deferred[None]:
        """Take no more; fires when those under way have ended, each within its time.  To be called once."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        stopped = self._stopped = Deferred()
        self._go_on()
        return stopped

    def _look(self) -> None:
        self._next = None
        self._has_more = False
        free = CONCURRENCY - self._under_way
        self._is_looking = True
        looking = Deferred.fromCoroutine(self._telling.store.due_callbacks(free, self._telling.now()))
        looking.addCallbacks(self._take, self._failed, callbackArgs=(free,))
        looking.addErrback(lambda failure: _log.failure("Callbacks were not taken", failure))
        looking.addBoth(self._looked)

    def _take(self, due: list[Callback], asked: int) -> None:
        self._is_away = False
        self._has_more = self._has_more or len(due) >= asked
        self._under_way += len(due)
        for callback in due:
            telling = Deferred.fromCoroutine(self._tell(callback))
            telling.addErrback(lambda failure: _log.failure("The end of a callback is not kept", failure))
            telling.addBoth(self._ended)

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreAway) is None:
            _log.failure("Callbacks cannot be taken", failure)
        elif not self._is_away:
            self._is_away = True
            _log.warn("The store of jobs is away; callbacks wait for it.")

    def _looked(self, _: object) -> None:
        self._is_looking = False
        self._go_on()

    def _ended(self, _: object) -> None:
        self._under_way -= 1
        self._go_on()

    def _go_on(self) -> None:
        """Look when it is time, unless a look is under way or there is no room for what it may bring."""
        if self._stopped is not None:
            if self._under_way == 0 and not self._is_looking:
                self._stopped.callback(None)
        elif not self._is_looking and self._under_way < CONCURRENCY:
            wait = 0.0 if self._has_more and not self._is_away else INTERVAL
            if self._next is None:
                self._next = self._reactor.callLater(wait, self._look)
            elif wait == 0.0:
                self._next.reset(0)

    async def _tell(self, callback: Callback) -> None:
        job, now = callback.job, self._telling.now
        rules = self._telling.rules(job.route)
        if rules is None:
            following = elsewhere(job.finished or 0.0, now())
        else:
            message = message_of(job, self._telling.document(job), rules.secret, now())
            reply = await self._try(callback, rules.hosts, message)
            following = after_try(reply, callback.attempts, now())
        if rules is not None or following.at is None:
            _log_end(callback, following)
            self._telling.told(following.outcome)
        await self._report(callback, following)

    def _try(self, callback: Callback, hosts: CallbackHosts, message: Message) -> Deferred[Reply | None]:
        """Return the answer, ``None`` if there is none in time."""
        trying: Deferred[Any] = Deferred.fromCoroutine(self._send(callback.url, hosts, message))
        trying.addTimeout(TRY_TIMEOUT, self._reactor)
        return trying.addCallbacks(
            _log_reply, _log_trouble, callbackArgs=(callback,), errbackArgs=(callback,)
        )

    async def _send(self, text: str, hosts: CallbackHosts, message: Message) -> Reply:
        url = hosts.judge(text)
        found = (url.host,) if read_address(url.host) else (await self._telling.lookup(url.host)).addresses
        addresses = hosts.judge_addresses(url.host, found)
        return await self._telling.deliver(Delivery(url, addresses, message))

    async def _report(self, callback: Callback, following: Next) -> None:
        """Tell the store, which may be away: what it is not told of within a minute was told in vain."""
        while True:
            try:
                await self._telling.store.callback_ended(callback, following.at, self._telling.now())
            except StoreAway:
                if self._is_stopped:
                    return
                await deferLater(self._reactor, INTERVAL)
            else:
                return


def _log_reply(reply: Reply, callback: Callback) -> Reply:
    if not 200 <= reply.status < 300:
        _log.info(
            "The end of job {job} of route {route} was told to {host} (try {number} of {most}), and answered "
            "with {status}.",
            status=reply.status,
            **_which(callback),
        )
    return reply


def _which(callback: Callback) -> dict[str, object]:
    """Return what the log says of a try: never the path, for it may hold what lets others in."""
    try:
        host = parse_callback_url(callback.url).authority
    except CallbackRefused:
        host = "?"
    job, number = callback.job, callback.attempts + 1
    return {"job": job.id, "route": job.route, "host": host, "number": number, "most": len(DELAYS) + 1}


def _log_trouble(failure: Failure, callback: Callback) -> None:
    """Say why there was no answer."""
    told: Any = failure.value
    while reasons := getattr(told, "reasons", None):
        # What twisted.web raises wraps what happened.
        told = reasons[0].value
    text = "no answer in time" if failure.check(GivenUp) else str(told) or type(told).__name__
    _log.info(
        "The end of job {job} of route {route} cannot be told to {host} (try {number} of {most}): {trouble}",
        trouble=text.encode("unicode_escape").decode("ascii")[:LONGEST_TROUBLE],
        **_which(callback),
    )


def _log_end(callback: Callback, following: Next) -> None:
    if following.outcome is Outcome.GIVEN_UP:
        _log.warn(
            "The end of job {job} of route {route} could not be told; nobody tries any more.",
            job=callback.job.id,
            route=callback.job.route,
        )
