"""What changed is told once each turn, and only where others do not hear of it by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twistedgate.stores.memory import MemoryStore
from twistedgate.workers.wakeups import News, WakeUps


class Shared(MemoryStore):
    """A store whose other processes have to be told."""

    def __init__(self) -> None:
        super().__init__("here", 1 << 20)
        self.announce: Callable[[str, str], object] | None = None
        self.heard: list[tuple[str, str]] = []

    def hear(self, kind: str, name: str) -> None:
        self.heard.append((kind, name))


class Told:
    """One process, what it says, and its next turn."""

    def __init__(self, store: Any) -> None:
        self.said: list[News] = []
        self.soon: list[Callable[[], object]] = []
        self.wakeups = WakeUps(store, self.said.append, self.soon.append)

    def turn(self) -> None:
        """Let the reactor turn."""
        soon, self.soon[:] = list(self.soon), []
        for call in soon:
            call()


def test_what_changes_in_one_turn_is_one_message() -> None:
    store = Shared()
    told = Told(store)
    assert store.announce is not None
    for name in ("a", "b", "a"):
        store.announce("job", name)
    store.announce("work", "a")
    assert told.said == []
    told.turn()
    assert told.said == [[("job", "a"), ("job", "b"), ("work", "a")]]
    store.announce("job", "a")
    told.turn()
    assert told.said[1:] == [[("job", "a")]]


def test_what_others_say_is_handed_to_the_store() -> None:
    store = Shared()
    Told(store).wakeups.hear([["job", "a"], ["work", "b"]])
    assert store.heard == [("job", "a"), ("work", "b")]


def test_a_store_that_hears_by_itself_is_told_nothing() -> None:
    told = Told(MemoryStore("here", 1 << 20))
    told.wakeups.hear([["job", "a"]])
    told.turn()
    assert told.said == []
