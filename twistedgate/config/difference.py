"""What is different between two configurations: which sections came, went or changed, and in which options.

Values are compared and never told: one of them may be a secret, and an option's name says enough to whoever
wrote the files.  Two configurations that are equal have no difference, whatever their files look like.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twistedgate.config.errors import ConfigurationError, ConfigurationErrors, Place
from twistedgate.config.model import Configuration
from twistedgate.config.schema import option_name

FOR_A_START = ("workers", "state", "state_password", "state_max")
"""Options of the gateway that a running one cannot take: its processes and what they share stay."""


@dataclass(frozen=True, slots=True)
class Change:
    """One section that is different: ``kind`` is ``added``, ``changed``, ``removed`` or ``reordered``.

    ``options`` are those that changed, in the order of the schema; empty unless ``kind`` is ``changed``.
    """

    kind: str
    section: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f" ({', '.join(self.options)})" if self.options else ""
        return f"{self.kind} {self.section}{shown}"


def summary(changes: tuple[Change, ...]) -> str:
    """Return one line that says what changed, for a log or a person."""
    return ", ".join(str(change) for change in changes) or "nothing changed"


def differences(before: Configuration, after: Configuration) -> tuple[Change, ...]:
    """Return every change, in the order of the new file; what is gone comes last of its kind."""
    return tuple(_all(before, after))


def check_reload(path: str, before: Configuration, after: Configuration) -> None:
    """Raise ``ConfigurationErrors`` if the new configuration wants what only a start can give."""
    what = "is another one than at the start, and a reload cannot change it; restart, or put it back"
    changed = _options(before.gateway, after.gateway)
    errors = [
        ConfigurationError(Place(path, 0), "gateway", name, what) for name in FOR_A_START if name in changed
    ]
    if errors:
        raise ConfigurationErrors(errors)


def _all(before: Configuration, after: Configuration) -> Iterator[Change]:
    if options := _options(before.gateway, after.gateway):
        yield Change("changed", "gateway", options)
    yield from _sections("listener:", before.listeners, after.listeners)
    yield from _sections("upstream:", before.upstreams, after.upstreams)
    yield from _sections("route:", before.routes, after.routes)
    # of two routes that are equally specific the first one answers
    if _order(before.routes, after.routes) != _order(after.routes, before.routes):
        yield Change("reordered", "routes")
    yield from _sections("consumer:", before.consumers, after.consumers)
    yield from _sections("", before.policies, after.policies)


def _sections(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name, section in after.items():
        if name not in before:
            yield Change("added", prefix + name)
        elif before[name] != section:
            yield Change("changed", prefix + name, _options(before[name], section))
    for name in before:
        if name not in after:
            yield Change("removed", prefix + name)


def _options(before: Any, after: Any) -> tuple[str, ...]:
    """Return the names of the fields that differ; none between classes that have nothing in common."""
    if type(before) is not type(after):
        return ()
    fields = (field.name for field in dataclasses.fields(after))
    return tuple(option_name(name) for name in fields if getattr(before, name) != getattr(after, name))


def _order(routes: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the names that both have, in the order of the first."""
    return [name for name in routes if name in others]
