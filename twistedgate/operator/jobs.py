"""The commands about jobs: ``twistedgate jobs list|show|result|cancel|retry|purge``.

Each asks a running gateway for the jobs of everybody.  Exit: 0 for done, 1 for refused or unreachable, of one
id at least, 2 for a command that is not understood.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from twistedgate.config import values
from twistedgate.config.values import Surroundings
from twistedgate.jobs.job import FINAL, State
from twistedgate.jobs.paging import MOST
from twistedgate.operator.address import CannotAsk
from twistedgate.operator.asking import LONG_PATIENCE, Reply, ask, understood
from twistedgate.operator.fetching import fetching
from twistedgate.operator.job_output import as_json, for_terminal, head_text
from twistedgate.operator.job_pages import job_page, jobs_page
from twistedgate.operator.pages import printable
from twistedgate.operator.verbs import AddVerb, Run, print_json
from twistedgate.operator.where import add_where, address_of

PATIENCE = 30.0
"""Seconds for an answer: a store that does not answer gives up before that, and says so."""

FEW = 50
"""Jobs of a list of which no number is said."""


def add_jobs(add_verb: AddVerb) -> None:
    """Add the commands to a command line."""
    jobs = add_verb("jobs", _list, "List the jobs of a running gateway; show, fetch, cancel, repeat, purge.")
    verbs = jobs.add_subparsers(dest="what", required=True, metavar="COMMAND")

    def verb(name: str, run: Run, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        add_where(added)
        return added

    _add_list(verb("list", _list, "List jobs, the newest first."))
    _add_ids(verb("show", _show, "Show everything that is known of a job."), "one")
    result = verb("result", _result, "Write the body of a job's result to standard output, or to a file.")
    _add_ids(result, "one")
    result.add_argument("-o", "--output", metavar="FILE", type=_some, help="write it there instead")
    result.add_argument("-i", "--include", action="store_true", help="write the head before it")
    _add_ids(verb("cancel", _cancel, "Cancel jobs: a call under way is cut off."), "many")
    _add_ids(verb("retry", _retry, "Send failed or cancelled jobs again, without credentials."), "many")
    _add_purge(verb("purge", _purge, "Forget results and requests of finished jobs, and say how many."))


def _add_list(added: argparse.ArgumentParser) -> None:
    added.add_argument("--state", choices=[state.value for state in State], help="only those")
    added.add_argument("--route", metavar="NAME", type=_some, help="only those of a route")
    added.add_argument(
        "--owner", metavar="NAME", type=_some, help="only those of key-auth:NAME/CONSUMER, say"
    )
    added.add_argument("--limit", metavar="N", type=_number, default=FEW, help=f"at most; else {FEW}")
    added.add_argument("--cursor", metavar="WORD", type=_some, help="go on where a list has ended")
    added.add_argument("-q", "--quiet", action="store_true", help="print ids only, one a line")


def _add_ids(added: argparse.ArgumentParser, how_many: str) -> None:
    told = "as the list shows it, or where its client asks for it (/_jobs/ID)"
    if how_many == "one":
        added.add_argument("id", metavar="ID", type=_id, help=told)
    else:
        added.add_argument("ids", metavar="ID", type=_id, nargs="+", help=told)


def _add_purge(added: argparse.ArgumentParser) -> None:
    finished = [state.value for state in State if state in FINAL]
    added.add_argument("--state", choices=finished, help="only those")
    added.add_argument("--route", metavar="NAME", type=_some, help="only those of a route")
    added.add_argument("--older-than", metavar="TIME", type=_duration, help="only finished that long ago: 2h")
    added.add_argument("--all", action="store_true", help="every job that is finished")


def _some(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; leave it out, or say what it is")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return int(text)


def _duration(text: str) -> str:
    try:
        values.duration.read(text, Surroundings())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _id(text: str) -> str:
    """Return the id in what was typed, or copied from a ``Location``."""
    segments = [segment for segment in text.split("/") if segment]
    if len(segments) > 1 and segments[-1] in ("result", "events"):
        segments.pop()
    if not segments:
        raise argparse.ArgumentTypeError("an id is missing")
    return segments[-1]


def _path(job: str, below: str = "") -> str:
    return f"/jobs/{quote(job, safe='')}{below}"


def _query(path: str, **parameters: object) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _say(errors: Iterable[str], about: str = "") -> None:
    for error in errors:
        print(f"{printable(about)}{printable(error)}", file=sys.stderr)


def _refused(chosen: argparse.Namespace, reply: Reply) -> int:
    if chosen.json:
        print_json(reply.document)
    else:
        _say(reply.errors)
    return 1


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


# reading


def _list(chosen: argparse.Namespace) -> int:
    address = address_of(chosen)
    jobs: list[Any] = []
    cursor = chosen.cursor
    while True:
        limit = min(MOST, chosen.limit - len(jobs))
        wanted = {"state": chosen.state, "route": chosen.route, "owner": chosen.owner, "cursor": cursor}
        reply = ask(address, _query("/jobs", limit=limit, **wanted), patience=PATIENCE)
        if not reply.is_good:
            return _refused(chosen, reply)
        jobs += understood(address, reply, "jobs", "cursor")["jobs"]
        cursor = reply.document["cursor"]
        if cursor is None or len(jobs) >= chosen.limit:
            break
    if chosen.quiet:
        print("".join(f"{printable(job['id'])}\n" for job in jobs), end="")
    elif chosen.json:
        print_json({"jobs": jobs, "cursor": cursor})
    else:
        print(jobs_page(jobs, _now()))
        if cursor is not None:
            print(f"There are more: --cursor {printable(cursor)}", file=sys.stderr)
    return 0


def _show(chosen: argparse.Namespace) -> int:
    address = address_of(chosen)
    reply = ask(address, _path(chosen.id), patience=PATIENCE)
    if not reply.is_good:
        return _refused(chosen, reply)
    job = understood(address, reply, "id", "terms", "request", "result")
    if chosen.json:
        print_json(job)
    else:
        print(job_page(job, _now()))
    return 0


def _result(chosen: argparse.Namespace) -> int:
    address = address_of(chosen)
    known: dict[str, Any] | None = None
    if chosen.include or chosen.json:
        # its head stands there; where there is none, the result says why
        shown = ask(address, _path(chosen.id), patience=PATIENCE)
        known = shown.document.get("result")
    with fetching(address, _path(chosen.id, "/result"), PATIENCE) as body:
        if isinstance(body, Reply):
            return _refused(chosen, body)
        pieces: Iterable[bytes] = body.pieces()
        if chosen.json:
            pieces = as_json({"id": chosen.id, **(known or {})}, pieces)
        elif chosen.include and known is not None:
            pieces = itertools.chain([head_text(known)], pieces)
        if chosen.output:
            return _write_file(chosen.output, pieces)
        _write(sys.stdout.buffer, for_terminal(pieces) if sys.stdout.isatty() else pieces)
    return 0


def _write(output: BinaryIO, pieces: Iterable[bytes]) -> None:
    output.writelines(pieces)
    output.flush()


def _write_file(path: str, pieces: Iterable[bytes]) -> int:
    try:
        with Path(path).open("wb") as output:
            _write(output, pieces)
    except OSError as error:
        _say([f"twistedgate jobs: {path} cannot be written: {error.strerror or 'it failed'}"])
        return 1
    except CannotAsk as error:
        raise CannotAsk(f"{error}; {path} is not whole") from None
    return 0


# doing


def _cancel(chosen: argparse.Namespace) -> int:
    return _do(chosen, "/cancel")


def _retry(chosen: argparse.Namespace) -> int:
    return _do(chosen, "/retry")


def _do(chosen: argparse.Namespace, what: str) -> int:
    """Have something done to each of some jobs, and say what became of each."""
    address = address_of(chosen)
    replies: dict[str, Reply] = {}
    try:
        for job in dict.fromkeys(chosen.ids):
            reply = ask(address, _path(job, what), "POST")
            if reply.is_good:
                understood(address, reply, "said")
            replies[job] = reply
            if chosen.json:
                continue
            if reply.is_good:
                print(f"{printable(job)}: {printable(reply.document['said'])}", flush=True)
            else:
                _say(reply.errors, f"{job}: ")
    finally:
        if chosen.json:
            print_json({job: reply.document for job, reply in replies.items()})
    return 0 if all(reply.is_good for reply in replies.values()) else 1


def _purge(chosen: argparse.Namespace) -> int:
    given = {"state": chosen.state, "route": chosen.route, "older-than": chosen.older_than}
    has_filter = any(value is not None for value in given.values())
    if has_filter == chosen.all:
        _say(["twistedgate jobs purge: say which: --state, --route, --older-than, or --all, alone, for all"])
        return 2
    address = address_of(chosen)
    count, cursor = 0, None
    wanted = {**given, "all": "yes" if chosen.all else None}
    while True:
        try:
            reply = ask(address, _query("/jobs/purge", **wanted, cursor=cursor), "POST", LONG_PATIENCE)
        except CannotAsk as error:
            raise CannotAsk(f"{error}; {_forgotten(count)} before") from None
        if not reply.is_good:
            return _broken_off(chosen, reply, count)
        count += understood(address, reply, "purged", "cursor")["purged"]
        cursor = reply.document["cursor"]
        if cursor is None:
            break
    if chosen.json:
        print_json({"done": True, "said": _forgotten(count), "purged": count})
    else:
        print(_forgotten(count))
    return 0


def _broken_off(chosen: argparse.Namespace, reply: Reply, count: int) -> int:
    if not chosen.json and count:
        _say([f"{_forgotten(count)}, then:"])
    return _refused(chosen, reply)


def _forgotten(count: int) -> str:
    return "1 job forgotten" if count == 1 else f"{count} jobs forgotten"
