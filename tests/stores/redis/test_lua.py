"""Scripts are known by their digests, and sent where they are not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent

from tests.stores.redis.server import RedisServer
from tests.stores.world import Keeping, ids
from twistedgate.jobs.job import Counts
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.line import Refused
from twistedgate.stores.redis.lua import SCRIPTS, Scripts
from twistedgate.stores.redis.store import RedisStore


class Redis:
    """Knows no script until it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.known: set[str] = set()

    def ask(self, *command: Any) -> Deferred[Any]:
        """Answer ``done``."""
        self.asked.append(command)
        if command[0] == "EVAL":
            self.known.add(hashlib.sha1(command[1]).hexdigest())
        elif command[1] not in self.known:
            return fail(Refused("NOSCRIPT No matching script. Please use EVAL."))
        return succeed("done")


async def test_a_script_is_sent_where_it_is_not_known() -> None:
    redis, scripts = Redis(), Scripts("mine")
    scripts.offset = 7
    for _ in range(2):
        assert await scripts.run(redis.ask, "find", "id") == "done"
    script = SCRIPTS["find"]
    arguments = 1, "{mine}:", 7, "id"
    assert redis.asked == [
        ("EVALSHA", script.digest, *arguments),
        ("EVAL", script.text, *arguments),
        ("EVALSHA", script.digest, *arguments),
    ]


async def test_a_script_that_is_wrong_is_not_sent_again() -> None:
    asked: list[Any] = []

    def ask(*command: Any) -> Deferred[Any]:
        asked.append(command)
        return fail(Refused("ERR user_script:1: wrong"))

    with pytest.raises(Refused):
        await Scripts("mine").run(ask, "find", "id")
    assert len(asked) == 1


def test_every_script_begins_with_the_prelude_and_says_what_it_does() -> None:
    assert {
        "submit",
        "claim",
        "finish",
        "put_back",
        "cancel",
        "forget",
        "retry",
        "find",
        "list",
    } <= SCRIPTS.keys()
    assert "prelude" not in SCRIPTS
    for script in SCRIPTS.values():
        prelude, _, own = script.text.partition(b"-- " + script.text.split(b"\n-- ")[-1].split(b"\n")[0])
        assert prelude.startswith(b"-- What every script begins with"), script.name
        assert own


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_redis_understands_every_script(name: str, reactor: Any, redis_server: RedisServer) -> None:
    line = await Dial(reactor, redis_server.address, "")()
    digest = await line.ask("SCRIPT", "LOAD", SCRIPTS[name].text)
    await line.close()
    assert digest.decode() == SCRIPTS[name].digest


async def test_all_keys_of_a_prefix_are_in_one_slot_of_a_cluster(
    reactor: Any, redis_server: RedisServer
) -> None:
    prefix = Scripts("gate").prefix
    assert (prefix.index("{"), prefix.index("}")) == (0, 5)


# what Redis has thrown away (it may, where it is told to), and what somebody else has written


def name_of(keeping: Keeping, kind: str) -> str:
    """Return the name of a key."""
    assert isinstance(keeping.store, RedisStore)
    return f"{keeping.store.scripts.prefix}{kind}"


def lose(server: RedisServer, keeping: Keeping, job: str, damage: str) -> None:
    """Let what is known of a job be lost, or be something else."""
    key = name_of(keeping, f"job:{job}")
    server.ask("DEL", key)
    if damage == "another":
        server.ask("SET", key, "of another program")


DAMAGES = pytest.mark.parametrize("damage", ["evicted", "another"])


@DAMAGES
async def test_a_queued_job_that_is_lost_keeps_no_other_from_being_run(
    keeping: Keeping, own_server: RedisServer, damage: str
) -> None:
    lost, other = await keeping.queue(), await keeping.queue()
    lose(own_server, keeping, lost, damage)
    assert ids(await keeping.claim()) == [other]
    assert await keeping.counts() == Counts(0, 1)
    assert not await keeping.is_known(lost)


@DAMAGES
async def test_a_running_job_that_is_lost_gives_its_slot_back(
    keeping: Keeping, own_server: RedisServer, damage: str
) -> None:
    claim = await keeping.begin()
    lose(own_server, keeping, claim.job.id, damage)
    assert await keeping.finish(claim) is False
    await keeping.pass_time(1)
    assert await keeping.counts() == Counts(0, 0)


@DAMAGES
async def test_time_goes_on_for_others_where_a_job_is_lost(
    keeping: Keeping, own_server: RedisServer, damage: str
) -> None:
    ended = (await keeping.begin(callback="https://a.example/")).job.id
    assert await keeping.store.cancel(ended, keeping.world.now)
    lost = await keeping.queue(callback="https://a.example/")
    other = await keeping.queue(callback="https://b.example/")
    for job in (lost, ended):
        lose(own_server, keeping, job, damage)
    await keeping.pass_time(10_000)
    assert (await keeping.find(other)).reason == "expired-in-queue"
    told = await keeping.store.due_callbacks(9, keeping.world.now)
    assert [callback.job.id for callback in told] == [other]
    for index in ("deadlines", "expiry"):
        left = own_server.ask("ZRANGE", name_of(keeping, index), 0, -1)
        assert {lost.encode(), ended.encode()}.isdisjoint(left)


DAMAGED = pytest.mark.parametrize(
    "fields", [("new", "{"), ("new", "[1, 2]"), ("submitted", "long ago"), ("new", '[["r"], [], []]')]
)


@DAMAGED
async def test_a_job_that_cannot_be_read_is_run_by_nobody_and_keeps_nobody_up(
    keeping: Keeping, own_server: RedisServer, fields: tuple[str, str]
) -> None:
    damaged, other = await keeping.queue(), await keeping.queue()
    own_server.ask("HSET", name_of(keeping, f"job:{damaged}"), *fields)
    with capturedLogs() as logs:
        assert ids(await keeping.claim()) == [other]
    (said,) = [formatEvent(event) for event in logs if damaged in (formatEvent(event) or "")]
    assert said is not None
    assert "cannot be read" in said
    assert await keeping.counts() == Counts(0, 1)
    listed = await keeping.store.list_jobs(None, None, 9, "", keeping.world.now)
    assert [job.id for job in listed.jobs] == [other]


@DAMAGED
async def test_a_job_that_cannot_be_read_is_told_to_nobody_and_keeps_nobody_up(
    keeping: Keeping, own_server: RedisServer, fields: tuple[str, str]
) -> None:
    damaged, other = [
        (await keeping.begin(callback=f"https://{host}.example/")).job.id for host in ("a", "b")
    ]
    for job in (damaged, other):
        await keeping.store.cancel(job, keeping.world.now)
    own_server.ask("HSET", name_of(keeping, f"job:{damaged}"), *fields)
    told = await keeping.store.due_callbacks(9, keeping.world.now)
    assert [callback.job.id for callback in told] == [other]
    assert own_server.ask("ZRANGE", name_of(keeping, "callbacks"), 0, -1) == [other.encode()]
