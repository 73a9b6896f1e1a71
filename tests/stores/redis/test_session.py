"""A process has a name of its own among those who share a Redis, and knows which claims it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.stores.world import new_job
from twistedgate.config.redis_address import RedisAddress
from twistedgate.jobs.job import Claim
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.lua import Scripts
from twistedgate.stores.redis.records import submitted_job
from twistedgate.stores.redis.session import Session


def a_session(reactor: Any, path: Path) -> Session:
    return Session(Dial(reactor, RedisAddress(path=str(path)), ""), Scripts("s"), "gate-1")


def a_claim(fence: int, job: str = "a") -> Claim:
    return Claim(submitted_job(new_job(id=job), 0.0, "me"), b"", fence)


def test_two_processes_of_one_name_are_two_runners(reactor: Any, tmp_path: Path) -> None:
    names = {a_session(reactor, tmp_path).runner for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("gate-1-") for name in names)


def test_the_claim_that_is_held_is_the_last_one(reactor: Any, tmp_path: Path) -> None:
    session = a_session(reactor, tmp_path)
    assert session.fence_of("a") is None
    session.hold(a_claim(1))
    session.hold(a_claim(3))
    session.let_go("a", 1)
    assert session.fence_of("a") == 3
    session.let_go("a", 3)
    session.let_go("a", 3)
    assert session.fence_of("a") is None


def test_claims_that_redis_does_not_know_are_not_held(reactor: Any, tmp_path: Path) -> None:
    session = a_session(reactor, tmp_path)
    for job in ("a", "b"):
        session.hold(a_claim(1, job))
    session.keep_only([b"b", b"c"])
    assert [session.fence_of(job) for job in ("a", "b", "c")] == [None, 1, None]


def test_what_is_said_has_a_name_of_its_own(reactor: Any, tmp_path: Path) -> None:
    one, other = a_session(reactor, tmp_path), a_session(reactor, tmp_path)
    assert len({one.saying(), one.saying(), other.saying()}) == 3
