"""The reference of the options, made from their definitions: a page, or text for a terminal.

Nothing is said here that the definitions do not say; a test keeps ``docs/options.md`` in step.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from twistedgate.config.load import UNNAMED
from twistedgate.config.schema import Option, later_options, options_of

_INTRODUCTION = """\
# Options

Made from the definitions in the code by `twistedgate options --markdown`; do not edit it.

A section is `[kind]` or `[kind:name]`. Durations are written `250ms 5s 2m 1h 7d`, sizes `512 64k 10m 2g`,
rates `100/s 5000/h`, portions `50%`, booleans `yes no on off true false`. Lists are separated by commas or
newlines, unless a type says that its members stand one to a line. `${NAME}` is a variable of the environment,
`${NAME:-default}` has a fallback, `$${` is a literal. A comment has a line of its own.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of section: its name, what it is for, and its dataclass."""

    name: str
    doc: str
    options: type[Any]

    @property
    def title(self) -> str:
        """The section as it is written."""
        return f"[{self.name}]" if self.name in UNNAMED else f"[{self.name}:NAME]"


def page(kinds: Iterable[Kind]) -> str:
    """Return the reference page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(line for kind in kinds for line in _section(kind))])


def _section(kind: Kind) -> Iterator[str]:
    yield f"## `{kind.title}`\n"
    yield inspect.cleandoc(kind.doc).replace("``", "`") + "\n"
    yield "| option | default | accepted | meaning |"
    yield "|---|---|---|---|"
    for name, option in options_of(kind.options).items():
        cells = (f"`{name}`", _code(option), option.accepts, _meaning(option))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    later = later_options(kind.options)
    if later:
        yield f"\nKnown, but not built yet: {', '.join(f'`{name}`' for name in later)}."
    yield ""


def _code(option: Option[Any]) -> str:
    if option.default is None:
        return "required"
    return f"`{option.default}`" if option.default else ""


def _meaning(option: Option[Any]) -> str:
    return f"{option.doc} Only the default yet: {option.later}." if option.later else option.doc


def describe(kind: Kind) -> str:
    """Return the options of one kind as text for a terminal."""
    doc = inspect.cleandoc(kind.doc).replace("``", "")
    lines = [kind.title, *(f"  {line}".rstrip() for line in doc.splitlines())]
    for name, option in options_of(kind.options).items():
        default = "(required)" if option.default is None else f"= {option.default}".strip()
        lines += ["", f"{name} {default}"]
        lines += textwrap.wrap(_meaning(option), 90, initial_indent="    ", subsequent_indent="    ")
        lines += textwrap.wrap(
            f"accepted: {option.accepts}", 90, initial_indent="    ", subsequent_indent="    "
        )
    later = later_options(kind.options)
    if later:
        known = f"Known, but not built yet: {', '.join(later)}."
        lines += ["", *textwrap.wrap(known, 90, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join(lines)
