"""A section's schema is the dataclass that it becomes: each field is declared by ``option``.

Type, default, unit, bounds and the one line of documentation stand in that one place; the reader,
the reference page and ``twistedgate options`` use nothing else.  The same serves the sections of the
core (``config.model``) and the ``Config`` of a policy::

    @dataclass(frozen=True, slots=True)
    class Config:
        name: str
        keep: bool = option(boolean, "no", "Whether the upstream sees the key.")

Defaults are written as they would stand in the file.  This module knows no particular section.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from twistedgate.config.errors import ConfigurationError, Place, advice_on_comments, nearest
from twistedgate.config.values import Secret, Surroundings, ValueType

__all__ = [
    "REQUIRED",
    "Bounds",
    "Later",
    "Option",
    "Problem",
    "Secret",
    "Section",
    "Text",
    "later_options",
    "option",
    "option_name",
    "options_of",
    "read_section",
]

T = TypeVar("T")

REQUIRED: Final = None
"""The default of an option that every section of its kind must have."""

Problem = tuple[tuple[str, ...], str]
"""The options concerned (the first is the one at fault), and what is wrong."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value, written as in the file; empty means no bound."""

    low: str = ""
    high: str = ""

    def __str__(self) -> str:
        return ", ".join(
            f"{word} {bound}" for word, bound in (("at least", self.low), ("at most", self.high)) if bound
        )


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One option: how it is read, its default as text, and its line of documentation.

    ``later`` names what is missing if only the default can be chosen yet.
    """

    type: ValueType[T]
    default: str | None
    doc: str
    bounds: Bounds = Bounds()
    later: str = ""

    @property
    def accepts(self) -> str:
        """What a value may be, in words."""
        return ", ".join(part for part in (self.type.accepts, str(self.bounds)) if part)

    def read(self, text: str, around: Surroundings) -> T:
        """Return the value of ``text``; ``ValueError`` says what is wrong and what is accepted."""
        try:
            value = self.type.read(text, around)
        except ValueError as error:
            what = f"{error}; accepted: {self.accepts}"
            raise ValueError(f"{what}{advice_on_comments(text)}") from None
        self._check_bounds(text, value)
        if self.later and value != self.default_value():
            raise ValueError(self.later)
        return value

    def _check_bounds(self, text: str, value: Any) -> None:
        if value is None:
            return
        low, high = (
            bound and self.type.read(bound, Surroundings()) for bound in (self.bounds.low, self.bounds.high)
        )
        if low != "" and value < low:
            raise ValueError(f"'{text}' is too small; accepted: {self.accepts}")
        if high != "" and value > high:
            raise ValueError(f"'{text}' is too large; accepted: {self.accepts}")

    def default_value(self) -> T:
        """Return the value of the default."""
        assert self.default is not None
        return self.type.read(self.default, Surroundings())


@dataclass(frozen=True, slots=True)
class Later:
    """An option that is known, but not built yet: ``missing`` says what is, ``default`` is harmless."""

    missing: str
    default: str | None = None


_METADATA = "option"


def option(
    kind: ValueType[T],
    default: str | None,
    doc: str,
    bounds: Bounds = Bounds(),
    later: str = "",
) -> T:
    """Declare a field of a section's dataclass; see ``Option``."""
    declared = Option(kind, default, doc, bounds, later)
    metadata = {_METADATA: declared}
    if default is REQUIRED:
        return cast(T, field(kw_only=True, metadata=metadata))
    return field(kw_only=True, default=declared.default_value(), metadata=metadata)


def option_name(attribute: str) -> str:
    """Return the option that an attribute holds: ``async_`` holds ``async``, a word that Python keeps."""
    return attribute.removesuffix("_")


def options_of(cls: type[Any]) -> dict[str, Option[Any]]:
    """Return the options that a section's dataclass declares, by their names in the file, in order."""
    return {
        option_name(declared.name): declared.metadata[_METADATA]
        for declared in dataclasses.fields(cls)
        if _METADATA in declared.metadata
    }


def later_options(cls: type[Any]) -> Mapping[str, Later]:
    """Return the options of a section that are known but not built yet (its ``later``)."""
    return cast("Mapping[str, Later]", getattr(cls, "later", {}))


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one option, and where it stands."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Section:
    """One section as it stands in a file: ``[kind]`` or ``[kind:name]``."""

    kind: str
    name: str
    place: Place
    options: dict[str, Text] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What stands between the brackets."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def error(self, option: str, what: str) -> ConfigurationError:
        """Return an error at the line of ``option``, or of the section where the option is not written."""
        text = self.options.get(option)
        return ConfigurationError(text.place if text else self.place, self.title, option, what)


def read_section(
    cls: type[T], section: Section, variables: Mapping[str, str]
) -> tuple[T | None, list[ConfigurationError]]:
    """Build the dataclass of a section, and return every error found on the way.

    A wrong option is replaced by its default, so that what depends on the section can still be checked; a
    required one by what the class names in ``stand_ins``, and without that there is no object.  A ``check``
    method of the class returns problems that concern several options; one that concerns an option already
    found wrong is dropped.
    """
    around = Surroundings(variables, Path(section.place.file).absolute().parent)
    options = options_of(cls)
    values: dict[str, Any] = {}
    errors = list(_unknown(cls, section))
    for name, declared in options.items():
        text = section.options.get(name)
        try:
            if text is not None:
                values[name] = declared.read(text.text, around)
            elif declared.default is REQUIRED:
                raise ValueError(f"is missing; accepted: {declared.accepts}")
        except ValueError as error:
            errors.append(section.error(name, str(error)))
    failed = {error.option for error in errors}
    stand_ins = _stand_ins(cls)
    for name, declared in options.items():
        if declared.default is REQUIRED and name in failed:
            if name not in stand_ins:
                return None, errors
            values[name] = declared.type.read(stand_ins[name], around)
    build: Callable[..., T] = cls
    attributes = {option_name(field): field for field in _fields(cls)}
    built = build(section.name, **{attributes[name]: value for name, value in values.items()})
    for concerned, what in _problems(built):
        if failed.isdisjoint(concerned):
            errors.append(section.error(concerned[0], what))
    return built, errors


def _fields(cls: type[Any]) -> list[str]:
    return [declared.name for declared in dataclasses.fields(cls)]


def _stand_ins(cls: type[Any]) -> Mapping[str, str]:
    """Return what a section is built with where a required option is wrong; it must give rise to no error."""
    return cast("Mapping[str, str]", getattr(cls, "stand_ins", {}))


def _problems(built: Any) -> Iterable[Problem]:
    check: Callable[[], Iterable[Problem]] | None = getattr(built, "check", None)
    return () if check is None else check()


def _unknown(cls: type[Any], section: Section) -> Iterator[ConfigurationError]:
    known: Sequence[str] = list(options_of(cls))
    later = later_options(cls)
    for name, text in section.options.items():
        if name in later:
            if later[name].default is None or text.text != later[name].default:
                yield section.error(name, later[name].missing)
        elif name not in known:
            hint = nearest(name.lower(), known)
            listed = ", ".join(known)
            yield section.error(name, f"no such option{hint or f'; accepted: {listed}'}")
