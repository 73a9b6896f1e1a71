from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stores.world import new_job
from twistedgate.admin.job_query import Wanted, wanted_in_list, wanted_in_purge
from twistedgate.errors import Refusal
from twistedgate.jobs.job import Job, State
from twistedgate.jobs.paging import FEW, MOST

NEW = new_job()
JOB = Job(
    id=NEW.id,
    route="reports",
    owner=NEW.owner,
    caller=NEW.caller,
    call=NEW.call,
    terms=NEW.terms,
    state=State.FAILED,
    submitted=100.0,
    finished=200.0,
)


def test_what_is_not_said_is_everything() -> None:
    assert wanted_in_list([]) == Wanted(limit=FEW)


def test_a_list_is_of_a_state_a_route_and_an_owner() -> None:
    given = [("state", "running"), ("route", "r"), ("owner", "o"), ("limit", str(MOST)), ("cursor", "7")]
    assert wanted_in_list(given) == Wanted(State.RUNNING, "r", "o", limit=MOST, cursor="7")


def test_a_purge_is_of_a_state_a_route_and_an_age() -> None:
    given = [("state", "failed"), ("route", "r"), ("older-than", "2h"), ("cursor", "7")]
    wanted = Wanted(State.FAILED, "r", ended_before=10_000.0 - 7200.0, cursor="7")
    assert wanted_in_purge(given, 10_000.0) == wanted
    assert wanted_in_purge([("all", "yes")], 10_000.0) == Wanted()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([("sate", "failed")], "there is no parameter 'sate'; accepted: state, route, owner"),
        ([("all", "yes")], "no parameter 'all'"),
        ([("route", "a"), ("route", "b")], "route stands twice"),
        ([("owner", "")], "owner is empty"),
        ([("state", "done")], "'done' is not a state of those; there are queued, running, succeeded"),
        ([("limit", "0")], "from 1 to 100"),
        ([("limit", "101")], "from 1 to 100"),
        ([("limit", "-1")], "from 1 to 100"),
        ([("limit", "\N{SUPERSCRIPT TWO}")], "from 1 to 100"),
    ],
)
def test_a_list_of_something_else_is_refused(given: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(Refusal) as raised:
        wanted_in_list(given)
    assert (raised.value.status, raised.value.reason) == (400, "bad-query")
    assert told in raised.value.detail


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "say which jobs"),
        ([("cursor", "7")], "say which jobs"),
        ([("all", "no")], "all is 'yes'"),
        ([("all", "")], "all is empty"),
        ([("all", "yes"), ("route", "r")], "leave it out, or the rest"),
        ([("all", "yes"), ("route", "")], "route is empty"),
        ([("all", "yes"), ("sate", "failed")], "no parameter 'sate'"),
        ([("state", "running")], "'running' is not a state of those; there are succeeded, failed, cancelled"),
        ([("older-than", "2")], "write 2s"),
        ([("older-than", "yesterday")], "older-than: "),
        ([("owner", "x")], "no parameter 'owner'"),
    ],
)
def test_a_purge_of_nobody_knows_what_is_refused(given: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(Refusal) as raised:
        wanted_in_purge(given, 10_000.0)
    assert (raised.value.status, raised.value.reason) == (400, "bad-query")
    assert told in raised.value.detail


@pytest.mark.parametrize(
    ("wanted", "may"),
    [
        (Wanted(), True),
        (Wanted(state=State.FAILED), True),
        (Wanted(state=State.CANCELLED), False),
        (Wanted(route="reports"), True),
        (Wanted(route="other"), False),
        (Wanted(ended_before=200.0), True),
        (Wanted(ended_before=199.0), False),
        (Wanted(State.FAILED, "reports", ended_before=300.0), True),
        (Wanted(State.FAILED, "other", ended_before=300.0), False),
    ],
)
def test_each_filter_counts(wanted: Wanted, may: bool) -> None:
    assert wanted.may_forget(JOB) is may


@pytest.mark.parametrize(
    "job",
    [
        replace(JOB, state=State.QUEUED, finished=None),
        replace(JOB, state=State.RUNNING, finished=None),
        replace(JOB, is_forgotten=True),
        replace(JOB, is_gone=True),
    ],
)
def test_what_is_not_finished_or_has_nothing_left_is_not_forgotten(job: Job) -> None:
    assert not Wanted().may_forget(job)
