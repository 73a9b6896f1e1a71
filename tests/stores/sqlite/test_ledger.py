"""A ledger reads rows, and notes what is to be told."""

from __future__ import annotations

from tests.stores.sqlite.steps import queue
from twistedgate.stores.sqlite.ledger import Ledger


def test_the_first_row_is_returned_or_none(ledger: Ledger) -> None:
    assert ledger.one("SELECT value FROM json_each('[1, 2]')") == (1,)
    assert ledger.one("SELECT 1 WHERE 1 = ?", (2,)) is None
    assert ledger.all("SELECT value FROM json_each('[1, 2]')") == [(1,), (2,)]


def test_a_free_slot_is_told_where_somebody_waits_for_it(ledger: Ledger) -> None:
    queue(ledger, route="busy")
    ledger.working.clear()
    ledger.free_slots(["busy", "idle"])
    assert ledger.working == ["busy"]
