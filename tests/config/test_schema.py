from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from twistedgate.config.errors import Place
from twistedgate.config.schema import (
    REQUIRED,
    Bounds,
    Later,
    Problem,
    Section,
    Text,
    option,
    options_of,
    read_section,
)
from twistedgate.config.values import count, duration, line


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample."""

    name: str
    place: str = option(line, REQUIRED, "Where.")
    wait: float = option(duration, "5s", "How long.", Bounds(low="1s", high="10s"))
    tries: int = option(count, "1", "How often.", later="more than one try is not built yet; use tries = 1")

    later: ClassVar[Mapping[str, Later]] = {
        "hue": Later("colours are not built yet", "grey"),
        "tint": Later("tints are not built yet"),
    }

    def check(self) -> Iterator[Problem]:
        if self.place == "nowhere" and self.wait > 5:
            yield ("wait", "place"), "is too long for nowhere"


def section(**options: str) -> Section:
    lines = enumerate(options.items(), 2)
    texts = {name: Text(text, Place("a.ini", number)) for number, (name, text) in lines}
    return Section("sample", "s", Place("a.ini", 1), texts)


def build(**options: str) -> tuple[Sample | None, list[str]]:
    value, errors = read_section(Sample, section(**options), {})
    return value, [str(error) for error in errors]


def test_a_section_becomes_its_dataclass() -> None:
    assert build(place="here", wait="7s") == (Sample("s", place="here", wait=7.0), [])


def test_a_default_is_written_as_in_the_file_and_read_the_same_way() -> None:
    assert Sample("s", place="here").wait == 5.0


def test_a_dataclass_tells_its_options_in_order() -> None:
    assert list(options_of(Sample)) == ["place", "wait", "tries"]
    assert (
        options_of(Sample)["wait"].accepts
        == "a time with its unit, such as 250ms, 5s, 2m, 1h or 7d, at least 1s, at most 10s"
    )


def test_without_a_required_option_there_is_nothing() -> None:
    assert build() == (None, ["a.ini:1: [sample:s] place: is missing; accepted: text on one line"])


def test_a_wrong_option_is_told_at_its_line_and_replaced_by_its_default() -> None:
    value, errors = build(place="here", wait="11s")
    assert value == Sample("s", place="here")
    assert len(errors) == 1
    assert errors[0].startswith("a.ini:3: [sample:s] wait: '11s' is too large; accepted: a time")


def test_every_wrong_option_is_told() -> None:
    _, errors = build(place="here", wait="soon", tries="many", zzz="1")
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"tries": "2"}, "tries: more than one try is not built yet; use tries = 1"),
        ({"hue": "red"}, "hue: colours are not built yet"),
        ({"tint": "grey"}, "tint: tints are not built yet"),
    ],
)
def test_what_is_not_built_yet_says_what_is_missing(options: dict[str, str], what: str) -> None:
    _, errors = build(place="here", **options)
    assert [error.partition("] ")[2] for error in errors] == [what]


def test_a_default_that_changes_nothing_is_accepted() -> None:
    assert build(place="here", tries="1", hue="grey")[1] == []


def test_what_is_wrong_between_options_is_told_at_the_first() -> None:
    _, errors = build(place="nowhere", wait="6s")
    assert errors == ["a.ini:3: [sample:s] wait: is too long for nowhere"]


def test_what_is_wrong_already_is_not_told_twice() -> None:
    _, errors = build(place="nowhere", wait="six")
    assert len(errors) == 1


@dataclass(frozen=True, slots=True)
class Worded:
    """A sample whose option is a word of Python's."""

    name: str
    async_: str = option(line, "off", "When.")


def test_an_option_may_be_a_word_that_python_keeps_for_itself() -> None:
    assert list(options_of(Worded)) == ["async"]
    text = {"async": Text("on", Place("a.ini", 2))}
    value, errors = read_section(Worded, Section("worded", "w", Place("a.ini", 1), text), {})
    assert (value, errors) == (Worded("w", async_="on"), [])
    wrong = {"async_": Text("on", Place("a.ini", 2))}
    _, errors = read_section(Worded, Section("worded", "w", Place("a.ini", 1), wrong), {})
    assert [str(error) for error in errors] == [
        "a.ini:2: [worded:w] async_: no such option; did you mean 'async'?"
    ]


def test_options_of_a_class_without_any_are_none() -> None:
    class Plain:
        name: Any = None

    assert read_section(dataclass(Plain), section(), {})[1] == []
