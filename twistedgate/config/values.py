"""The types of option values: how the text of each is read, and what a reader is told about it.

A type has a ``name`` and a sentence ``accepts`` for the reference and for errors, and ``read``, which
turns text into a value or raises ``ValueError`` with what is wrong.  Quantities carry their unit.
Variables are put in piece by piece, after a list was split, so that a variable's value can never make
another list member.  Nothing here knows sections or files of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from twistedgate.config.errors import nearest

T = TypeVar("T")

NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
"""A section's name: it becomes a log field, a metric label and, of a consumer, a header's value."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE_BODY = re.compile(r"([A-Z_][A-Z0-9_]*)(?::-(.*))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_POWERS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECRET_LIMIT = 64 * 1024
_LONGEST = 366 * 86400.0


class Secret(str):
    """Text that does not show itself: its ``repr`` is the same for every secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('...')"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the text of an option may draw on: variables, and the directory of the file it stands in."""

    variables: Mapping[str, str] = field(default_factory=dict)
    directory: str | Path = ""

    def expand(self, text: str) -> str:
        """Put the variables in: ``${NAME}``, ``${NAME:-default}``; ``$${`` stands for ``${``."""
        return _VARIABLE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        inside = _VARIABLE_BODY.fullmatch(found[1])
        if not found[2] or inside is None or "${" in found[1]:
            raise ValueError(
                f"'{found[0]}' is not a variable; write ${{NAME}} or ${{NAME:-default}} in upper case, "
                "or $${ for a literal ${"
            )
        name, default = inside[1], inside[2]
        value = self.variables.get(name, default)
        if value is None:
            raise ValueError(f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
        return value

    def resolve(self, path: str) -> str:
        """Return ``path``, relative to the directory of the file, as an absolute one."""
        return str(Path(self.directory, path).absolute())

    def find_secret(self, path: str) -> str:
        """Return where a secret lies: in ``$CREDENTIALS_DIRECTORY`` if it is there, else beside the file."""
        credentials = self.variables.get("CREDENTIALS_DIRECTORY")
        if credentials:
            candidate = Path(credentials, path)
            if candidate.is_file():
                return str(candidate)
        return self.resolve(path)


@dataclass(frozen=True, slots=True)
class ValueType(Generic[T]):
    """A type of option value: ``name`` and ``accepts`` for people, ``read`` for the text."""

    name: str
    accepts: str
    read: Callable[[str, Surroundings], T]


def scalar(name: str, accepts: str, parse: Callable[[str], T]) -> ValueType[T]:
    """Build a type whose whole text is one value; variables are put in before ``parse`` sees it."""

    def read(text: str, around: Surroundings) -> T:
        return parse(around.expand(text))

    return ValueType(name, accepts, read)


def optional(inner: ValueType[T]) -> ValueType[T | None]:
    """Build the type that is ``None`` where the text is empty."""

    def read(text: str, around: Surroundings) -> T | None:
        return inner.read(text, around) if around.expand(text).strip() else None

    return ValueType(inner.name, f"{inner.accepts}, or nothing", read)


def empty_or(inner: ValueType[str]) -> ValueType[str]:
    """Build the type of text that may be empty."""

    def read(text: str, around: Surroundings) -> str:
        return inner.read(text, around) if around.expand(text).strip() else ""

    return ValueType(inner.name, f"{inner.accepts}, or nothing", read)


def list_of(inner: ValueType[T]) -> ValueType[tuple[T, ...]]:
    """Build the type of a list whose members are separated by commas or newlines."""
    return _members(inner, "list", split_list)


def lines_of(inner: ValueType[T]) -> ValueType[tuple[T, ...]]:
    """Build the type of a list whose members stand one to a line."""
    return _members(inner, "lines", lambda text: text.split("\n"))


def _members(inner: ValueType[T], shape: str, split: Callable[[str], list[str]]) -> ValueType[tuple[T, ...]]:
    def read(text: str, around: Surroundings) -> tuple[T, ...]:
        found: list[T] = []
        wrong_ones: list[str] = []
        for piece in (piece.strip() for piece in split(text)):
            try:
                if piece and around.expand(piece).strip():
                    found.append(inner.read(piece, around))
            except ValueError as error:
                wrong_ones.append(str(error))
        if wrong_ones:
            raise ValueError("; ".join(wrong_ones))
        return tuple(found)

    separator = "separated by commas or newlines" if shape == "list" else "one to a line"
    return ValueType(f"{shape} of {inner.name}", f"{inner.accepts}; {separator}", read)


def split_list(text: str) -> list[str]:
    """Split at commas and newlines, except inside quotes, parentheses and ``${...}``.

    A member that is quoted as a whole loses its quotes.
    """
    members, start, closers = [], 0, ""
    for place, char in enumerate(text):
        if closers and char == closers[-1]:
            closers = closers[:-1]
        elif closers.endswith('"'):
            continue
        elif char in '"(' or (char == "{" and text[place - 1 : place] == "$"):
            closers += {'"': '"', "(": ")", "{": "}"}[char]
        elif char in ",\n" and not closers:
            members.append(text[start:place])
            start = place + 1
    if closers:
        raise ValueError(f"{_quoted(text)} lacks a closing {closers[-1]}")
    members.append(text[start:])
    return [_unquoted(member.strip()) for member in members]


def _unquoted(member: str) -> str:
    is_quoted = len(member) > 1 and member[0] == member[-1] == '"' and '"' not in member[1:-1]
    return member[1:-1] if is_quoted else member


def _quoted(text: str) -> str:
    """Return the text as an error shows it: on one line, shortened."""
    shown = " ".join(text.split())
    return f"'{shown}'" if len(shown) <= 80 else f"'{shown[:77]}...'"


def wrong(text: str, what: str) -> ValueError:
    """Return the error for ``text``: empty, or not ``what``."""
    return ValueError(f"{_quoted(text)} is not {what}" if text.strip() else "is empty")


def matching(name: str, accepts: str, pattern: str) -> ValueType[str]:
    """Build the type of text that matches the regular expression as a whole."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise wrong(text, f"a {name}")
        return text

    return scalar(name, accepts, parse)


def choice(*words: str) -> ValueType[str]:
    """Build the type of one word out of a few."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{_quoted(text)} is none of them{nearest(text, words)}")
        return text

    return scalar("choice", " | ".join(words), parse)


