"""``twistedgate top``: one reading after the other, each with the rates since the one before."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

from twistedgate.operator.address import CannotAsk
from twistedgate.operator.pages import status_page
from twistedgate.operator.rates import Status, with_rates
from twistedgate.operator.screen import Screen

PAUSE = 1.0
"""Seconds between two readings."""

FIRST_PAUSE = 0.5
"""Seconds to the first rates: somebody waits for them."""

Ask = Callable[[], Status]


def readings(ask: Ask, wait: Callable[[float], object] = time.sleep) -> Iterator[dict[str, Any]]:
    """Give readings with rates, for ever."""
    before = ask()
    pause = FIRST_PAUSE
    while True:
        wait(pause)
        after = ask()
        yield with_rates(before, after)
        before, pause = after, PAUSE


def live(ask: Ask, screen: Screen, count: int) -> None:
    """Draw readings until the user goes, or ``count`` are drawn (0: no limit); a restart is sat out."""
    before: Status | None = None
    drawn = 0
    while True:
        try:
            after = ask()
        except CannotAsk as error:
            page = str(error)
        else:
            page = status_page(with_rates(before or after, after), dt.datetime.now(dt.UTC))
            before = after
        screen.draw(f"{page}\n\nq ends.")
        drawn += 1
        if drawn == count or screen.wait(PAUSE):
            return
