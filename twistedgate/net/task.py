"""One coroutine of the line, stepped by hand; the only place where a coroutine is started.

``Deferred.fromCoroutine`` costs three microseconds for the awaits of one exchange, this one costs one.  A
task can await a ``Signal`` or a ``Deferred``.  A task that is cancelled sees ``ClientGone`` where it waits,
never ``CancelledError``: no broad ``except Exception`` mistakes a departed client for a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.errors import ClientGone

T = TypeVar("T")

_log = Logger()


class Signal(Generic[T]):
    """Something that one task waits for: a value or an error, set once, before or after the wait begins.

    It is handed over once; then whoever made the signal may ``renew`` it.
    """

    __slots__ = ("_error", "_is_set", "_value", "task")

    def __init__(self) -> None:
        self.task: Task | None = None
        self._is_set = False
        self._value: Any = None
        self._error: BaseException | None = None

    def __await__(self) -> Generator[Signal[T], None, T]:
        if not self._is_set:
            yield self
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # what was raised remembers this frame, which is not to remember it: that is a cycle
                del error
        value: T = self._value
        # whoever keeps the signal is not to keep what was taken
        self._value = None
        return value

    def renew(self) -> None:
        """Be waited for, and set, once more."""
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Whether a value or an error is there."""
        return self._is_set

    @property
    def is_waited_for(self) -> bool:
        """Whether a task waits; not any more when its client has left."""
        return self.task is not None

    def set(self, value: T) -> None:
        """Give the value, and step the task that waits for it."""
        if not self._is_set:
            self._is_set = True
            self._value = value
            task = self.task
            if task is not None:
                self.task = None
                task.step()

    def fail(self, error: BaseException) -> None:
        """Give an error instead."""
        if not self._is_set:
            self._error = error
            self.set(self._value)


class Task:
    """A coroutine under way, and what is called when it ended."""

    __slots__ = ("_coroutine", "_ended", "_is_running", "_steps", "_thrown", "_waited")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = coroutine
        self._steps = coroutine.__await__()
        self._ended: Callable[[], None] | None = ended
        self._is_running = False
        self._waited: Signal[Any] | Deferred[Any] | None = None
        self._thrown: BaseException | None = None

    def renew(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Take another coroutine, now that the last one has ended."""
        self._coroutine = coroutine
        self._steps = coroutine.__await__()
        self._ended = ended
        self._thrown = None

    @property
    def is_done(self) -> bool:
        """Whether the coroutine has ended."""
        return self._coroutine is None

    def step(self, result: Any = None) -> None:
        """Run the coroutine to its next wait; a Deferred's failure is raised in it."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._is_running = True
        self._waited = None
        try:
            thrown = self._thrown
            if thrown is not None:
                self._thrown = None
                waited = coroutine.throw(thrown)
            elif result is None:
                # nobody waits for None: it spares the end an exception and its traceback
                waited = next(self._steps, None)
            elif isinstance(result, Failure):
                waited = result.throwExceptionIntoGenerator(coroutine)
            else:
                waited = coroutine.send(result)
        except StopIteration:
            waited = None
        except BaseException as error:  # noqa: BLE001 -- the line that starts coroutines: one of the two
            self._end_badly(error)
            return
        if waited is None:
            self._end()
            return
        self._is_running = False
        self._waited = waited
        if type(waited) is Signal:
            waited.task = self
        else:
            waited.addBoth(self.step)
        if self._thrown is not None and self._waited is waited:
            # while the coroutine ran
            self._interrupt()

    def throw(self, error: BaseException) -> None:
        """Raise ``error`` where the coroutine waits; if it is running now, at its next wait."""
        if self._coroutine is None:
            return
        self._thrown = error
        if not self._is_running:
            self._interrupt()

    def _interrupt(self) -> None:
        waited = self._waited
        if isinstance(waited, Deferred):
            # its CancelledError, or that of one it waits for, resumes the task, which sees what was thrown
            waited.cancel()
            return
        if waited is not None:
            waited.task = None
        self.step()

    def _end(self) -> None:
        ended = self._ended
        self._coroutine = self._ended = None
        self._is_running = False
        if ended is not None:
            ended()

    def _end_badly(self, error: BaseException) -> None:
        """Close what an error left; the line catches its own, so what comes here is ours or an interrupt."""
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self._end()
            raise error
        if not isinstance(error, ClientGone):
            _log.failure("the line failed", Failure(error))
        self._end()
