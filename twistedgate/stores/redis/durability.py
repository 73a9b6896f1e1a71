"""Whether a Redis keeps what it is given: a clear line if it may throw jobs away, or ends with them."""

from __future__ import annotations

from twistedgate.jobs.store import StoreAway
from twistedgate.stores.redis.line import Line, Refused


async def doubts(line: Line) -> list[str]:
    """Return what is wrong with a server's settings, in sentences; nothing where it does not tell them."""
    memory = _fields(await line.ask("INFO", "memory"))
    persistence = _fields(await line.ask("INFO", "persistence"))
    saves = await _setting(line, "save")
    found = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"it throws jobs away when its memory is full (maxmemory-policy is {policy}, not noeviction)"
        )
    if persistence.get("aof_enabled") == "0" and saves == "":
        found.append(
            "it keeps nothing on disk (no appendonly and no save): jobs are gone when it is restarted"
        )
    return found


async def _setting(line: Line, name: str) -> str | None:
    """Return a setting; ``None`` where it is not for us to read, as on many a rented server."""
    try:
        answer = await line.ask("CONFIG", "GET", name)
    except (StoreAway, Refused):
        if not line.connected:
            raise
        return None
    return answer[1].decode() if len(answer) == 2 else None


def _fields(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}
