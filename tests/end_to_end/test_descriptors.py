"""Descriptors that run out: accepting pauses and goes on, and nobody is harmed."""

from __future__ import annotations

import resource

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import PROCESSES, everything_to, listener
from tests.end_to_end.harness.daemon import Launch
from tests.end_to_end.harness.process import descriptor_limits, descriptors, processor_ticks
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.waiting import until

FEW = 256

CROWD = 300 * PROCESSES
"""More than all who serve can have together."""


def limited(number: int) -> Launch:
    """Launch with few descriptors."""
    return Launch(prefix=("/bin/sh", "-c", f'ulimit -n {number}; exec "$@"', "sh"))


def test_the_soft_limit_is_raised_to_the_hard_one(start: Start, own_recorder: Recorder) -> None:
    soft = Launch(prefix=("/bin/sh", "-c", 'ulimit -S -n 200; exec "$@"', "sh"))
    daemon = start(everything_to(own_recorder.port), launch=soft)
    hard = str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert {descriptor_limits(pid) for pid in daemon.everybody} == {(hard, hard)}


def test_with_descriptors_used_up_it_goes_on_and_recovers(start: Start, own_recorder: Recorder) -> None:
    daemon = start(everything_to(own_recorder.port), launch=limited(FEW))
    servers = daemon.servers
    with daemon.connect() as first:
        assert first.get("/first").status == 200
        crowd = [Client(daemon.port) for _ in range(CROWD)]
        try:
            for client in crowd:
                client.send(get("/crowd"))
            for _ in range(20):
                assert first.get("/among-the-crowd").status in (200, 502, 503)
            assert max(map(descriptors, servers)) <= FEW
        finally:
            for client in crowd:
                client.close()
        until(
            lambda: max(map(descriptors, servers)) < FEW // 2, "the descriptors of the crowd are given back"
        )
        with daemon.connect() as late:
            assert late.get("/late").status == 200
        assert first.get("/last").status == 200


def test_clients_that_wait_to_be_accepted_are_served_in_the_end(start: Start, own_recorder: Recorder) -> None:
    daemon = start(everything_to(own_recorder.port), launch=limited(FEW))
    crowd = [Client(daemon.port) for _ in range(CROWD)]
    try:
        daemon.wait_for_log("accepting pauses")
        for client in crowd[:-50]:
            client.close()
        for client in crowd[-50:]:
            assert client.get("/waited").status == 200
    finally:
        for client in crowd:
            client.close()


def test_a_full_house_does_not_spin(start: Start, own_recorder: Recorder) -> None:
    """For the second in which nobody speaks and nobody can be let in, the processor has nothing to do."""
    daemon = start(listener(header_timeout="1s"), everything_to(own_recorder.port), launch=limited(FEW))
    servers, everybody = daemon.servers, daemon.everybody
    crowd = [Client(daemon.port) for _ in range(CROWD)]
    try:
        until(lambda: min(map(descriptors, servers)) > FEW // 2, "the house is full")
        before = sum(map(processor_ticks, everybody))
        crowd[0].rest()
        assert sum(map(processor_ticks, everybody)) - before < 30
    finally:
        for client in crowd:
            client.close()
