"""What every test stands on: a bound on its time, and no failure that goes unseen.

A failure that is only logged, a Deferred whose error nobody looked at and a delayed call left behind fail
the test.  A test that wants a failure to be logged takes ``logged_failures`` and flushes it.  The reactor is
never imported here at the top: pytest-twisted installs the one that ``--reactor`` names.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

LONGEST_TEST = 60.0
"""Seconds a test may wait for the reactor; a test that waits at all should be done in one."""

hypothesis.settings.register_profile(
    "deterministic",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deterministic")


@implementer(ILogObserver)
class LoggedFailures:
    """The failures that were logged while a test ran."""

    def __init__(self) -> None:
        self._failures: list[Failure] = []

    def __call__(self, event: LogEvent) -> None:
        """Observe the log."""
        failure = event.get("log_failure", event.get("failure"))  # the latter of ``twisted.python.log``
        if isinstance(failure, Failure):
            self._failures.append(failure)

    def flush(self, *kinds: type[BaseException]) -> list[Failure]:
        """Return the failures of these kinds (of any, if none is given), and forget them."""
        taken = [failure for failure in self._failures if isinstance(failure.value, kinds or BaseException)]
        self._failures = [failure for failure in self._failures if failure not in taken]
        return taken


def _reactor() -> Any:
    """Return the reactor that is installed, without installing one."""
    return sys.modules.get("twisted.internet.reactor")


def _delayed_calls() -> set[Any]:
    reactor = _reactor()
    return set() if reactor is None else set(reactor.getDelayedCalls())


@pytest.fixture
def reactor() -> Any:
    """The real reactor, for tests with real sockets."""
    from twisted.internet import reactor

    return reactor


@pytest.fixture
def logged_failures() -> Iterator[LoggedFailures]:
    """What was logged with a failure; a test that expects some flushes them."""
    failures = LoggedFailures()
    globalLogPublisher.addObserver(failures)
    yield failures
    globalLogPublisher.removeObserver(failures)


@pytest.fixture(autouse=True)
def _nothing_left_behind(logged_failures: LoggedFailures) -> Iterator[None]:
    """Fail a test that leaves a delayed call or a failure which only the log has seen."""
    before = _delayed_calls()
    yield
    _let_due_calls_run(before)
    gc.collect()  # an unhandled error is logged when its Deferred is collected
    logged = [failure.getTraceback() for failure in logged_failures.flush()]
    left = [_cancelled(call) for call in _delayed_calls() - before]
    assert not logged, "failures were logged:\n" + "\n".join(logged)
    assert not left, "delayed calls were left behind:\n" + "\n".join(left)


@pytest.fixture(autouse=True, scope="module")
def _what_a_module_leaves_is_left() -> Iterator[None]:
    """Take what a module's tests loaded and cached out of the collector's sight, as what came before them."""
    yield
    gc.collect()
    gc.freeze()


def _let_due_calls_run(before: set[Any]) -> None:
    """Give the reactor its next turn: a connect that was given up leaves a call of no delay behind."""
    reactor = _reactor()
    if any(call.getTime() <= reactor.seconds() for call in _delayed_calls() - before):
        pytest_twisted.blockon(deferLater(reactor, 0, lambda: None))


def _cancelled(call: Any) -> str:
    """Cancel a delayed call, and return what it would have been."""
    description = str(call)
    call.cancel()
    return description


def pytest_collection_finish() -> None:
    """Take what is loaded so far out of the collector's sight: a collection after each test stays cheap."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Bound the time that a test may wait: pytest-timeout would kill the reactor with the test."""
    hypothesis_test = getattr(pyfuncitem.obj, "hypothesis", None)
    if hypothesis_test is None:
        pyfuncitem.obj = _bounded(pyfuncitem.obj)
    else:
        hypothesis_test.inner_test = _bounded(hypothesis_test.inner_test)
    return (yield)


def _bounded(test: Callable[..., Any]) -> Callable[..., Any]:
    """Return the test with a bound on the Deferred or coroutine that it returns, if it does."""

    @functools.wraps(test)
    def bounded(*arguments: Any, **named: Any) -> Any:
        outcome = test(*arguments, **named)
        if hasattr(outcome, "__await__") and not isinstance(outcome, Deferred):
            outcome = ensureDeferred(outcome)
        if isinstance(outcome, Deferred):
            outcome.addTimeout(LONGEST_TEST, _reactor())
        return outcome

    # wraps() copies pytest-twisted's mark with the attributes; what is returned is a Deferred by now.
    bounded.__dict__.pop(pytest_twisted._mark_attribute_name, None)
    return bounded
