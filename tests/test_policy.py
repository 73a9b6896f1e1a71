from __future__ import annotations

from dataclasses import dataclass

from twistedgate.policy import Policy, Stage
from twistedgate.testing import admit, dress, exchange, make_policy


class Nothing(Policy):
    """Does nothing."""

    @dataclass(frozen=True, slots=True)
    class Config:
        """No options."""

        name: str


def test_the_stages_stand_in_the_order_of_the_line() -> None:
    assert sorted(Stage) == list(Stage)
    assert [stage.name for stage in Stage] == ["IDENTIFY", "AUTHORIZE", "LIMIT", "REUSE", "TRANSFORM"]


def test_a_policy_that_says_nothing_changes_nothing() -> None:
    nothing, passing = make_policy(Nothing), exchange(headers={"X-A": "1"})
    assert not nothing.has_credentials(passing)
    assert admit(nothing, passing) is None
    response = dress(nothing, passing)
    nothing.on_finish(passing)
    assert (response.status, response.headers.fields, response.body) == (200, (), b"")
    assert [key for key, _, _ in passing.request.headers] == [b"host", b"x-a"]


def test_a_policy_that_says_nothing_stands_last_and_reads_no_body() -> None:
    assert Nothing.stage is max(Stage)
    assert not Nothing.needs_request_body
