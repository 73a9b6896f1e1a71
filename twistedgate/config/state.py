"""How ``state =`` is written: where counters and jobs are kept.

``memory:``, ``sqlite:PATH`` or the address of a Redis.  A password never stands in it, as it is shown in logs
and by the operator's resources: it has an option of its own.  Nothing here is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from twistedgate.config.redis_address import SCHEMES, RedisAddress, parse_address
from twistedgate.config.values import Surroundings, ValueType, path, wrong


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Where state is kept; ``text`` is how it was written, and holds no secret."""

    text: str
    path: str = ""
    """Of ``sqlite:`` the absolute path of its file."""
    redis: RedisAddress | None = None

    @property
    def is_memory(self) -> bool:
        """Whether state is gone with its process."""
        return not self.path and self.redis is None

    def __str__(self) -> str:
        return self.text


def _read_state(text: str, around: Surroundings) -> StateConfig:
    if text.startswith("sqlite:"):
        # as it stands: variables are put in by whoever reads the path
        read = path.read(text.removeprefix("sqlite:"), around)
        return StateConfig(f"sqlite:{read}", path=read)
    written = around.expand(text)
    if written == "memory:":
        return StateConfig(written)
    scheme, colon, _ = written.partition(":")
    if scheme not in SCHEMES:
        raise wrong(f"{scheme}{colon}", "a state")
    return StateConfig(written, redis=parse_address(written))


state_address: Final = ValueType(
    "state",
    "memory:, sqlite:PATH, redis://[USER@]HOST:PORT/DB, rediss://... with TLS, "
    "redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB, or redis+unix://[USER@]/PATH?db=N",
    _read_state,
)
