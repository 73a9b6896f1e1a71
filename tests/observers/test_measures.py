from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from tests.observers.counted import Counted, over
from twistedgate.observers import cells
from twistedgate.observers.measures import Measures

PLACE = ("orders", "192.0.2.1:80")
SECOND = ("orders", "192.0.2.2:80")
CART = ("carts", "192.0.2.3:80")


def test_a_route_that_stays_keeps_its_counts() -> None:
    counted = Counted()
    counted.configure("orders", "old")
    counted.metrics.count(over())
    counted.configure("new", "orders")
    counted.metrics.count(over())
    assert counted.values("twistedgate_requests") == {("orders", "GET", "200"): 2}


def test_a_route_that_is_gone_is_shown_no_more_and_leaves_nothing_to_the_next() -> None:
    counted = Counted()
    counted.configure("orders")
    counted.metrics.count(over())
    counted.configure("new")
    assert counted.values("twistedgate_requests") == {}
    counted.metrics.count(over(route="new"))
    assert counted.values("twistedgate_requests") == {("new", "GET", "200"): 1}


def test_the_last_exchange_of_a_route_that_is_gone_is_anothers() -> None:
    counted = Counted()
    counted.configure("orders")
    counted.configure()
    counted.metrics.count(over())
    assert counted.values("twistedgate_requests") == {("other", "GET", "200"): 1}


def test_a_thousand_reloads_need_no_more_room_than_one() -> None:
    counted = Counted()
    for number in range(1000):
        counted.configure(f"route-{number}", upstreams=(f"upstream-{number}",))
        counted.measures.found(f"upstream-{number}", "192.0.2.1:80")
    assert counted.measures.starts.keys() - cells.FIXED.keys() == {
        "route:route-999",
        "upstream:upstream-999",
        "target:upstream-999/192.0.2.1:80",
    }
    assert max(counted.measures.starts.values()) < 5 * cells.ROUTE_CELLS


def test_without_room_the_rest_is_counted_as_other_and_the_log_says_so_once() -> None:
    counted = Counted(sum(cells.FIXED.values()) + cells.ROUTE_CELLS)
    with capturedLogs() as events:
        counted.configure("orders", "second", "third", upstreams=("orders",))
        counted.measures.found(*PLACE)
    assert [formatEvent(event) for event in events] == [
        "no room for the metrics of route:second: it is counted as other"
    ]
    for route in ("orders", "second", "third"):
        counted.metrics.count(over(route=route))
    counted.measures.ejected(*PLACE)
    assert counted.values("twistedgate_requests") == {("orders", "GET", "200"): 1, ("other", "GET", "200"): 2}
    assert counted.values("twistedgate_target_ejections") == {("other", "other"): 1}


def test_a_route_may_be_called_other() -> None:
    counted = Counted()
    counted.configure("other", upstreams=("other",))
    counted.metrics.count(over(route="other"))
    counted.metrics.count(over(route="gone"))
    assert counted.values("twistedgate_requests") == {("other", "GET", "200"): 2}
    counted.configure("orders")
    assert counted.measures.starts.keys() - cells.FIXED.keys() == {"route:orders"}


def test_targets_come_as_they_are_found_and_go_when_nobody_has_them() -> None:
    counted = Counted()
    counted.configure(upstreams=("orders", "carts"))
    counted.measures.found(*PLACE)
    counted.measures.found(*SECOND)
    counted.measures.ejected(*PLACE)
    counted.measures.probed(*SECOND, is_good=True)
    assert counted.values("twistedgate_target_ejections") == {PLACE: 1, SECOND: 0}
    counted.measures.found(*CART)
    counted.measures.keep_targets("orders", ["192.0.2.2:80"])
    assert counted.values("twistedgate_target_ejections") == {SECOND: 0, CART: 0}
    counted.measures.found(*PLACE)
    assert counted.values("twistedgate_target_ejections") == {PLACE: 0, SECOND: 0, CART: 0}
    assert counted.values("twistedgate_target_probes") == {(*SECOND, "passed"): 1, (*SECOND, "failed"): 0}


def test_a_reload_keeps_the_targets_of_upstreams_that_stay() -> None:
    counted = Counted()
    counted.configure(upstreams=("orders", "carts"))
    counted.measures.found(*PLACE)
    counted.measures.found(*CART)
    counted.measures.ejected(*PLACE)
    counted.configure(upstreams=("orders",))
    assert counted.values("twistedgate_target_ejections") == {PLACE: 1}


def test_others_are_told_when_a_block_moves_and_only_then() -> None:
    counted = Counted()
    counted.configure("orders", upstreams=("orders",))
    counted.measures.found(*PLACE)
    assert counted.changes == 2
    counted.measures.found(*PLACE)
    counted.measures.keep_targets("orders", ["192.0.2.1:80"])
    counted.measures.keep_targets("carts", [])
    assert counted.changes == 2
    counted.measures.keep_targets("orders", [])
    assert counted.changes == 3


def test_goes_on_with_what_was_given_out_before() -> None:
    counted = Counted()
    counted.configure("orders", "gone", upstreams=("orders",))
    counted.measures.found(*PLACE)
    counted.measures.ejected(*PLACE)
    counted.metrics.count(over())
    before = dict(counted.measures.starts)
    counted.measures = Measures(counted.cells, counted.columns)
    assert counted.measures.starts == before
    counted.configure("orders", upstreams=("orders",))
    assert before.keys() - counted.measures.starts.keys() == {"route:gone"}
    counted.measures.metrics.count(over())
    assert counted.values("twistedgate_requests") == {("orders", "GET", "200"): 2}
    assert counted.values("twistedgate_target_ejections") == {PLACE: 1}
