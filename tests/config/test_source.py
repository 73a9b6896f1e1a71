from __future__ import annotations

import configparser
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config.source import Source, read_source

KNOWN = {"gateway": ("include", "workers"), "route": ("path", "methods")}


def known(kind: str) -> Collection[str]:
    return KNOWN.get(kind, ())


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def source(text: str | bytes, **variables: str) -> Source:
    Path("a.ini").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source("a.ini", variables, known)


def errors(text: str | bytes, **variables: str) -> list[str]:
    return [str(error) for error in source(text, **variables).errors]


def values(text: str) -> dict[str, dict[str, str]]:
    found = source(text)
    assert not found.errors
    return {
        section.title: {name: option.text for name, option in section.options.items()}
        for section in found.sections
    }


def test_sections_and_options_know_their_lines() -> None:
    found = source("# first\n\n[gateway]\nworkers = 1\n\n[route:a]\npath =\n  /a\n")
    assert [str(section.place) for section in found.sections] == ["a.ini:3", "a.ini:6"]
    assert [str(option.place) for section in found.sections for option in section.options.values()] == [
        "a.ini:4",
        "a.ini:7",
    ]


def test_an_indented_line_goes_on_with_the_value() -> None:
    text = "[x:a]\nt =\n  one\n  # not this\n\n  two ; three\nu = 4\n"
    found = values(text)["x:a"]
    assert [line for line in found["t"].split("\n") if line] == ["one", "two ; three"]
    assert found["u"] == "4"


def test_nothing_is_interpolated_lower_cased_or_split_at_colons() -> None:
    assert values("[x:a]\nMixed = 50% %(b)s ${C}: d = e\n") == {"x:a": {"Mixed": "50% %(b)s ${C}: d = e"}}


def test_a_mark_of_order_and_all_line_ends_are_fine() -> None:
    found = source(b"\xef\xbb\xbf[gateway]\r\nworkers = 1\r\n\r\n[route:a]\rpath = /a\r")
    assert not found.errors
    assert [section.title for section in found.sections] == ["gateway", "route:a"]


def test_a_section_called_default_is_nothing_special() -> None:
    assert [section.title for section in source("[route:DEFAULT]\npath = /\n[route:b]\n").sections] == [
        "route:DEFAULT",
        "route:b",
    ]


def test_other_bytes_than_utf8_are_told_with_their_line() -> None:
    assert errors(b"[gateway]\nworkers = 1\n# caf\xe9\n") == [
        "a.ini:3: is not UTF-8 text; save the file as UTF-8"
    ]


def test_a_control_character_is_told_with_its_line() -> None:
    assert errors("[gateway]\nworkers = 1\x00\n") == [
        "a.ini:2: [gateway] workers: holds a control character; remove it"
    ]
    assert len(errors("[gateway]\nworkers =\n  1\n  \x1b[0m\n")) == 1


def test_a_directory_is_no_file() -> None:
    Path("d").mkdir()
    assert [str(error) for error in read_source("d", {}, known).errors] == [
        "d: cannot be read: Is a directory"
    ]


def test_a_device_without_end_is_not_read_to_it() -> None:
    assert [str(error) for error in read_source("/dev/zero", {}, known).errors] == [
        "/dev/zero: is longer than 16m"
    ]


def test_an_option_after_a_wrong_section_is_passed_over() -> None:
    found = source("[gateway]\n[a b]\n  x = 1\n  y = 2\n    [route:c]\n    path = /\n")
    assert len(found.errors) == 1
    assert {section.title: list(section.options) for section in found.sections} == {"gateway": []}


def test_an_indented_section_after_a_wrong_one_is_a_section() -> None:
    found = source("[route:a]\npath = /\n[a b]\n  x = 1\n  [route:c]\n  path = /c\n")
    assert [section.title for section in found.sections] == ["route:a", "route:c"]


def test_files_are_included_once_in_sorted_order() -> None:
    Path("conf.d").mkdir()
    for name in ("b.ini", "a.ini", ".hidden.ini", "c.txt"):
        Path("conf.d", name).write_text(f"[route:{name.strip('.')[0]}]\n")
    assert source("[gateway]\ninclude = conf.d/*.ini, conf.d/a.ini, *.ini\n").files == [
        "a.ini",
        "conf.d/a.ini",
        "conf.d/b.ini",
    ]


def test_an_absolute_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("")
    assert source(f"[gateway]\ninclude = {tmp_path}/*.conf\n").files == ["a.ini", f"{tmp_path}/x.conf"]


def test_an_include_may_hold_variables() -> None:
    Path("b.ini").write_text("[route:a]\n")
    assert source("[gateway]\ninclude = ${WHAT}.ini\n", WHAT="b").files == ["a.ini", "b.ini"]
    assert "WHAT is not set" in errors("[gateway]\ninclude = ${WHAT}.ini\n")[0]


def test_no_file_for_a_pattern_is_fine_but_for_a_name_it_is_not() -> None:
    assert errors("[gateway]\ninclude = conf.d/*.ini\n") == []
    assert "there is no file 'conf.d/a.ini'" in errors("[gateway]\ninclude = conf.d/a.ini\n")[0]


def test_an_included_file_includes_nothing() -> None:
    Path("b.ini").write_text("[gateway]\ninclude = c.ini\n")
    assert "stands at a.ini:1 already" in errors("[gateway]\ninclude = b.ini\n")[0]


PIECES = st.sampled_from(
    ["[route:a]", "[x:b]", "[", "  ", "\t", "a", "path", " = ", "=", "1", "#", ";", "é", ":", "\x0b"]
)


@given(st.lists(st.lists(PIECES, max_size=5).map("".join), max_size=12).map("\n".join))
def test_the_parser_reads_what_the_scan_has_seen(text: str) -> None:
    found = source(text)
    if found.errors:
        return
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="\0")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    assert {
        section.title: {name: option.text for name, option in section.options.items()}
        for section in found.sections
    } == {title: {name: value.strip() for name, value in parser.items(title)} for title in parser.sections()}
