from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config import values
from twistedgate.config.values import Rate, Secret, Surroundings, ValueType, split_list


def read(kind: ValueType[Any], text: str, **variables: str) -> Any:
    return kind.read(text, Surroundings(variables, "/etc/gate"))


def refusal(kind: ValueType[Any], text: str, **variables: str) -> str:
    with pytest.raises(ValueError, match=r".") as raised:
        read(kind, text, **variables)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_has_its_unit(text: str, seconds: float) -> None:
    assert read(values.duration, text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1S", "1m30s", "1e3s", "٣s", "400d", "1s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    refusal(values.duration, text)


def test_a_bare_number_is_told_how_to_be_written() -> None:
    assert "write 30s for seconds or 30ms" in refusal(values.duration, "30")
    assert "write 50%" in refusal(values.percentage, "50")
    assert "write 100/s" in refusal(values.rate, "100")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("512", 512), ("64k", 65536), ("10m", 10485760), ("2g", 2147483648)]
)
def test_a_size_is_in_powers_of_1024(text: str, number: int) -> None:
    assert read(values.size, text) == number


@pytest.mark.parametrize(("text", "advice"), [("10M", "10m"), ("64KB", "64k"), ("1 GiB", "1g"), ("5b", "5")])
def test_a_size_of_another_spelling_is_told_ours(text: str, advice: str) -> None:
    assert refusal(values.size, text).endswith(f"write {advice}")


@given(st.integers(0, 10**12), st.sampled_from(["", "k", "m", "g"]))
def test_every_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert read(values.size, f"{number}{unit}") == number * 1024 ** " kmg".index(unit or " ")


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m"]))
def test_every_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    seconds = number * {"ms": 0.001, "s": 1, "m": 60}[unit]
    if seconds <= 366 * 86400:
        assert read(values.duration, f"{number}{unit}") == pytest.approx(seconds)


QUANTITIES = [
    values.duration,
    values.size,
    values.count,
    values.integer,
    values.percentage,
    values.rate,
    values.boolean,
    values.mode,
]


@given(st.sampled_from(QUANTITIES), st.text(max_size=12))
def test_no_text_is_more_than_read_or_refused(kind: ValueType[Any], text: str) -> None:
    try:
        read(kind, text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 -- both ends are right, none is expected


@pytest.mark.parametrize(("text", "ratio"), [("50%", 0.5), ("0%", 0.0), ("12.5%", 0.125), ("100%", 1.0)])
def test_a_percentage_is_a_ratio(text: str, ratio: float) -> None:
    assert read(values.percentage, text) == ratio


def test_a_rate_is_so_many_in_so_many_seconds() -> None:
    assert read(values.rate, "5000/h") == Rate(5000, 3600.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", True), ("on", True), ("true", True), ("no", False), ("off", False), ("false", False)],
)
def test_a_boolean_is_one_of_six_words(text: str, value: bool) -> None:
    assert read(values.boolean, text) is value


def test_a_mode_is_octal() -> None:
    assert read(values.mode, "660") == read(values.mode, "0660") == 0o660
    refusal(values.mode, "888")


def test_a_choice_offers_the_nearest_word() -> None:
    kind = values.choice("json", "combined")
    assert read(kind, "json") == "json"
    assert "did you mean 'combined'?" in refusal(kind, "combind")


def test_a_path_is_relative_to_the_file() -> None:
    assert read(values.path, "a/b.pem") == "/etc/gate/a/b.pem"
    assert read(values.path, "/a/b.pem") == "/a/b.pem"
    refusal(values.path, "a.pem ; the first")


def test_a_log_may_be_standard_output_or_off() -> None:
    assert [read(values.log_path, text) for text in ("-", "off", "a.log")] == ["-", "off", "/etc/gate/a.log"]


def test_an_optional_value_is_none_where_nothing_is_written() -> None:
    assert read(values.optional(values.count), "") is None
    assert read(values.optional(values.count), "${N:-}") is None
    assert read(values.optional(values.count), "7") == 7


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a, b", ["a", "b"]),
        ("a\nb,\nc", ["a", "b", "", "c"]),
        ('"a, b", c', ["a, b", "c"]),
        ("f(a, b), c", ["f(a, b)", "c"]),
        ('f("(", b), c', ['f("(", b)', "c"]),
        ("${A:-b,c}, d", ["${A:-b,c}", "d"]),
    ],
)
def test_a_list_is_split_outside_of_quotes_and_parentheses(text: str, members: list[str]) -> None:
    assert split_list(text) == members


