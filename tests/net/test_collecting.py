from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from twistedgate.net.collecting import YOUNG_OBJECTS, keep_what_stays


class Knot:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)


def test_what_stays_is_not_looked_at_and_what_is_gone_next_time_is_freed() -> None:
    knot = Knot()
    keep_what_stays()
    assert gc.get_freeze_count() > 0
    seen = weakref.ref(knot)
    del knot
    gc.collect()
    assert seen() is not None
    keep_what_stays()
    assert seen() is None


def test_young_objects_are_looked_at_less_often() -> None:
    keep_what_stays()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
