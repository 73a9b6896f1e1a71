from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.operator.conftest import House
from tests.operator.jobs_told import ID, summary, whole
from twistedgate.cli import main

Output = pytest.CaptureFixture[str]
ByteOutput = pytest.CaptureFixture[bytes]

AWAY = {"reason": "store-away", "detail": "the store of jobs is away"}


@pytest.fixture
def where(house: House) -> list[str]:
    """The options that lead to the spokesman."""
    return ["-c", house.configure()]


def listed(*jobs: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"jobs": list(jobs), "cursor": cursor}


def asked(house: House) -> list[tuple[str, dict[str, str]]]:
    """Return the paths that were asked for, with the parameters of each."""
    split = [path.partition("?") for _, path in house.spokesman.asked]
    return [(path, dict(parse_qsl(query))) for path, _, query in split]


def test_a_list_is_a_table(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say(listed(summary("A"), summary("B", state="failed", reason="reset")))
    assert main(["jobs", "list", *where]) == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["ID", "A", "B"]
    assert "reset" in said.out
    assert said.err == ""
    assert asked(house) == [("/jobs", {"limit": "50"})]


def test_filters_are_the_gateways(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say(listed())
    words = ["--state", "failed", "--route", "r&x", "--owner", "key-auth:k/a", "--limit", "7"]
    assert main(["jobs", "list", *words, "--cursor", "c", *where]) == 0
    assert capsys.readouterr().out == "there are no such jobs\n"
    given = {"state": "failed", "route": "r&x", "owner": "key-auth:k/a", "limit": "7", "cursor": "c"}
    assert asked(house) == [("/jobs", given)]


def test_pages_are_asked_for_until_there_are_enough(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say(listed(*[summary(f"A{number}") for number in range(100)], cursor="1"))
    house.spokesman.say(listed(cursor="2"))
    house.spokesman.say(listed(*[summary(f"B{number}") for number in range(20)], cursor="3"))
    assert main(["jobs", "list", "--limit", "120", "-q", *where]) == 0
    said = capsys.readouterr()
    ids = said.out.splitlines()
    assert (len(ids), ids[0], ids[-1], said.err) == (120, "A0", "B19", "")
    assert [given for _, given in asked(house)] == [
        {"limit": "100"},
        {"limit": "20", "cursor": "1"},
        {"limit": "20", "cursor": "2"},
    ]


def test_what_more_there_is_is_said_beside_the_table(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say(listed(summary("A"), cursor="word"))
    assert main(["jobs", "list", "--limit", "1", *where]) == 0
    said = capsys.readouterr()
    assert said.err == "There are more: --cursor word\n"
    assert "word" not in said.out
    assert main(["jobs", "list", "--limit", "1", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out) == listed(summary("A"), cursor="word")


def test_a_job_is_shown(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say(whole())
    assert main(["jobs", "show", ID, *where]) == 0
    assert capsys.readouterr().out.startswith(f"job        {ID}\nstate      queued\n")
    assert main(["jobs", "show", ID, "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out) == whole()
    assert asked(house) == [(f"/jobs/{ID}", {})] * 2


@pytest.mark.parametrize(
    "typed", [f"/_jobs/{ID}", f"https://example.com/_jobs/{ID}/", f"/_jobs/{ID}/result", f"{ID}/events", ID]
)
def test_an_id_may_be_copied_from_where_its_client_asks(
    typed: str, house: House, where: list[str], capsys: Output
) -> None:
    house.spokesman.say(whole())
    assert main(["jobs", "show", typed, *where]) == 0
    assert asked(house) == [(f"/jobs/{ID}", {})]


def test_what_is_no_id_goes_nowhere_else(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say({"reason": "unknown-job", "detail": "no job of this id"}, 404)
    assert main(["jobs", "cancel", "a?all=yes", *where]) == 1
    assert house.spokesman.asked == [("POST", "/jobs/a%3Fall%3Dyes/cancel")]


# the result


def test_a_result_is_raw(house: House, where: list[str], capfdbinary: ByteOutput) -> None:
    house.spokesman.say(b"\x00\xff\r\n\x1b[2J" * 9)
    assert main(["jobs", "result", ID, *where]) == 0
    assert capfdbinary.readouterr() == (b"\x00\xff\r\n\x1b[2J" * 9, b"")
    assert asked(house) == [(f"/jobs/{ID}/result", {})]


HEAD = {"status": 200, "phrase": "Fine", "headers": [["A", "b"]], "length": 6}


def test_its_head_comes_first_if_it_is_wanted(
    house: House, where: list[str], capfdbinary: ByteOutput
) -> None:
    house.spokesman.say(whole(result=HEAD))
    house.spokesman.say(b"answer")
    assert main(["jobs", "result", "--include", ID, *where]) == 0
    assert capfdbinary.readouterr().out == b"HTTP/1.1 200 Fine\r\nA: b\r\n\r\nanswer"


def test_as_json_it_is_one_object(house: House, where: list[str], capfdbinary: ByteOutput) -> None:
    house.spokesman.say(whole(result=HEAD))
    house.spokesman.say(b"\xffnswer")
    assert main(["jobs", "result", "--json", ID, *where]) == 0
    told = json.loads(capfdbinary.readouterr().out)
    assert base64.b64decode(told.pop("body")) == b"\xffnswer"
    assert told == {"id": ID, **HEAD, "encoding": "base64"}


def test_it_may_go_to_a_file(house: House, where: list[str], tmp_path: Path, capsys: Output) -> None:
    house.spokesman.say(b"answer")
    file = tmp_path / "result.bin"
    assert main(["jobs", "result", ID, "-o", str(file), *where]) == 0
    assert file.read_bytes() == b"answer"
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_a_sentence(
    house: House, where: list[str], tmp_path: Path, capsys: Output
) -> None:
    house.spokesman.say(b"answer")
    assert main(["jobs", "result", ID, "-o", str(tmp_path / "no" / "x"), *where]) == 1
    assert capsys.readouterr().err.endswith("/no/x cannot be written: No such file or directory\n")


def test_a_result_that_breaks_off_is_a_failure(
    house: House, where: list[str], tmp_path: Path, capsys: Output
) -> None:
    house.spokesman.bytes_of = 10
    house.spokesman.say(b"answer")
    file = tmp_path / "result.bin"
    assert main(["jobs", "result", ID, "-o", str(file), *where]) == 1
    error = capsys.readouterr().err
    assert "broke off after 6 of 10 bytes" in error
    assert f"{file} is not whole" in error


def test_where_there_is_none_the_file_of_before_stays(
    house: House, where: list[str], tmp_path: Path, capsys: Output
) -> None:
    file = tmp_path / "result.bin"
    file.write_bytes(b"before")
    house.spokesman.say({"reason": "wrong-state", "detail": "it is running: there is no result yet"}, 409)
    for more in ([], ["--include"]):
        assert main(["jobs", "result", ID, "-o", str(file), *more, *where]) == 1
        assert capsys.readouterr() == ("", "it is running: there is no result yet\n")
    assert file.read_bytes() == b"before"


class Terminal(io.TextIOWrapper):
    """A terminal to write on."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_text_only(
    house: House, where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(written))
    house.spokesman.say("café\x1b[2J\n".encode())
    assert main(["jobs", "result", ID, *where]) == 0
    assert written.getvalue().decode() == "café\N{REPLACEMENT CHARACTER}[2J\n"


# doing


@pytest.mark.parametrize("what", ["cancel", "retry"])
def test_something_is_done_to_each_and_each_is_told(
    what: str, house: House, where: list[str], capsys: Output
) -> None:
    house.spokesman.say({"done": True, "said": "it is done", "job": summary()})
    house.spokesman.say({"reason": "wrong-state", "detail": "it succeeded\x1b[2J"}, 409)
    house.spokesman.say({"done": True, "said": "this too", "job": summary()})
    assert main(["jobs", what, "A", "B", "A", "/_jobs/C", *where]) == 1
    said = capsys.readouterr()
    assert said.out == "A: it is done\nC: this too\n"
    assert said.err == "B: it succeeded\N{REPLACEMENT CHARACTER}[2J\n"
    assert house.spokesman.asked == [("POST", f"/jobs/{job}/{what}") for job in "ABC"]
    assert house.spokesman.fields[0]["content-type"] == "application/json"


def test_as_json_each_is_what_the_gateway_said(house: House, where: list[str], capsys: Output) -> None:
    good, bad = {"done": True, "said": "done"}, {"reason": "job-gone", "detail": "gone"}
    house.spokesman.say(good)
    house.spokesman.say(bad, 410)
    assert main(["jobs", "retry", "A", "B", "--json", *where]) == 1
    assert json.loads(capsys.readouterr().out) == {"A": good, "B": bad}


def test_all_done_is_good(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say({"done": True, "said": "done"})
    assert main(["jobs", "cancel", "A", "B", *where]) == 0


def test_a_purge_goes_on_until_it_is_done(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say({"purged": 70, "cursor": "7"})
    house.spokesman.say({"purged": 3, "cursor": None})
    words = ["--state", "failed", "--route", "r", "--older-than", "2h"]
    assert main(["jobs", "purge", *words, *where]) == 0
    assert capsys.readouterr().out == "73 jobs forgotten\n"
    given = {"state": "failed", "route": "r", "older-than": "2h"}
    assert asked(house) == [("/jobs/purge", given), ("/jobs/purge", {**given, "cursor": "7"})]
    assert {method for method, _ in house.spokesman.asked} == {"POST"}


def test_a_purge_of_all_is_said_so(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say({"purged": 1, "cursor": None})
    assert main(["jobs", "purge", "--all", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": True, "said": "1 job forgotten", "purged": 1}
    assert asked(house) == [("/jobs/purge", {"all": "yes"})]


@pytest.mark.parametrize("words", [[], ["--all", "--route", "r"], ["--all", "--older-than", "1h"]])
def test_a_purge_of_nobody_knows_what_asks_nothing(
    words: list[str], house: House, where: list[str], capsys: Output
) -> None:
    assert main(["jobs", "purge", *words, *where]) == 2
    assert "--all, alone" in capsys.readouterr().err
    assert house.spokesman.asked == []


def test_a_purge_that_breaks_off_says_what_was_done(house: House, where: list[str], capsys: Output) -> None:
    house.spokesman.say({"purged": 70, "cursor": "7"})
    house.spokesman.say(AWAY, 503)
    assert main(["jobs", "purge", "--all", *where]) == 1
    assert capsys.readouterr() == ("", "70 jobs forgotten, then:\nthe store of jobs is away\n")
    house.spokesman.answers.clear()
    house.spokesman.say({"purged": 1, "cursor": "7"})
    house.spokesman.say({"reason": "internal"}, 500)
    assert main(["jobs", "purge", "--all", *where]) == 1
    assert capsys.readouterr().err.endswith("refuses: 500 internal; 1 job forgotten before\n")


# what goes wrong


@pytest.mark.parametrize("words", [["list"], ["show", ID], ["result", ID], ["purge", "--all"]])
def test_a_refusal_is_a_sentence_or_what_the_gateway_said(
    words: list[str], house: House, where: list[str], capsys: Output
) -> None:
    house.spokesman.say(AWAY, 503)
    assert main(["jobs", *words, *where]) == 1
    assert capsys.readouterr() == ("", "the store of jobs is away\n")
    assert main(["jobs", *words, "--json", *where]) == 1
    assert json.loads(capsys.readouterr().out) == AWAY


@pytest.mark.parametrize("words", [["list"], ["show", ID], ["purge", "--all"], ["cancel", ID], ["retry", ID]])
def test_another_version_is_not_misunderstood(
    words: list[str], house: House, where: list[str], capsys: Output
) -> None:
    house.spokesman.say({})
    assert main(["jobs", *words, *where]) == 1
    assert "of another version" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["stop", ID],
        ["list", "--state", "done"],
        ["list", "--limit", "0"],
        ["list", "--limit", "\N{SUPERSCRIPT TWO}"],
        ["list", "--route", ""],
        ["show"],
        ["show", "/"],
        ["show", "A", "B"],
        ["result", ID, "--output", ""],
        ["cancel"],
        ["retry", ""],
        ["purge", "--state", "running"],
        ["purge", "--older-than", "2"],
        ["purge", "--route", ""],
    ],
)
def test_what_is_not_understood_ends_with_two(words: list[str], house: House, capsys: Output) -> None:
    try:
        ended = main(["jobs", *words])
    except SystemExit as exit_:
        ended = int(exit_.code or 0)
    assert ended == 2
    error = capsys.readouterr().err
    assert error
    assert "<State" not in error
