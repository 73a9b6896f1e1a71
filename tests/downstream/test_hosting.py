from __future__ import annotations

import time

from tests.downstream.conversation import House
from tests.downstream.ports import configured
from twistedgate.downstream.capacity import Capacity
from twistedgate.downstream.hosting import Host, Serving
from twistedgate.downstream.listener import Listener, RequestIds


def test_a_monotonic_time_becomes_a_time_of_day() -> None:
    before = time.time()
    told = time.monotonic() + Serving().wall_offset
    assert before - 1.0 < told < time.time() + 1.0


def test_a_listener_is_a_host_and_so_is_the_house_of_the_tests() -> None:
    capacity = Capacity(100, 0, lambda: 0)
    hosts: list[Host] = [Listener(configured("public"), Serving(), capacity, RequestIds("id")), House()]
    for host in hosts:
        assert host.make_request_id() != host.make_request_id()
        assert host.date().endswith(b" GMT")
        assert host.now() <= host.now()
        assert not host.is_draining
