"""Each end of a job has a word, and nobody need listen."""

from __future__ import annotations

import pytest

from twistedgate.jobs.job import End, State
from twistedgate.jobs.observer import OUTCOMES, UNOBSERVED, outcome_of
from twistedgate.jobs.redelivery import Outcome
from twistedgate.jobs.schedule import REASONS


def test_every_end_has_a_word_of_its_own() -> None:
    ends = [End(State.SUCCEEDED), End(State.CANCELLED), *(End(State.FAILED, reason=why) for why in REASONS)]
    told = [outcome_of(end) for end in ends]
    assert set(told) == set(OUTCOMES)
    assert len(told) == len(OUTCOMES)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_nobody_need_listen(outcome: str) -> None:
    UNOBSERVED.submitted("reports")
    UNOBSERVED.began("reports", 1.0)
    UNOBSERVED.ran("reports", 1.0)
    UNOBSERVED.finished("reports", outcome)
    UNOBSERVED.told(Outcome.DELIVERED)
