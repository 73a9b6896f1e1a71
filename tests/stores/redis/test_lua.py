"""Scripts are known by their digests, and sent where they are not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from tests.stores.redis.server import RedisServer
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.line import Refused
from twistedgate.stores.redis.lua import SCRIPTS, Scripts


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
