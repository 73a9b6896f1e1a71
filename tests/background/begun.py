"""A coroutine that was begun, as the line begins one; and what became of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from twistedgate.errors import ClientGone
from twistedgate.net.task import Task

T = TypeVar("T")


class Begun(Generic[T]):
    """Runs a coroutine until it waits, and remembers what it returned or raised."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.result: T | None = None
        self.error: BaseException | None = None
        self.is_done = False
        self._task = Task(self._carry_out(work), self._end)
        self._task.step()

    async def _carry_out(self, work: Coroutine[Any, Any, T]) -> None:
        try:
            self.result = await work
        except BaseException as error:  # noqa: BLE001 -- it is what the test asks for
            self.error = error

    def _end(self) -> None:
        self.is_done = True

    def leave(self) -> None:
        """Interrupt it where it waits, as a client does that leaves."""
        self._task.throw(ClientGone())


def result_of(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` comes to, which must be now; raises what it raises."""
    begun = Begun(work)
    if begun.error is not None:
        raise begun.error
    assert begun.is_done
    return begun.result  # type: ignore[return-value]
