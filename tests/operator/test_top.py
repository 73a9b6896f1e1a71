from __future__ import annotations

import itertools
from typing import Any

from tests.operator.statuses import status
from twistedgate.operator.address import CannotAsk
from twistedgate.operator.rates import RATE
from twistedgate.operator.screen import Screen
from twistedgate.operator.top import FIRST_PAUSE, PAUSE, live, readings


class Gateway:
    """Has had ten requests more each second; ``gone`` are the questions that are not answered."""

    def __init__(self, *gone: int) -> None:
        self.questions = 0
        self._gone = gone

    def __call__(self) -> dict[str, Any]:
        self.questions += 1
        if self.questions in self._gone:
            raise CannotAsk("nothing answers at x")
        return status(float(self.questions), requests=10 * self.questions)


class Paper(Screen):
    """Keeps the pages; its user goes when he has seen enough."""

    def __init__(self, enough: int = 100) -> None:
        super().__init__()
        self.pages: list[str] = []
        self._enough = enough

    def draw(self, page: str) -> None:
        """Keep a page."""
        self.pages.append(page)

    def wait(self, seconds: float) -> bool:
        """Go, or not."""
        return len(self.pages) >= self._enough


def test_the_first_rates_come_soon_and_the_others_each_second() -> None:
    pauses: list[float] = []
    told = list(itertools.islice(readings(Gateway(), pauses.append), 3))
    assert [one[RATE] for one in told] == [10.0] * 3
    assert pauses == [FIRST_PAUSE, PAUSE, PAUSE]


def test_a_terminal_shows_what_is_there_at_once_and_rates_from_the_second_page_on() -> None:
    paper = Paper()
    live(Gateway(), paper, 3)
    firsts = [page.splitlines()[0] for page in paper.pages]
    assert [first.partition("connections")[2] for first in firsts] == ["", *[", 10 requests/s"] * 2]
    assert paper.pages[0].endswith("q ends.")


def test_it_ends_when_its_user_goes() -> None:
    paper, gateway = Paper(enough=2), Gateway()
    live(gateway, paper, 0)
    assert (len(paper.pages), gateway.questions) == (2, 2)


def test_a_gateway_that_is_away_for_a_while_is_waited_for() -> None:
    paper = Paper()
    live(Gateway(1, 3), paper, 5)
    firsts = [page.splitlines()[0] for page in paper.pages]
    assert [first == "nothing answers at x" for first in firsts] == [True, False, True, False, False]
    assert firsts[3].endswith("10 requests/s")
