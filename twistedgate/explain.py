"""What the configuration would do with a request, in words, by the same table and order that serve.

Nothing is sent; a policy's own decision is not foretold, only that it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final
from urllib.parse import urlsplit

from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.errors import BadMessage
from twistedgate.http.headers import Headers
from twistedgate.http.target import RequestTarget, parse_target
from twistedgate.routing.routes import JOBS, is_of_jobs, jobs_rule, rule_of, table_of, upstream_path
from twistedgate.units import Units
from twistedgate.wire.framing import judge_request_line


@dataclass(frozen=True, slots=True)
class Explanation:
    """The text, and the name of the route that answers; empty if none does."""

    text: str
    route: str


_JOB: Final = {"off": "", "optional": "job, if asked: ", "always": "job: "}


def table(configuration: Configuration, units: Units) -> str:
    """Return the routes, one line for each host of each, in the order that they are asked."""
    rows = []
    for order, route in enumerate(configuration.routes.values()):
        rule = rule_of(route)
        for host in rule.host_patterns:
            conditions = [name if value is None else f"{name}={value}" for name, value in route.headers]
            cells = (
                str(route.priority),
                host or "any",
                route.path,
                " ".join(route.methods) or "any",
                " ".join(conditions) or "-",
                route.name,
                _action(route),
                " ".join((*configuration.gateway.policies, *route.policies)) or "-",
            )
            rows.append((rule.precedence(host), order, cells))
    if configuration.has_jobs:
        rule = jobs_rule(configuration.gateway.jobs_path)
        policies = " ".join(units.identifying(configuration)) or "-"
        cells = ("first", "any", rule.path, "any", "-", JOBS, "answers about jobs", policies)
        rows.append((rule.precedence(""), -1, cells))
    titles = ("PRIORITY", "HOST", "PATH", "METHODS", "HEADERS", "ROUTE", "ACTION", "POLICIES")
    return _columns([titles, *(cells for _, _, cells in sorted(rows))])


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _action(route: RouteConfig) -> str:
    return f"{_JOB[route.async_]}{_plain_action(route)}"


def _plain_action(route: RouteConfig) -> str:
    if route.respond is not None:
        return f"respond {route.respond.status}"
    if route.redirect is not None:
        return f"redirect {route.redirect.status} {route.redirect.location}"
    return f"upstream {route.upstream}"


def explain(
    configuration: Configuration, units: Units, request: tuple[str, str], lines: Sequence[str]
) -> Explanation:
    """Explain what becomes of a request, which is a method and a URL or path, with these header lines.

    A method that the line refuses before any route is refused here by the same judgement.

    ``ValueError`` says what of them is not understood.
    """
    method, url = request
    headers = _headers(lines)
    try:
        target = _target(method, url, headers)
    except BadMessage as error:
        return Explanation(f"refused before any route: {error.status} {error.reason} ({error.detail})", "")
    text = [f"{method} {target.path}{target.query} of the host {target.host or '(none)'}"]
    if target.path == "*":
        return Explanation("\n".join([*text, "answered by the gateway itself: 204 with Allow"]), "")
    if is_of_jobs(configuration, target.path):
        text.append("answered by the gateway itself, before all routes: it asks about jobs")
        text += [
            f"  policy {title}, if it is the first with credentials"
            for title in units.identifying(configuration)
        ]
        return Explanation("\n".join(text), JOBS)
    considered = table_of(configuration).explain(method, target.host, target.path, headers)
    answer = next((one.answer for one in considered if not one.passed_over), None)
    passed = takewhile(lambda one: one.passed_over, considered)
    text += [f"  passed over [route:{one.answer.name}]: {one.passed_over}" for one in passed]
    if answer is None:
        found = table_of(configuration).match(method, target.host, target.path, headers)
        allowed = ", ".join(getattr(found, "allowed", ()))
        text.append(f"no route answers: 405 with Allow: {allowed}" if allowed else "no route answers: 404")
        return Explanation("\n".join(text), "")
    text.append(f"answered by [route:{answer.name}]")
    text += [f"  {line}" for line in _what_happens(configuration, units, answer, target)]
    return Explanation("\n".join(text), answer.name)


def _headers(lines: Sequence[str]) -> Headers:
    pairs = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"'{line}' is not a header; write Name: value")
        pairs.append((name.strip().encode(), value.strip().encode()))
    return Headers.of(*pairs)


def _target(method: str, url: str, headers: Headers) -> RequestTarget:
    split = urlsplit(url)
    if split.scheme not in ("", "http", "https") or (split.scheme and not split.netloc):
        raise ValueError(f"'{url}' is not a URL; write http://host/path, or a path")
    host = split.netloc.encode() if split.netloc else headers.get(b"host")
    raw = url if url == "*" else f"{split.path or '/'}{'?' if split.query else ''}{split.query}"
    judge_request_line(f"{method} {raw} HTTP/1.1\r\n".encode())
    return parse_target(method, raw.encode(), host, is_http10=host is None)


def _what_happens(
    configuration: Configuration, units: Units, route: RouteConfig, target: RequestTarget
) -> Iterator[str]:
    if target.has_encoded_slash and route.encoded_slashes == "reject":
        yield "refused: 400 bad-path, as encoded_slashes = reject"
        return
    for policy, stage in _in_order((*configuration.gateway.policies, *route.policies), units):
        yield f"policy {policy} ({stage})"
    if route.has_jobs:
        asks = "" if route.async_ == "always" else " if it asks so by Prefer: respond-async"
        yield f"becomes a job{asks}, asked for at {configuration.gateway.jobs_path}; then or at once:"
    if route.respond is not None:
        yield f"the gateway responds {route.respond.status}"
    elif route.redirect is not None:
        yield f"the gateway redirects: {route.redirect.status} to {route.redirect.location}"
    else:
        upstream = configuration.upstreams[route.upstream]
        sent = f"{upstream_path(route, target.path)}{target.query}"
        yield f"sent to upstream {upstream.name} ({upstream.balance}) as {sent}"
        for one in upstream.targets:
            yield f"  target {one.url} weight {one.weight}"


def _in_order(names: Sequence[str], units: Units) -> list[tuple[str, str]]:
    """Return policies with their stages, in the order that they are asked."""
    staged = []
    for name in names:
        policy = units.find(name.partition(":")[0])
        assert policy is not None, "the configuration was checked"
        staged.append((policy.stage, name))
    return [(name, stage.name) for stage, name in sorted(staged, key=lambda pair: pair[0])]
