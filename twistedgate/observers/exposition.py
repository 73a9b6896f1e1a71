"""Metrics as text: families of samples, written in Prometheus' format 0.0.4 or in OpenMetrics 1.0.

Rules: each family is written once, with what it means and of what kind it is; a family without samples is not
written.  Label values and help are escaped; names are taken as they are, as they are the program's own.
Nothing is computed before it is asked for, piece by piece, so that whoever writes can do something else in
between.  This module does not know what is measured.
"""

from __future__ import annotations

import enum
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]

_REMEMBERED = 1 << 13
"""Label sets whose text is kept: those of some 500 routes."""

_PLACE = "\0"
"""Where labels come into a pattern."""


class Format(enum.Enum):
    """How metrics are written; the value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name; ``kind`` is ``counter``, ``gauge`` or ``info``.

    ``name`` has neither ``_total`` nor ``_info``; it ends with the unit, if there is one.
    """

    name: str
    kind: str
    help: str
    samples: Iterable[tuple[Labels, float]]
    unit: str = ""

    @property
    def sample_name(self) -> str:
        """The name of the samples."""
        return self.name + _SUFFIXES.get(self.kind, "")

    def lines(self) -> Iterator[str]:
        """Give the lines of the samples."""
        name = self.sample_name
        for labels, value in self.samples:
            yield f"{name}{_braces(labels)} {number(value)}\n"


@dataclass(frozen=True, slots=True)
class HistogramFamily:
    """Histograms of one name, with the same buckets.

    A sample has a label at least, the count of each bucket by itself, and the sum.
    """

    name: str
    help: str
    bounds: tuple[float, ...]
    """The upper bound of each bucket, the last one infinite."""
    samples: Iterable[tuple[Labels, Sequence[int], float]]
    unit: str = ""
    kind: str = "histogram"

    @property
    def sample_name(self) -> str:
        """What the names of the samples begin with."""
        return self.name

    def lines(self) -> Iterator[str]:
        """Give the lines of each histogram, buckets cumulative."""
        pattern = _histogram(self.name, self.bounds)
        for labels, buckets, total in self.samples:
            lines = pattern.replace(_PLACE, _inner(labels).replace("%", "%%"))
            counts = tuple(itertools.accumulate(buckets))
            yield lines % (*counts, counts[-1], number(total))


_SUFFIXES = {"counter": "_total", "info": "_info"}

Families = Iterable[Family | HistogramFamily]


def render(families: Families, form: Format) -> Iterator[str]:
    """Give what a scrape is answered with, in pieces of at most one histogram."""
    for family in families:
        head = _head(family, form)
        for lines in family.lines():
            yield head + lines if head else lines
            head = ""
    if form is Format.OPENMETRICS:
        yield "# EOF\n"


def _head(family: Family | HistogramFamily, form: Format) -> str:
    """Return what stands before the samples of a family."""
    if form is Format.OPENMETRICS:
        unit = f"# UNIT {family.name} {family.unit}\n" if family.unit else ""
        return f"# HELP {family.name} {_escape(family.help)}\n# TYPE {family.name} {family.kind}\n{unit}"
    # There the family goes by the name of its samples, and there is no kind for what only informs.
    kind = "gauge" if family.kind == "info" else family.kind
    meaning = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.sample_name} {meaning}\n# TYPE {family.sample_name} {kind}\n"


def _braces(labels: Labels) -> str:
    """Return labels as they stand behind a name, nothing if there are none."""
    return f"{{{_inner(labels)}}}" if labels else ""


@functools.lru_cache(_REMEMBERED)
def _inner(labels: Labels) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


@functools.lru_cache
def _histogram(name: str, bounds: tuple[float, ...]) -> str:
    """Return the lines of a histogram, with places for its labels, its counts and its sum."""
    lines = [f'{name}_bucket{{{_PLACE},le="{bound_text(bound)}"}}' for bound in bounds]
    return "".join(
        f"{line} %s\n" for line in [*lines, f"{name}_count{{{_PLACE}}}", f"{name}_sum{{{_PLACE}}}"]
    )


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """Return a value as both formats have it."""
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def bound_text(bound: float) -> str:
    """Return the bound of a bucket in OpenMetrics' canonical form, the same in both formats."""
    if math.isinf(bound):
        return "+Inf"
    text = repr(float(bound))
    whole = text.partition(".")[0]
    if len(whole) <= 6:
        return text
    # as Go writes it: one digit, the others that are not 0, two digits of exponent
    fraction = text.replace(".", "")[1:].rstrip("0")
    return f"{whole[0]}.{fraction or '0'}e+{len(whole) - 1:02d}".replace(".0e", "e")


# which of the two

_PLACES = {
    Format.TEXT: ("text", "plain", ("0.0.4",)),
    Format.OPENMETRICS: ("application", "openmetrics-text", ("1.0.0", "0.0.1")),
}
"""Type, subtype, and versions that may be asked for; who asks for 0.0.1 reads 1.0.0 as well."""

_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


def choose(accept: str) -> Format:
    """Return the format that an ``Accept`` wants more (RFC 9110 section 12.5.1), the text if none."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    wish = {form: _wish(ranges, form) for form in Format}
    return Format.OPENMETRICS if wish[Format.OPENMETRICS] > wish[Format.TEXT] else Format.TEXT


def _range(part: str) -> tuple[str, dict[str, str]]:
    kind, *parameters = part.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return kind.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _wish(ranges: list[tuple[str, dict[str, str]]], form: Format) -> float:
    """Return the quality that the most specific range gives to a format; 0 if none matches."""
    kind, subtype, versions = _PLACES[form]
    best, quality = 0, 0.0
    for name, parameters in ranges:
        version = parameters.get("version", "")
        specific = {f"{kind}/{subtype}": 3, f"{kind}/*": 2, "*/*": 1}.get(name, 0)
        if version and (specific < 3 or version not in versions):
            continue
        asked = (specific, _quality(parameters))
        if specific and asked > (best, quality):
            best, quality = asked
    return quality


def _quality(parameters: dict[str, str]) -> float:
    text = parameters.get("q", "1")
    return float(text) if _QUALITY.fullmatch(text) else 0.0
