"""The scripts that change what Redis keeps: each is a change of state, whole or not at all.

They lie beside this module as Lua, each run behind the same prelude, which says what the keys are.  A script
is named by its digest; a Redis that does not know it, because it was restarted or another one became master,
is sent the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from twisted.internet.defer import Deferred

from twistedgate.stores.redis.line import Refused
from twistedgate.stores.redis.records import Argument

Ask = Callable[..., Deferred[Any]]


class Script:
    """A script, by its text and its digest."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, name: str, text: bytes) -> None:
        self.name = name
        self.text = text
        self.digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _read() -> dict[str, Script]:
    folder = files("twistedgate.stores.redis") / "scripts"
    texts = {file.name.removesuffix(".lua"): file.read_bytes() for file in folder.iterdir()}
    prelude = texts.pop("prelude")
    return {name: Script(name, prelude + b"\n" + text) for name, text in texts.items()}


SCRIPTS = _read()


class Scripts:
    """Runs scripts on the keys under a prefix.

    ``offset``, milliseconds, is added to Redis' clock: tests move it.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{{{prefix}}}:"
        self.offset = 0

    async def run(self, ask: Ask, name: str, *arguments: Argument) -> Any:
        """Run a script by a connection's ``ask``, and return its answer."""
        script = SCRIPTS[name]
        try:
            return await ask("EVALSHA", script.digest, 1, self.prefix, self.offset, *arguments)
        except Refused as refusal:
            if not str(refusal).startswith("NOSCRIPT"):
                raise
        return await ask("EVAL", script.text, 1, self.prefix, self.offset, *arguments)
