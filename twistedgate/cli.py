"""``twistedgate``: the operator's command line.

It reads configurations and explains them; what it prints is made by the code that serves.  The commands that
ask a running gateway are in ``operator``; the others open no socket.  Exit: 0 for yes, 1 for no (a wrong
configuration, no route, no gateway), 2 for a command that is not understood.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Sequence, Sized

from twistedgate import __version__
from twistedgate.config.errors import ConfigurationErrors, nearest
from twistedgate.config.load import DEFAULT_PATHS, default_path
from twistedgate.config.model import KINDS, Configuration
from twistedgate.config.reference import Kind, describe, page
from twistedgate.explain import explain, table
from twistedgate.operator.address import CannotAsk
from twistedgate.operator.commands import add_commands
from twistedgate.published import all_units
from twistedgate.units import Units


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status."""
    chosen, rest = _parser().parse_known_args(arguments)
    if rest:
        return _fail(f"twistedgate {chosen.verb}: not understood: {' '.join(rest)}", 2)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        status = run(chosen)
        sys.stdout.flush()
    except ConfigurationErrors as errors:
        return _fail(f"{errors}\n{_counted(len(errors.errors), 'error')}")
    except CannotAsk as error:
        return _fail(f"twistedgate {chosen.verb}: {error}")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has seen enough (`| head`); nothing is left to be said when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twistedgate", description="Looks after a gateway: its configuration, and itself while it runs."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    reading = [
        verb("check", _check, "Read the configuration; print a summary, or every error."),
        verb("routes", _routes, "Print the compiled table of routes, in the order that they are asked."),
        verb("explain", _explain, "Say which route answers a request, and what becomes of it."),
    ]
    for added in reading:
        added.add_argument(
            "-c", "--config", metavar="FILE", help=f"the configuration; else {' or '.join(DEFAULT_PATHS)}"
        )
    reading[-1].add_argument("method", metavar="METHOD")
    reading[-1].add_argument("url", metavar="URL", help="http://host/path, or a path")
    reading[-1].add_argument(
        "-H", "--header", metavar="'Name: value'", action="append", default=[], help="a header of the request"
    )
    options = verb("options", _options, "Print what can stand in the configuration.")
    options.add_argument("kind", metavar="KIND", nargs="?", help="a kind of section")
    options.add_argument("--markdown", action="store_true", help="the whole reference page")
    keys = verb("keys", _keys, "Make a key for a consumer.")
    keys.add_argument("what", choices=["new"], help="print a new key, once, and its line for the file")
    add_commands(verb)
    verb("version", _version, "Print the version.")
    return parser


def _fail(what: str, status: int = 1) -> int:
    print(what, file=sys.stderr)
    return status


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def check(path: str | None, units: Units | None = None) -> int:
    """Read the configuration and print a summary, or every error; return the exit status.

    The daemon's ``--check`` is this.
    """
    try:
        file = path or default_path()
        print(summary(file, (units or all_units()).load(file)))
    except ConfigurationErrors as errors:
        return _fail(f"{errors}\n{_counted(len(errors.errors), 'error')}")
    return 0


def summary(path: str, configuration: Configuration) -> str:
    """Return what a sound configuration holds, and remarks on what it does not use."""
    lines = [f"{path} is sound:"]
    lines += [
        f"  listener {name}: {listener.serve} at {listener.endpoint}"
        for name, listener in configuration.listeners.items()
    ]
    lines += [
        f"  upstream {name}: {_counted(len(upstream.targets), 'target')}, {upstream.balance}"
        for name, upstream in configuration.upstreams.items()
    ]
    counts: dict[str, Sized] = {
        "route": configuration.routes,
        "consumer": configuration.consumers,
        "policy section": configuration.policies,
    }
    lines.append(f"  {', '.join(_counted(len(named), what) for what, named in counts.items())}")
    used = {policy for route in configuration.routes.values() for policy in route.policies}
    used |= {*configuration.gateway.policies, *configuration.gateway.jobs_policies}
    used |= {f"upstream:{route.upstream}" for route in configuration.routes.values()}
    named = [*(f"upstream:{name}" for name in configuration.upstreams), *configuration.policies]
    lines += [f"  remark: no route uses [{title}]" for title in named if title not in used]
    return "\n".join(lines)


def _check(chosen: argparse.Namespace) -> int:
    return check(chosen.config)


def _routes(chosen: argparse.Namespace) -> int:
    units = all_units()
    print(table(units.load(chosen.config or default_path()), units))
    return 0


def _explain(chosen: argparse.Namespace) -> int:
    units = all_units()
    configuration = units.load(chosen.config or default_path())
    try:
        explanation = explain(configuration, units, (chosen.method, chosen.url), chosen.header)
    except ValueError as error:
        return _fail(f"twistedgate explain: {error}", 2)
    print(explanation.text)
    return 0 if explanation.route else 1


def kinds(units: Units) -> list[Kind]:
    """Return every kind of section, the core's first."""
    known = [Kind(name, cls.__doc__ or "", cls) for name, cls in KINDS.items()]
    for name in units.names():
        policy = units.find(name)
        if policy is not None:
            known.append(Kind(name, policy.__doc__ or "", policy.Config))
    return known


def _options(chosen: argparse.Namespace) -> int:
    known = kinds(Units() if chosen.markdown else all_units())
    if chosen.markdown:
        print(page(known), end="")
        return 0
    wanted = [kind for kind in known if chosen.kind in (None, kind.name)]
    if not wanted:
        names = [kind.name for kind in known]
        hint = nearest(chosen.kind, names) or f"; there are {', '.join(names)}"
        return _fail(f"twistedgate options: there is no kind '{chosen.kind}'{hint}", 2)
    print("\n\n".join(describe(kind) for kind in wanted))
    return 0


def _keys(_: argparse.Namespace) -> int:
    key = secrets.token_urlsafe(32)
    print("The key, for the consumer; it is shown this once:", file=sys.stderr)
    print(key)
    print("Its line, for the keys of a [consumer:NAME]:", file=sys.stderr)
    print(f"sha256:{hashlib.sha256(key.encode()).hexdigest()}")
    return 0


def _version(_: argparse.Namespace) -> int:
    print(f"twistedgate {__version__}")
    return 0
