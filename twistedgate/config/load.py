"""From the path of a file to a configuration, or to everything that is wrong with it.

Read, build each section by its schema, check between the sections.  Which kinds of policies there are is
told by the caller; no policy is known here.  Nothing is opened but files.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from twistedgate.config.check import Check, Fault, cross_check
from twistedgate.config.errors import ConfigurationError, ConfigurationErrors, Place, nearest
from twistedgate.config.model import KINDS, Configuration, GatewayConfig
from twistedgate.config.schema import Section, later_options, options_of, read_section
from twistedgate.config.source import read_source

UNNAMED = ("gateway",)
"""Kinds that stand once, and without a name."""


DEFAULT_PATHS = ("etc/twistedgate.ini", "/etc/twistedgate/twistedgate.ini")
"""Where the configuration is looked for when no path is given: the first that is there."""


def default_path() -> str:
    """Return the first of ``DEFAULT_PATHS`` that is there; ``ConfigurationErrors`` if none is."""
    for path in DEFAULT_PATHS:
        if Path(path).is_file():
            return path
    what = f"is not there, and neither is {DEFAULT_PATHS[1]}; name the file with --config"
    raise ConfigurationErrors([ConfigurationError(Place(DEFAULT_PATHS[0], 0), "", "", what)])


class Kinds(Protocol):
    """The kinds of policies."""

    def names(self) -> Sequence[str]:
        """Return every kind that there is."""

    def options(self, kind: str) -> type[Any] | None:
        """Return the ``Config`` of a kind, ``None`` if there is none; ``ValueError`` if it cannot be had."""


def load(
    path: str, kinds: Kinds, checks: Sequence[Check] = (), variables: Mapping[str, str] = os.environ
) -> Configuration:
    """Return the configuration that the file says; ``ConfigurationErrors`` holds every error if it is wrong.

    ``checks`` are run after those of ``config.check``; routes in which anything is wrong are kept from them.
    """
    source = read_source(path, variables, lambda kind: _known_options(kinds, kind))
    building = _Building(kinds, variables)
    for section in source.sections:
        building.add(section)
    errors = [*source.errors, *building.errors]
    titles = {section.title: section for section in source.sections}
    configuration = building.configuration
    faults = [*cross_check(configuration, titles), *_further(configuration, checks, errors)]
    if not source.errors and not any(section.kind == "listener" for section in source.sections):
        faults.append(Fault("", "", "there is no section [listener:NAME]; a gateway listens somewhere"))
    # What is wrong by itself is not judged again for what it should have been.
    found = {(error.section, error.option) for error in errors}
    errors += [_placed(fault, titles, path) for fault in faults if (fault.section, fault.option) not in found]
    if errors:
        order = {file: number for number, file in enumerate(source.files)}
        errors.sort(key=lambda error: (order.get(error.place.file, 0), error.place.line))
        raise ConfigurationErrors(errors)
    return configuration


def _further(
    configuration: Configuration, checks: Sequence[Check], errors: Sequence[ConfigurationError]
) -> list[Fault]:
    wrong = {error.section for error in errors}
    routes = {name: route for name, route in configuration.routes.items() if f"route:{name}" not in wrong}
    sound = replace(configuration, routes=routes)
    return [fault for check in checks for fault in check(sound)]


def _known_options(kinds: Kinds, kind: str) -> Collection[str]:
    try:
        cls = KINDS.get(kind) or kinds.options(kind)
    except ValueError:
        cls = None
    return () if cls is None else {*options_of(cls), *later_options(cls)}


def _placed(fault: Fault, titles: Mapping[str, Section], path: str) -> ConfigurationError:
    section = titles.get(fault.section)
    if section is None:
        return ConfigurationError(Place(path, 1), fault.section, fault.option, fault.what)
    return section.error(fault.option, fault.what)


class _Building:
    """Puts the sections together, one by one."""

    def __init__(self, kinds: Kinds, variables: Mapping[str, str]) -> None:
        self.errors: list[ConfigurationError] = []
        self._gateway = GatewayConfig()
        self._named: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._policies: dict[str, Any] = {}
        self._kinds = kinds
        self._variables = variables

    @property
    def configuration(self) -> Configuration:
        """What has been built."""
        return Configuration(
            gateway=self._gateway,
            listeners=self._named["listener"],
            upstreams=self._named["upstream"],
            routes=self._named["route"],
            consumers=self._named["consumer"],
            policies=self._policies,
        )

    def add(self, section: Section) -> None:
        """Build what the section describes."""
        cls = self._class_of(section)
        if cls is None:
            return
        value, errors = read_section(cls, section, self._variables)
        self.errors += errors
        if value is None:
            return
        if isinstance(value, GatewayConfig):
            self._gateway = value
        elif section.kind in KINDS:
            self._named[section.kind][section.name] = value
        else:
            self._policies[section.title] = value

    def _class_of(self, section: Section) -> type[Any] | None:
        """Return the dataclass of the section, or note why there is none."""
        try:
            cls = KINDS.get(section.kind) or self._kinds.options(section.kind)
            if cls is None:
                known = [*KINDS, *self._kinds.names()]
                listed = ", ".join(known)
                hint = nearest(section.kind, known)
                raise ValueError(f"there is no kind '{section.kind}'{hint or f'; accepted: {listed}'}")
            if section.kind in UNNAMED and section.name:
                raise ValueError(f"stands once and has no name; write [{section.kind}]")
            if section.kind not in UNNAMED and not section.name:
                raise ValueError(f"has no name; write [{section.kind}:NAME]")
        except ValueError as error:
            self.errors.append(section.error("", str(error)))
            return None
        return cls
