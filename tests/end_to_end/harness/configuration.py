"""Configuration files for the tests, put together from sections.

With ``TWISTEDGATE_TEST_WORKERS=2`` in the environment every gateway has two workers, unless its configuration
says how many: what clients see must not depend on that.
"""

from __future__ import annotations

import os
import re

PROCESSES = int(os.environ.get("TWISTEDGATE_TEST_WORKERS", "1"))
"""Processes that serve clients, in each gateway whose configuration does not say how many."""

_GATEWAY = re.compile(r"^\[gateway\]\n(?!(?:[^\[\n].*\n|\n)*workers *=)", re.MULTILINE)
"""The head of a section that does not say how many workers there are."""

GATEWAY = "[gateway]\naccess_log = -\ndrain_timeout = 10s\n"
PUBLIC = "[listener:public]\nendpoint = tcp:0:interface=127.0.0.1\n"
ADMIN = "[listener:admin]\nendpoint = tcp:0:interface=127.0.0.1\nserve = admin\n"


def section(name: str, **options: object) -> str:
    """Return one section; a list becomes one line for each member."""
    return f"[{name}]\n" + "".join(_option(option, value) for option, value in options.items())


def listener(name: str = "public", **options: object) -> str:
    """Return a listener on a free port of the loopback interface."""
    return section(f"listener:{name}", endpoint="tcp:0:interface=127.0.0.1", **options)


def upstream(name: str, *ports: int, **options: object) -> str:
    """Return an upstream whose targets are ports of the loopback interface."""
    targets = ", ".join(f"http://127.0.0.1:{port}" for port in ports)
    return section(f"upstream:{name}", targets=targets, **options)


def route(name: str, path: str, **options: object) -> str:
    """Return a route for ``path``; without an action it goes to the upstream of the same name."""
    if not {"upstream", "respond", "redirect"} & options.keys():
        options["upstream"] = name
    return section(f"route:{name}", path=path, **options)


def everything_to(port: int, **options: object) -> str:
    """Return an upstream on ``port`` with ``options``, and a route that sends everything there."""
    return upstream("main", port, **options) + route("main", "*")


def ini(*sections: str) -> str:
    """Join sections; the gateway, a public and an admin listener are added where they are missing."""
    text = "\n".join(sections)
    for default in (ADMIN, PUBLIC, GATEWAY):
        if default.partition("\n")[0] not in text:
            text = f"{default}\n{text}"
    return text if PROCESSES == 1 else _GATEWAY.sub(f"[gateway]\nworkers = {PROCESSES}\n", text)


def _option(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} =\n" + "".join(f"    {member}\n" for member in value)
    return f"{name} = {value}\n"
