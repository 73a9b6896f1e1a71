from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.redelivery import (
    DELAYS,
    ELSEWHERE_DELAY,
    ELSEWHERE_LONGEST,
    LONGEST_DELAY,
    Next,
    Outcome,
    Reply,
    after_try,
    elsewhere,
    read_retry_after,
)

NOW = 1_800_000_000.0


def test_tries_again_after_the_times_of_the_table_and_then_gives_up() -> None:
    at = 0.0
    tries = []
    for attempts in range(6):
        following = after_try(Reply(500), attempts, at)
        tries.append(following.at and following.at - at)
        at = following.at or at
    assert tries == [5.0, 300.0, 1800.0, 7200.0, 18000.0, None]
    assert following.outcome is Outcome.GIVEN_UP


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
def test_every_2xx_is_the_end(status: int) -> None:
    assert after_try(Reply(status, "60"), 0, NOW) == Next(Outcome.DELIVERED)


@pytest.mark.parametrize("attempts", range(7))
def test_410_ends_it_whenever_it_comes(attempts: int) -> None:
    assert after_try(Reply(410, "60"), attempts, NOW) == Next(Outcome.UNWANTED)


@pytest.mark.parametrize(
    "reply", [None, *map(Reply, (199, 300, 301, 307, 308, 304, 400, 404, 429, 500, 599))]
)
def test_everything_else_is_tried_again(reply: Reply | None) -> None:
    assert after_try(reply, 0, NOW) == Next(Outcome.RETRIED, NOW + 5.0)
    assert after_try(reply, 5, NOW) == Next(Outcome.GIVEN_UP)


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("7", 7.0),
        ("0", 5.0),
        ("1", 5.0),
        ("86400", 86400.0),
        ("999999999999999", LONGEST_DELAY),
        ("9" * 400, 5.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 5.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_DELAY),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("Fri Jan 15 08:01:00 2027", 60.0),
        *(
            (text, 5.0)
            for text in ("", "-1", "+7", "7.5", "7s", "soon", "1e9", "Fri, 99 Jan", "\xff", "\u0667")
        ),
    ],
)
def test_retry_after_puts_the_next_try_off_within_bounds(text: str, delay: float) -> None:
    assert after_try(Reply(503, text), 0, NOW) == Next(Outcome.RETRIED, NOW + delay)


def test_retry_after_never_brings_a_try_forward() -> None:
    assert after_try(Reply(503, "30"), 3, NOW).at == NOW + 7200.0


@given(
    st.one_of(st.none(), st.builds(Reply, st.integers(100, 999), st.text(max_size=40))),
    st.integers(0, 9),
    st.floats(0, 4e9),
)
def test_ends_or_tries_again_in_time_whatever_is_answered(
    reply: Reply | None, attempts: int, now: float
) -> None:
    following = after_try(reply, attempts, now)
    assert (following.at is not None) == (following.outcome is Outcome.RETRIED)
    if following.at is not None:
        assert attempts < len(DELAYS)
        assert now + DELAYS[attempts] <= following.at <= now + LONGEST_DELAY


@given(st.text(max_size=60))
def test_any_text_is_read_as_some_time_to_wait(text: str) -> None:
    assert read_retry_after(text, NOW) >= 0.0


def test_what_is_not_known_here_is_kept_for_a_day() -> None:
    assert elsewhere(NOW, NOW) == Next(Outcome.RETRIED, NOW + ELSEWHERE_DELAY)
    later = NOW + ELSEWHERE_LONGEST
    assert elsewhere(NOW, later) == Next(Outcome.RETRIED, later + ELSEWHERE_DELAY)
    assert elsewhere(NOW, later + 1) == Next(Outcome.GIVEN_UP)
