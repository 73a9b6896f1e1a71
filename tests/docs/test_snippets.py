"""What the pages show works: configurations load; options, sections and commands that are named exist."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.docs.completion import completed, variables, write_files
from tests.docs.metrics import METRICS
from tests.docs.pages import PAGES, ROOT, Block, page
from tests.jobs.ended import ended_job
from twistedgate import cli
from twistedgate.config.model import KINDS, GatewayConfig
from twistedgate.config.schema import later_options, options_of
from twistedgate.exchange import Exchange
from twistedgate.facts import TargetFacts
from twistedgate.http.hops import Peer
from twistedgate.jobs.document import document
from twistedgate.jobs.job import State
from twistedgate.jobs.schedule import REASONS
from twistedgate.jobs.webhook import envelope
from twistedgate.observers.lines import lines
from twistedgate.units import Units

SNIPPETS = [block for one in PAGES for block in one.blocks("ini")]

WORDS = {"access_log_dropped", "accepting_paused", "last_error"}
"""Names with an underscore that ``/status`` shows."""

FILES = {
    found[1]: (one.place, found[2])
    for one in PAGES
    for found in re.finditer(
        r"^`(examples/[\w./]+)`:\n\n```\w+\n(.*?)^```$", one.text, re.DOTALL | re.MULTILINE
    )
}
"""Files of the project that pages show: where, and how."""

FOR_PROGRAMMERS = {"CONTRIBUTING.md", "docs/architecture.md", "docs/writing-a-policy.md"}
"""Pages that name what is in the code, too."""


def kinds() -> dict[str, type]:
    """Return the options of every kind of section that is shipped."""
    units = Units()
    policies = {name: policy.Config for name in units.names() if (policy := units.find(name)) is not None}
    return {**KINDS, **policies}


def known_options() -> set[str]:
    """Return the name of every option of every kind."""
    return {name for kind in kinds().values() for name in [*options_of(kind), *later_options(kind)]}


class Run(Exchange):
    """A run of a job."""

    run = 1


def log_line(kind: type[Exchange] = Exchange) -> dict[str, object]:
    """Return one line of the access log, as its fields."""
    exchange = kind(None, Peer("203.0.113.9", 443, "https", False, "public"), "id", 0.0, 0.0)
    exchange.job = "id" if exchange.run else ""
    line: dict[str, object] = json.loads(lines("json", ())(exchange))
    return line


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The paths of a certificate and its key."""
    issued = Authority(tmp_path_factory.mktemp("certificates")).issue("localhost")
    return issued.certificate, issued.key


def test_there_are_many_snippets() -> None:
    assert len(SNIPPETS) > 25


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_every_configuration_loads(snippet: Block, tmp_path: Path, pair: tuple[str, str]) -> None:
    text = completed(snippet.text)
    write_files(text, tmp_path, *pair)
    file = tmp_path / "gateway.ini"
    file.write_text(text, encoding="utf-8")
    Units().load(str(file), variables(text))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_shown_as_it_is(name: str) -> None:
    place, shown = FILES[name]
    assert shown == (ROOT / name).read_text(encoding="utf-8"), f"{place}: {name}"


def test_every_client_is_shown_or_linked() -> None:
    clients = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples" / "clients").iterdir()}
    linked = {link.removeprefix("../../") for one in PAGES for link in one.links}
    assert clients <= FILES.keys() | linked
    assert len(FILES) > 4


def test_every_option_that_is_named_exists() -> None:
    known = known_options() | log_line().keys() | set(GatewayConfig().redact_query) | WORDS | METRICS
    for one in PAGES:
        for code in () if one.place in FOR_PROGRAMMERS else one.codes:
            name, equals, _ = code.partition(" = ")
            if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) or (equals and re.fullmatch(r"[a-z_]+", name)):
                assert name in known, f"{one}: {code}"


def test_every_kind_of_section_that_is_named_exists() -> None:
    for one in PAGES:
        for code in one.codes:
            found = re.fullmatch(r"\[([a-z-]+)(:[A-Za-z]+)?\]", code)
            if found is not None and found[1] != "kind":
                assert found[1] in kinds(), f"{one}: {code}"


def test_every_command_that_is_shown_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {verb for one in PAGES for verb in re.findall(r"(?:`|\$ |bin/)twistedgate ([a-z]+)", one.text)}
    assert {"check", "explain", "keys", "options", "routes"} <= shown
    for verb in shown:
        with pytest.raises(SystemExit) as ended:
            cli.main([verb, "--help"])
        assert ended.value.code == 0, verb


def test_defaults_in_tables_are_those_of_the_code() -> None:
    limits, times = page("docs/how-to/limits-and-protection.md"), page("docs/how-to/retries-and-timeouts.md")
    rows = [*limits.rows(4), *times.rows(5), *page("docs/how-to/job-details.md").rows(4)]
    checked = 0
    for name, kind, shown, *_ in rows:
        option = options_of(KINDS[kind]).get(name.strip("`")) if kind in KINDS else None
        if option is not None:
            default = {"": "none", "0": "no limit"}.get(option.default or "", option.default)
            assert shown.removesuffix(" bytes/s") == default, name
            checked += 1
    assert checked > 24


def test_reasons_of_failed_jobs_are_those_of_the_code() -> None:
    rows = {cells[0].strip("`"): cells[2] for cells in page("docs/how-to/job-details.md").rows(3)}
    assert set(re.findall("`([a-z-]+)`", rows["failed"])) == REASONS
    assert set(State) <= rows.keys()


def test_the_event_that_is_shown_is_what_is_sent() -> None:
    (shown,) = (json.loads(block.text) for block in page("docs/how-to/job-callbacks.md").blocks("json"))
    sent = json.loads(envelope(ended_job(), document(ended_job(), "/_jobs"), ""))
    assert list(shown) == list(sent)
    assert shown["data"].keys() < sent["data"].keys()


def test_the_line_of_the_log_that_is_shown_has_its_fields() -> None:
    logs = page("docs/how-to/logs.md")
    shown = json.loads(next(iter(logs.blocks("json"))).text)
    assert list(shown) == list(log_line())
    explained = [name for cells in logs.rows(2) for name in re.findall(r"`([a-z_]+)`", cells[0])]
    assert explained == list(log_line(Run))


def test_the_digest_that_is_shown_is_that_of_the_key() -> None:
    shown = next(block.text for block in page("docs/how-to/api-keys-and-consumers.md").blocks("console"))
    key = shown.splitlines()[2]
    assert f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" in shown


def test_a_target_that_is_shown_has_what_status_tells() -> None:
    shown = json.loads(next(iter(page("docs/how-to/status.md").blocks("json"))).text)
    code = (ROOT / "twistedgate" / "view.py").read_text(encoding="utf-8")
    told = code[code.index("def _target") :]
    facts = "".join(f'"{field.name}":' for field in dataclasses.fields(TargetFacts))
    told = told.partition("return {")[2].partition("}\n")[0].replace("**asdict(facts)", facts)
    assert list(shown) == re.findall(r'"([a-z_]+)":', told)
