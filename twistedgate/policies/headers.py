"""``[headers:NAME]``: headers set, added, removed and renamed, in requests and in responses.

On each side in the order remove, rename, set, add.  A value may be a template of values of the exchange.
Fields that frame or route a message cannot be named: the configuration refuses them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twistedgate.config.fields import HeaderLine, field_names, header_lines, renamings, split_template
from twistedgate.config.schema import option
from twistedgate.exchange import Exchange
from twistedgate.http import headers
from twistedgate.http.message import Response
from twistedgate.policy import Policy, Stage
from twistedgate.runtime import Runtime

_Render = Callable[[Exchange], bytes]
_Change = Callable[[headers.Headers, Exchange], None]

_VALUES: Final[dict[bytes, Callable[[Exchange], str]]] = {
    b"client": lambda exchange: exchange.client,
    b"host": lambda exchange: exchange.request.target.host,
    b"request_id": lambda exchange: exchange.request_id,
    b"route": lambda exchange: exchange.route,
    b"consumer": lambda exchange: exchange.consumer,
}
"""The values of the exchange that a template may name (``config.fields.TEMPLATE_NAMES``)."""


class Headers(Policy):
    """Sets, adds, removes and renames headers of the request and of the response.

    On each side in the order remove, rename, set, add.  Values may hold ``{client}`` ``{host}``
    ``{request_id}`` ``{route}`` ``{consumer}``.
    """

    stage = Stage.TRANSFORM

    @dataclass(frozen=True, slots=True)
    class Config:
        """The options of ``[headers:NAME]``."""

        name: str
        request_set: tuple[HeaderLine, ...] = option(
            header_lines, "", "Name: value, one to a line; takes the place of what the client sent."
        )
        request_add: tuple[HeaderLine, ...] = option(
            header_lines, "", "Name: value, one to a line; beside what the client sent."
        )
        request_remove: tuple[bytes, ...] = option(field_names, "", "Names that the upstream does not see.")
        request_rename: tuple[HeaderLine, ...] = option(
            renamings, "", "Old: New, one to a line; values and places stay."
        )
        response_set: tuple[HeaderLine, ...] = option(
            header_lines, "", "Name: value, one to a line; takes the place of what the upstream sent."
        )
        response_add: tuple[HeaderLine, ...] = option(
            header_lines, "", "Name: value, one to a line; beside what the upstream sent."
        )
        response_remove: tuple[bytes, ...] = option(field_names, "", "Names that the client does not see.")
        response_rename: tuple[HeaderLine, ...] = option(
            renamings, "", "Old: New, one to a line; values and places stay."
        )

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self._request = (
            *_removals(config.request_remove),
            *map(_rename, config.request_rename),
            *map(_set, config.request_set),
            *map(_add, config.request_add),
        )
        self._response = (
            *_removals(config.response_remove),
            *map(_rename, config.response_rename),
            *map(_set, config.response_set),
            *map(_add, config.response_add),
        )

    def on_request(self, exchange: Exchange) -> Response | None:
        """Change what the upstream will see."""
        for change in self._request:
            change(exchange.request.headers, exchange)
        return None

    def on_response(self, exchange: Exchange, response: Response) -> None:
        """Change what the client will see."""
        for change in self._response:
            change(response.headers, exchange)


def _removals(names: tuple[bytes, ...]) -> list[_Change]:
    keys = frozenset(name.lower() for name in names)

    def is_kept(key: bytes) -> bool:
        return key not in keys

    return [lambda present, _: present.keep(is_kept)] if keys else []


def _rename(line: HeaderLine) -> _Change:
    old, new = line[0].lower(), line[1]

    def change(present: headers.Headers, _: Exchange) -> None:
        if present.has(old):
            present.rename(old, new)

    return change


def _set(line: HeaderLine) -> _Change:
    name, value = line
    render = _renderer(value)
    if render is not None:
        return lambda present, exchange: present.set(name, render(exchange))
    fields = (headers.field(name, value),)
    key, written = fields[0][0], headers.write_lines(fields)

    def change(present: headers.Headers, _: Exchange) -> None:
        # Appending keeps what is known of how the others are written; most often nothing is replaced.
        if present.has(key):
            present.set(name, value)
        else:
            present.extend(fields, written)

    return change


def _add(line: HeaderLine) -> _Change:
    name, value = line
    render = _renderer(value)
    if render is not None:
        return lambda present, exchange: present.add(name, render(exchange))
    fields = (headers.field(name, value),)
    written = headers.write_lines(fields)
    return lambda present, _: present.extend(fields, written)


def _renderer(value: bytes) -> _Render | None:
    """Return what fills the template in, or ``None`` for a value that is always the same."""
    parts = split_template(value)
    if len(parts) == 1:
        return None
    literals = parts[::2]
    values = [_VALUES[name] for name in parts[1::2]]

    def render(exchange: Exchange) -> bytes:
        filled = literals[0]
        for read, literal in zip(values, literals[1:], strict=True):
            filled += read(exchange).encode("latin-1", "replace") + literal
        return filled

    return render