@pytest.mark.parametrize(("text", "lacking"), [('"a, b', '"'), ("f(a, b", ")"), ("${A, b", "}")])
def test_a_list_that_does_not_close_is_refused(text: str, lacking: str) -> None:
    with pytest.raises(ValueError, match="lacks a closing") as raised:
        split_list(text)
    assert str(raised.value).endswith(lacking)


@given(st.text(max_size=30))
def test_splitting_a_list_loses_nothing_but_separators_and_quotes(text: str) -> None:
    try:
        members = split_list(text)
    except ValueError:
        return
    kept = "".join("".join(members).split())
    assert [char for char in kept if char not in ',"'] == [
        char for char in text if char not in ',"' and char.strip()
    ]


def test_empty_members_are_none() -> None:
    assert read(values.list_of(values.name), "a,, b,") == ("a", "b")
    assert read(values.list_of(values.name), "a, ${B:-}") == ("a",)


def test_every_wrong_member_is_told() -> None:
    assert refusal(values.list_of(values.count), "x, 1, y").count("is not a whole number") == 2


def test_a_variable_has_its_value_or_its_fallback() -> None:
    assert read(values.line, "a ${B} c", B="b") == "a b c"
    assert read(values.line, "${B:-d}") == "d"
    assert read(values.line, "${B:-}") == ""
    assert read(values.line, "$${B}") == "${B}"
    assert read(values.line, "$B {b}") == "$B {b}"


@pytest.mark.parametrize("text", ["${B}", "${b}", "${}", "${B", "${B:-${C}}", "${1}", "${B-x}"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    assert "${" in refusal(values.line, text, C="c")


def test_a_value_is_put_in_once_and_never_read_again() -> None:
    assert read(values.line, "${A}", A="${B}", B="b") == "${B}"


@given(st.text(max_size=20))
def test_a_variable_makes_one_member_at_most(value: str) -> None:
    anything: ValueType[str] = ValueType("text", "text", lambda text, around: around.expand(text))
    assert len(values.list_of(anything).read("x, ${A}", Surroundings({"A": value}))) <= 2
    assert len(values.lines_of(anything).read("x\n${A}", Surroundings({"A": value}))) <= 2


def test_a_secret_does_not_show_itself() -> None:
    secret = read(values.secret, "hush")
    assert secret == "hush"
    assert repr(secret) == repr(Secret("other"))


def test_a_secret_may_lie_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    assert values.secret.read("file:token", Surroundings({}, tmp_path)) == "hush"


def test_a_secret_is_looked_for_among_the_credentials_first(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("beside")
    (tmp_path / "credentials").mkdir()
    around = Surroundings({"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}, tmp_path)
    assert values.secret.read("file:token", around) == "beside"
    (tmp_path / "credentials/token").write_text("credential")
    assert values.secret.read("file:token", around) == "credential"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff\xfe", b"x" * 70000])
def test_a_secret_file_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        values.secret.read("file:token", Surroundings({}, tmp_path))


def test_a_variable_cannot_make_the_gateway_read_a_file(tmp_path: Path) -> None:
    assert read(values.secret, "${TOKEN}", TOKEN="file:/etc/passwd") == "file:/etc/passwd"


@pytest.mark.parametrize("text", ["a", "A1", "a.b-c_d", "a" * 64])
def test_a_name_is_one_word(text: str) -> None:
    assert read(values.name, text) == text


@pytest.mark.parametrize("text", ["", "a b", "-a", "a-", "a/b", "é", "a" * 65, "a\n"])
def test_what_is_no_name_is_refused(text: str) -> None:
    refusal(values.name, text)


def test_a_policy_is_named_with_its_kind() -> None:
    assert read(values.policy_name, "rate-limit:x") == "rate-limit:x"
    refusal(values.policy_name, "rate-limit")