def _parse_duration(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", text)
    if found is None:
        if re.fullmatch(r"[0-9]{1,15}", text):
            raise ValueError(f"'{text}' has no unit; write {text}s for seconds or {text}ms for milliseconds")
        raise wrong(text, "a duration")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise ValueError(f"'{text}' is longer than 366d")
    return seconds


def _parse_size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([kmg]?)", text)
    if found is None:
        alike = re.fullmatch(r"([0-9]{1,15}) *([kmg]?)(?:i?b)?", text.lower())
        if alike is not None:
            raise ValueError(f"'{text}' is not a size; write {alike[1]}{alike[2]}")
        raise wrong(text, "a size")
    return int(found[1]) * _POWERS[found[2]]


def _parse_count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,15}", text) is None:
        raise wrong(text, "a whole number")
    return int(text)


def _parse_integer(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,15}", text) is None:
        raise wrong(text, "a whole number")
    return int(text)


def _parse_percentage(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", text)
    if found is None:
        if re.fullmatch(r"[0-9]{1,3}", text):
            raise ValueError(f"'{text}' has no unit; write {text}%")
        raise wrong(text, "a percentage")
    return float(found[1]) / 100.0


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: float


def _parse_rate(text: str) -> Rate:
    found = re.fullmatch(r"([0-9]{1,15})/(s|m|h|d)", text)
    if found is None:
        if re.fullmatch(r"[0-9]{1,15}", text):
            raise ValueError(f"'{text}' has no unit; write {text}/s, {text}/m, {text}/h or {text}/d")
        raise wrong(text, "a rate")
    return Rate(int(found[1]), _UNITS[found[2]])


_BOOLEANS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def _parse_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise wrong(text, "yes or no")
    return _BOOLEANS[text]


def _parse_mode(text: str) -> int:
    if re.fullmatch(r"0?[0-7]{3}", text) is None:
        raise wrong(text, "a file mode")
    return int(text, 8)


def _parse_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("holds a line break or another control character")
    return text


def _read_path(text: str, around: Surroundings) -> str:
    path = around.expand(text)
    if not path.strip() or _CONTROL.search(path) or " ;" in path or " #" in path:
        raise wrong(text, "a path")
    return around.resolve(path)


def _read_log_path(text: str, around: Surroundings) -> str:
    return text if text in ("-", "off") else _read_path(text, around)


def _read_secret(text: str, around: Surroundings) -> Secret:
    # Whether it is a file is asked of the text as it stands, not of a variable's value: who sets a
    # variable must not be able to make the gateway read a file.
    if not text.startswith("file:"):
        return Secret(_checked_secret(around.expand(text)))
    path = around.find_secret(around.expand(text.removeprefix("file:")))
    try:
        with Path(path).open(encoding="utf-8") as stream:
            content = stream.read(_SECRET_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"the file '{path}' cannot be read ({reason})") from None
    content = content.rstrip("\r\n")
    if not content or len(content) > _SECRET_LIMIT:
        raise ValueError(f"the file '{path}' is empty or longer than 64k")
    return Secret(_checked_secret(content))


def _checked_secret(text: str) -> str:
    """Return the text; the error never shows it."""
    if _CONTROL.search(text) or text != text.strip():
        raise ValueError("the secret holds a line break, a control character, or blanks around it")
    return text


duration = scalar("duration", "a time with its unit, such as 250ms, 5s, 2m, 1h or 7d", _parse_duration)
size = scalar("size", "bytes, such as 512, 64k, 10m or 2g", _parse_size)
count = scalar("number", "a whole number", _parse_count)
integer = scalar("integer", "a whole number, negative or not", _parse_integer)
percentage = scalar("percentage", "a percentage, such as 20%", _parse_percentage)
rate = scalar("rate", "a rate, such as 100/s, 600/m or 5000/h", _parse_rate)
boolean = scalar("yes or no", "yes, no, on, off, true or false", _parse_boolean)
mode = scalar("file mode", "an octal mode, such as 660", _parse_mode)
line = scalar("text", "text on one line", _parse_line)
path = ValueType("path", "a path, relative to the directory of this file", _read_path)
log_path = ValueType("log", "-, off, or a path, relative to the directory of this file", _read_log_path)
secret = ValueType("secret", "text, ${VARIABLE}, or file:PATH as the whole value", _read_secret)
name = matching("name", "letters, digits, '.', '_' and '-', 64 at most", NAME_PATTERN)
policy_name = matching("policy", "KIND:NAME of a policy's section", rf"[a-z][a-z0-9-]*:{NAME_PATTERN}")
