"""What is wrong with a configuration, and where.

Every error is collected, none stops the reading: an operator sees all of them at once, each as
``FILE:LINE: [section] option: what is wrong, and what is accepted``.  Nothing here knows what a
section means.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COMMENT_ADVICE = "a comment wants a line of its own"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ConfigurationError:
    """One thing that is wrong; ``section`` and ``option`` are empty where the error is in neither."""

    place: Place
    section: str
    option: str
    what: str

    def __str__(self) -> str:
        where = f"[{self.section}]" if self.section else ""
        if self.option:
            where = f"{where} {self.option}".strip()
        return f"{self.place}: {where}: {self.what}" if where else f"{self.place}: {self.what}"


class ConfigurationErrors(Exception):
    """Every error of a configuration, in the order of the files' lines."""

    def __init__(self, errors: Iterable[ConfigurationError]) -> None:
        self.errors = tuple(errors)
        super().__init__(f"{len(self.errors)} errors in the configuration")

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean 'X'?`` for the known word that is most like ``word``, or nothing."""
    alike = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{alike[0]}'?" if alike else ""


def advice_on_comments(text: str) -> str:
    """Return the advice for a wrong value that seems to hold a comment, or nothing."""
    return f"; {COMMENT_ADVICE}" if " ;" in text or " #" in text else ""
