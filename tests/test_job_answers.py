from __future__ import annotations

import pytest

from tests.actions.asking import WALL, Scene, field_of
from tests.background.begun import Begun, result_of
from twistedgate.errors import Refusal
from twistedgate.fakes.client import Answer
from twistedgate.http.message import KeptResponse, Response
from twistedgate.job_answers import JobAnswers, owner_of
from twistedgate.jobs.job import INLINE, Job, State
from twistedgate.testing import exchange
from twistedgate.wire.serialise import NO_FRAMING

ROUTE = "[route:r]\npath = *\nupstream = u\nasync = optional\n"


class Telling:
    """Answers about one job."""

    def __init__(self) -> None:
        self.scene = Scene(ROUTE)
        self.scene.submit(url="/")
        self.answers = JobAnswers(self.scene.jobs, "/_jobs", self.scene.made.clock)

    @property
    def job(self) -> Job:
        """How it stands."""
        return self.scene.job()


def test_whose_a_job_is_says_the_policy_or_at_least_the_name() -> None:
    asking = exchange()
    assert owner_of(asking) == ""
    asking.consumer = "alice"
    assert owner_of(asking) == "consumer/alice"
    asking.identity = "key-auth:k/alice"
    assert owner_of(asking) == "key-auth:k/alice"


def test_who_waits_sees_every_change_until_the_end() -> None:
    telling = Telling()
    waiting = Begun(telling.answers.wait(telling.job, 5.0))
    telling.scene.store.memory.tell(telling.job.id)
    assert not waiting.is_done
    telling.scene.advance(4.0)
    telling.scene.finish()
    assert waiting.result is not None
    assert waiting.result.state is State.SUCCEEDED


def test_changes_do_not_make_a_wait_longer() -> None:
    telling = Telling()
    waiting = Begun(telling.answers.wait(telling.job, 5.0))
    for _ in range(5):
        telling.scene.store.memory.tell(telling.job.id)
        assert not waiting.is_done
        telling.scene.advance(1.0)
    assert (waiting.is_done, telling.scene.store.memory.watches) == (True, {})


def test_what_is_finished_or_not_waited_for_is_not_looked_for() -> None:
    telling = Telling()
    running = telling.job
    telling.scene.finish()
    finished = telling.job
    telling.scene.store.is_away = True
    assert result_of(telling.answers.wait(running, 0.0)) is running
    assert result_of(telling.answers.wait(finished, 5.0)) is finished
    with pytest.raises(Refusal, match="store-away"):
        result_of(telling.answers.wait(running, 5.0))


def test_who_is_to_ask_again_is_told_when() -> None:
    telling = Telling()
    assert telling.answers.unfinished(telling.job) == (
        (b"Retry-After", b"1"),
        (b"Location", f"/_jobs/{telling.job.id}".encode()),
    )
    telling.scene.advance(600.0)
    assert telling.answers.unfinished(telling.job)[0] == (b"Retry-After", b"5")
    telling.scene.finish()
    assert telling.answers.unfinished(telling.job) == ()


def test_a_kept_answer_is_dressed_by_nobody_and_tells_its_job() -> None:
    telling = Telling()
    telling.scene.finish(status=203, headers=((b"job-id", b"theirs"), (b"X-A", b"1")), phrase=b"Perhaps")
    answer = result_of(telling.answers.result(telling.job))
    assert isinstance(answer, KeptResponse)
    assert (answer.status, answer.phrase, answer.body, answer.length) == (203, b"Perhaps", b"out", 3)
    assert field_of(answer.headers, b"job-id") == telling.job.id
    assert telling.scene.wall() == WALL


@pytest.mark.parametrize("status", [200, 304])
def test_the_length_that_the_upstream_said_of_no_body_is_told_to_whoever_made_the_call(status: int) -> None:
    telling = Telling()
    telling.scene.ask("HEAD", "/", {"Prefer": "respond-async"})
    telling.scene.finish(b"", status=status, headers=((b"Content-Length", b"1234"),))
    job = telling.scene.job()
    held = result_of(telling.answers.kept(job, is_held=True))
    result = result_of(telling.answers.result(job))
    assert held is not None
    assert (held.headers.get_all(b"content-length"), held.length) == ([b"1234"], NO_FRAMING)
    assert result.headers.get_all(b"content-length") == ([] if status == 200 else [b"1234"])
    assert (result.length, result.body) == (0, b"")


def test_an_answer_that_goes_while_it_is_given_is_cut_short() -> None:
    telling = Telling()
    telling.scene.finish(b"x" * (3 * INLINE))
    response = result_of(telling.answers.result(telling.job))
    answer = Answer(Response(200))
    assert not isinstance(response.body, bytes)
    assert response.length == 3 * INLINE
    telling.scene.store.memory.ledger.pieces.drop(telling.job.id, "result")
    response.body.attach(answer)
    assert (len(answer.body), answer.is_whole, answer.ended.is_set) == (INLINE, False, True)
