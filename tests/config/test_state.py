from __future__ import annotations

import pytest

from twistedgate.config.redis_address import RedisAddress
from twistedgate.config.state import StateConfig, state_address
from twistedgate.config.values import Surroundings

AROUND = Surroundings({"HOST": "cache", "DIR": "/var"}, "/etc/gate")


def test_memory_is_the_process_itself() -> None:
    state = state_address.read("memory:", AROUND)
    assert (state.is_memory, state.redis, state.path, str(state)) == (True, None, "", "memory:")


@pytest.mark.parametrize(
    ("text", "path"),
    [("jobs.db", "/etc/gate/jobs.db"), ("/jobs.db", "/jobs.db"), ("${DIR}/jobs.db", "/var/jobs.db")],
)
def test_a_file_is_relative_to_the_configuration(text: str, path: str) -> None:
    state = state_address.read(f"sqlite:{text}", AROUND)
    assert (state.is_memory, state.path, str(state)) == (False, path, f"sqlite:{path}")


def test_a_redis_is_an_address() -> None:
    state = state_address.read("redis://me@${HOST}/2", AROUND)
    assert (state.is_memory, str(state)) == (False, "redis://me@cache/2")
    assert state == StateConfig(
        "redis://me@cache/2", redis=RedisAddress((("cache", 6379),), database=2, user="me")
    )


@pytest.mark.parametrize("text", ["", "memory", "memory:x", "file:x", "sqlite", "redis", "http://a:hush@b"])
def test_what_is_none_is_refused_and_shows_no_password(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        state_address.read(text, AROUND)
    assert "hush" not in str(raised.value)
