"""The jobs of one process: where they are kept, who runs them, and who tells of their ends.

A configuration is given before or after the store is open; jobs are run from when there are both.  Whoever
ends first drains: nothing more is claimed, calls under way go on for a while, and what is left is given back
to the store.  This module does not know who serves clients.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from twistedgate.actions.job import JobAction
from twistedgate.background.port import Jobs
from twistedgate.background.run import Runnable
from twistedgate.background.runner import Runner
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.exchange import Exchange
from twistedgate.jobs.document import document
from twistedgate.jobs.job import Job
from twistedgate.jobs.observer import UNOBSERVED, JobsObserver
from twistedgate.jobs.store import JobStore, StoreAway
from twistedgate.jobs.webhook import CallbackRules
from twistedgate.net.tls import client_settings
from twistedgate.pipeline import Pipeline

if TYPE_CHECKING:
    from twistedgate.background.callback import Callbacks

_log = Logger()


class JobService:
    """Keeps, runs and answers for jobs in this process, by the configuration that was committed last."""

    def __init__(self, reactor: Any, store: JobStore, observer: JobsObserver = UNOBSERVED) -> None:
        """``observer`` is told what becomes of jobs."""
        self.store = store
        self.runner = Runner(reactor, store, self._find, time.time, random.random)
        self.runner.observer = observer
        self.port = Jobs(store, self.runner.run, time.time, reactor, observer)
        self._reactor = reactor
        self._runnables: Mapping[str, Runnable] = {}
        self._rooms: dict[str, int] | None = None
        self._rules: Mapping[str, CallbackRules] = {}
        self._path = ""
        self._callbacks: Callbacks | None = None
        self._is_open = False
        self._is_running = False
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<JobService {self.runner!r}>"

    def _find(self, route: str) -> Runnable | None:
        """Return how the jobs of a route are performed by the configuration of now."""
        return self._runnables.get(route)

    # a configuration takes effect

    def prepare(self, routes: Iterable[str]) -> None:
        """The jobs of these routes may soon be run here, and are elsewhere already; empty: of none."""
        self.runner.expect(routes)

    def commit(
        self,
        configuration: Configuration,
        pipelines: Mapping[str, Pipeline],
        observe: Callable[[Exchange], None],
    ) -> None:
        """Run the jobs of these routes by their pipelines from now on; ``observe`` is told of each run."""
        routes = {name: configuration.routes[name] for name in pipelines}
        self._runnables = {name: _runnable(route, pipelines[name], observe) for name, route in routes.items()}
        self._rooms = {name: route.async_concurrency for name, route in routes.items()}
        self._rules = {
            name: CallbackRules.of(route.async_callback_hosts, route.async_callback_secret)
            for name, route in routes.items()
            if route.async_callback_hosts
        }
        self._path = configuration.gateway.jobs_path
        self._begin()

    # the life of it

    def start(self) -> Deferred[None]:
        """Open the store, then run jobs; fails with ``StoreAway`` where the store can never be had."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self.store.start()
        self._is_open = True
        self._begin()

    def _begin(self) -> None:
        """Run jobs if there is a configuration to run them by, and a store to take them from."""
        if not self._is_open or self._is_ending or self._rooms is None:
            return
        self.runner.configure(self._rooms)
        if not self._is_running:
            self._is_running = True
            self.runner.start()
        if self._rules and self._callbacks is None:
            # not before somebody may be told: an HTTP client takes memory
            self._callbacks = self._make_callbacks()
            self._callbacks.start()
            self.runner.on_callback = self._callbacks.nudge

    def _make_callbacks(self) -> Callbacks:
        from twistedgate.background.callback import Callbacks, Telling
        from twistedgate.background.delivery import HTTPDelivery
        from twistedgate.upstream.lookup import SystemLookup

        deliver = HTTPDelivery(self._reactor, client_settings(None, True))
        return Callbacks(
            self._reactor,
            Telling(
                self.store,
                SystemLookup(self._reactor),
                deliver,
                self._rules_of,
                self._document,
                time.time,
                self.port.observer.told,
            ),
        )

    def _rules_of(self, route: str) -> CallbackRules | None:
        return self._rules.get(route)

    def _document(self, job: Job) -> Mapping[str, object]:
        return document(job, self._path)

    def drain(self, timeout: float) -> Deferred[None]:
        """Claim nothing more; fires when no call is under way here any more, or was given back."""
        self._is_ending = True
        self.port.end_waits(self.runner.has)
        ends: list[Deferred[Any]] = [Deferred.fromCoroutine(self.runner.drain(timeout))]
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            ends.append(callbacks.stop())
        return DeferredList(ends, consumeErrors=True).addCallback(lambda _: None)

    def stop(self) -> Deferred[None]:
        """Close the store, once everything handed over is kept."""
        self._is_ending = True
        self.runner.stop()
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            # a try under way is cut with the process, and counts as one that failed
            callbacks.stop()
        if not self._is_open:
            return succeed(None)
        self._is_open = False
        closing = Deferred.fromCoroutine(self.store.stop())
        return closing.addErrback(_log_trouble)


def _runnable(route: RouteConfig, pipeline: Pipeline, observe: Callable[[Exchange], None]) -> Runnable:
    action = pipeline.action
    assert isinstance(action, JobAction)
    return Runnable(
        pipeline, action.inner, route.async_timeout, route.async_backoff, route.async_max_result, observe
    )


def _log_trouble(failure: Any) -> None:
    failure.trap(StoreAway)
    _log.warn("the store of jobs was not closed in order: {why}", why=failure.value)
