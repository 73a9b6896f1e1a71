from __future__ import annotations

import pytest

from twistedgate.errors import TITLES, BadMessage, ClientGone, Refusal, UpstreamFailure


@pytest.mark.parametrize("reason", sorted(TITLES))
def test_a_reason_is_one_machine_word_and_has_one_plain_sentence(reason: str) -> None:
    assert reason.replace("-", "").isalpha()
    assert reason == reason.lower()
    assert TITLES[reason].endswith(".")
    assert len(TITLES[reason]) < 80


def test_a_refusal_says_what_the_client_is_told() -> None:
    refusal = Refusal(503, "too-many", "of this route", fields=((b"Retry-After", b"5"),))
    assert (refusal.status, refusal.reason, refusal.detail) == (503, "too-many", "of this route")
    assert (refusal.closes, refusal.fields) == (False, ((b"Retry-After", b"5"),))


def test_a_bad_message_ends_its_connection() -> None:
    assert BadMessage(400, "bad-framing").closes
    assert isinstance(BadMessage(400, "bad-framing"), Refusal)


def test_a_failure_says_whether_the_target_may_have_seen_the_request() -> None:
    assert UpstreamFailure(502, "reset", wrote=True).wrote
    assert not UpstreamFailure(502, "connect-failed").wrote


def test_no_broad_catch_takes_a_departed_client_for_a_fault() -> None:
    assert issubclass(ClientGone, BaseException)
    assert not issubclass(ClientGone, Exception)
