"""The commands that ask a running gateway: status, top, targets, reload, upgrade; and those of jobs.

Each finds the admin listener, asks, and prints: a table or a line for a person, or with ``--json`` what the
gateway said.  Exit: 0 for done, 1 for refused or unreachable, 2 for a command that is not understood.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import sys
from typing import Any
from urllib.parse import quote

from twistedgate.operator.address import Address
from twistedgate.operator.asking import ask, understood
from twistedgate.operator.jobs import add_jobs
from twistedgate.operator.pages import status_page, targets_page
from twistedgate.operator.screen import Screen
from twistedgate.operator.top import live, readings
from twistedgate.operator.verbs import AddVerb, print_json
from twistedgate.operator.where import add_where, address_of


def add_commands(add_verb: AddVerb) -> None:
    """Add the commands to a command line."""
    status = add_verb("status", _status, "Show a running gateway: processes, upstreams, targets, rates.")
    top = add_verb("top", _top, "The same, live: drawn again each second; q ends it.")
    targets = add_verb("targets", _targets, "List the targets, or drain one, or enable it again.")
    reload = add_verb(
        "reload", _reload, "Have the configuration read again; say what changed, or every error."
    )
    upgrade = add_verb("upgrade", _upgrade, "Let newly installed code take over, without losing a request.")
    top.add_argument("--count", type=int, default=0, metavar="N", help="end after N readings")
    targets.add_argument(
        "what", nargs="?", choices=["drain", "enable"], help="send it no more requests, or again"
    )
    targets.add_argument("upstream", nargs="?", metavar="UPSTREAM")
    targets.add_argument(
        "target", nargs="?", metavar="TARGET", help="HOST:PORT, or as the configuration has it"
    )
    for added in (status, top, targets, reload, upgrade):
        add_where(added)
    add_jobs(add_verb)


def _status_of(address: Address) -> dict[str, Any]:
    reply = ask(address, "/status")
    return understood(address, reply, "clock", "started", "workers", "upstreams", "requests")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _status(chosen: argparse.Namespace) -> int:
    address = address_of(chosen)
    status = next(readings(lambda: _status_of(address)))
    if chosen.json:
        print_json(status)
    else:
        print(status_page(status, _now()))
    return 0


def _top(chosen: argparse.Namespace) -> int:
    address = address_of(chosen)
    try:
        if sys.stdout.isatty() and not chosen.json:
            # what is wrong with the first question is better read on what stays
            _status_of(address)
            with Screen() as screen:
                live(lambda: _status_of(address), screen, chosen.count)
            return 0
        for status in itertools.islice(readings(lambda: _status_of(address)), chosen.count or None):
            print(json.dumps(status) if chosen.json else f"{status_page(status, _now())}\n", flush=True)
    except KeyboardInterrupt:
        return 0
    return 0


def _targets(chosen: argparse.Namespace) -> int:
    if chosen.what is None:
        status = _status_of(address_of(chosen))
        if chosen.json:
            print_json({name: upstream["targets"] for name, upstream in status["upstreams"].items()})
        else:
            print(targets_page(status, _now()))
        return 0
    if chosen.target is None:
        print(f"twistedgate targets {chosen.what}: name the UPSTREAM and the TARGET", file=sys.stderr)
        return 2
    upstream, target = (quote(name, safe="") for name in (chosen.upstream, chosen.target))
    return _do(chosen, f"/upstreams/{upstream}/targets/{target}/{chosen.what}")


def _reload(chosen: argparse.Namespace) -> int:
    return _do(chosen, "/reload")


def _upgrade(chosen: argparse.Namespace) -> int:
    return _do(chosen, "/upgrade")


def _do(chosen: argparse.Namespace, path: str) -> int:
    """Have a command carried out, and say what became of it."""
    address = address_of(chosen)
    reply = ask(address, path, "POST")
    if reply.is_good:
        understood(address, reply, "said")
    if chosen.json:
        print_json(reply.document)
    elif reply.is_good:
        print(reply.document["said"])
    else:
        print("\n".join([*reply.errors, "Nothing was changed."]), file=sys.stderr)
    return 0 if reply.is_good else 1
