from __future__ import annotations

import json
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.downstream.conversation import Conversation, House, Waits, get, post, post_chunked
from twistedgate.downstream.answering import LINGER_BYTES, LINGER_SECONDS
from twistedgate.downstream.relay import REPLAYED
from twistedgate.exchange import RefusedExchange
from twistedgate.fakes.body import Body
from twistedgate.fakes.upstream import Later, Sent
from twistedgate.http.hops import Peer
from twistedgate.http.message import CHUNKED, Response
from twistedgate.net.speaking import NEVER

KIB = 1024


def echo(sent: Sent) -> Response:
    """Answer with what was asked for."""
    return Response(200, body=sent.line.split()[1].encode())


def reason_of(client: Conversation) -> str:
    """The reason in the last answer, a problem document."""
    reason: str = json.loads(client.received.rpartition(b"\r\n\r\n")[2])["reason"]
    return reason


# one request after another


def test_an_answer_leaves_the_connection_open_for_the_next_request() -> None:
    client = Conversation(House())
    client.send(get(), get(), get("/static"))
    assert client.statuses == [200, 200, 200]
    assert client.is_open
    assert client.connection.is_idle


def test_requests_in_one_read_are_answered_in_order() -> None:
    house = House(echo)
    client = Conversation(house)
    client.send(get("/orders/1") + post("/orders/2", body=b"two") + get("/static") + get("/orders/3"))
    assert client.statuses == [200] * 4
    bodies = [client.received.find(body) for body in (b"/orders/1", b"/orders/2", b"static", b"/orders/3")]
    assert bodies == sorted(bodies)
    assert house.orders.sent[1].body == b"two"


@hypothesis.given(cuts=st.sets(st.integers(1, 500), max_size=8))
def test_however_the_bytes_are_cut_the_answers_are_the_same(cuts: set[int]) -> None:
    text = (
        get("/orders/1")
        + post("/read/1", body=b"two")
        + post_chunked("/read/2")
        + b"3\r\nabc\r\n0\r\n\r\n"
        + get("/static", method="HEAD")
        + get("/nothing")
    )
    whole, cut = Conversation(House(echo)), Conversation(House(echo))
    whole.send(text)
    ends = [*sorted(at for at in cuts if at < len(text)), len(text)]
    cut.send(*[text[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start])
    assert cut.received == whole.received
    assert cut.statuses == [200, 200, 200, 200, 404]


def test_a_request_that_comes_while_another_is_served_waits_unread() -> None:
    first = Later()
    house = House(first, echo)
    client = Conversation(house)
    client.send(get("/orders/1"), get("/orders/2"))
    assert not client.line.is_reading
    assert len(house.orders.sent) == 1
    first.answer(Response(200, body=b"first"))
    assert client.statuses == [200, 200]
    assert client.received.index(b"first") < client.received.index(b"/orders/2")
    assert client.line.is_reading


def test_requests_that_wait_are_begun_one_by_one() -> None:
    answers = [Later() for _ in range(3)]
    house = House(*answers)
    client = Conversation(house)
    client.send(get() * 3)
    for number, answer in enumerate(answers, 1):
        assert len(house.orders.sent) == number
        answer.answer(Response(200, body=b"%d" % number))
    assert client.statuses == [200] * 3
    assert client.line.is_reading


def test_the_rest_of_a_head_is_read_that_came_half_behind_another() -> None:
    first = Later()
    client = Conversation(House(first, echo))
    half = len(get()) // 2
    client.send(get() + get()[:half])
    first.answer(Response(200))
    client.send(get()[half:])
    assert client.statuses == [200, 200]


def test_half_a_head_behind_another_request_has_a_deadline() -> None:
    client = Conversation(House(header_timeout=10.0))
    client.send(get("/static") + b"GET / HT")
    client.wait(10.0)
    assert client.statuses == [200, 408]
    assert not client.is_open


def test_the_rest_of_a_body_is_read_that_came_half_behind_another_request() -> None:
    first, second = Later(), Later()
    house = House(first, second)
    client = Conversation(house)
    client.send(get() + post(length=6, body=b"abc"))
    first.answer(Response(200))
    client.send(b"def")
    second.answer(Response(201))
    assert client.statuses == [200, 201]
    assert house.orders.sent[1].body == b"abcdef"


def test_a_body_behind_another_request_is_read_before_anybody_wants_it() -> None:
    client = Conversation(House(body_timeout=30.0, min_body_rate=0))
    client.send(get("/static") + post("/waiting", length=6, body=b"abc"))
    client.wait(29.0)
    client.send(b"d")
    client.wait(29.0)
    assert client.statuses == [200]
    client.send(b"ef")
    Waits.open.set(None)
    assert client.statuses == [200, 200]
    assert client.is_open


def test_many_requests_that_are_answered_at_once_need_no_deep_stack() -> None:
    client = Conversation(House())
    client.send(get("/static") * 1500)
    assert client.statuses == [200] * 1500


def test_nothing_is_read_as_http_behind_a_request_that_ends_the_connection() -> None:
    house = House()
    client = Conversation(house)
    client.send(get("/orders/1", "Connection: close") + get("/orders/2"))
    assert client.statuses == [200]
    assert len(house.orders.sent) == 1
    assert not client.is_open


# bodies of requests


def test_a_body_goes_on_as_it_comes() -> None:
    later = Later()
    house = House(later)
    client = Conversation(house)
    client.send(post(length=6), b"abc")
    assert house.orders.sent[0].body == b"abc"
    client.send(b"def")
    assert house.orders.sent[0].is_whole
    later.answer(Response(200))
    assert client.statuses == [200]
    assert client.is_open


def test_what_comes_behind_a_body_waits_for_the_answer() -> None:
    first = Later()
    house = House(first, echo)
    client = Conversation(house)
    client.send(post("/orders/1", length=6), b"abc", b"def" + get("/orders/2"))
    assert not client.line.is_reading
    first.answer(Response(200))
    assert client.statuses == [200, 200]
    assert house.orders.sent[0].body == b"abcdef"


def test_a_body_that_is_answered_with_its_last_byte_leaves_the_connection_open() -> None:
    client = Conversation(House())
    client.send(post("/read/1", length=6), b"abc", b"def" + get("/static"), get("/static"))
    assert client.statuses == [200, 200, 200]
    assert client.is_open


def test_no_more_is_held_of_a_body_that_nobody_takes() -> None:
    house = House(max_head=32 * KIB)
    client = Conversation(house)
    client.send(post("/waiting", length=200 * KIB), b"x" * (REPLAYED + 1))
    assert not client.line.is_reading
    Waits.open.set(None)
    assert house.orders.sent[0].body == b"x" * (REPLAYED + 1)
    assert client.line.is_reading


def test_a_body_that_grows_too_large_is_refused_in_the_middle() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(post_chunked("/small"), b"5\r\nabcde\r\n", b"6\r\nfghijk\r\n")
    assert (client.statuses, reason_of(client)) == ([413], "body-too-large")
    assert b"Connection: close\r\n" in client.received
    assert not client.is_open
    assert not house.orders.sent[0].is_whole
    assert house.is_even


def test_a_body_that_is_announced_too_large_is_refused_unread_and_unasked_for() -> None:
    house = House()
    client = Conversation(house)
    client.send(post("/small", "Expect: 100-continue", length=11))
    assert (client.statuses, reason_of(client)) == ([413], "body-too-large")
    assert (house.orders.sent, client.is_open) == ([], False)


def test_what_tls_has_left_over_when_reading_pauses_is_kept() -> None:
    """A read of its own may hold several records, and pausing does not stop those."""
    first = Later()
    house = House(first, echo)
    client = Conversation(house)
    for piece in (get("/orders/1"), get("/orders/2"), get("/orders/3")):
        client.connection.dataReceived(piece)
    first.answer(Response(200))
    assert client.statuses == [200, 200, 200]


def test_a_chunk_that_is_wrong_is_refused_in_the_middle() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(post_chunked(), b"5\r\nabcde\r\n", b"+5\r\nabcde\r\n")
    assert (client.statuses, reason_of(client)) == ([400], "bad-body")
    assert not house.orders.sent[0].is_whole
    assert (house.is_even, client.is_open) == (True, False)


def test_a_chunk_that_is_wrong_from_the_start_never_reaches_the_line() -> None:
    house = House()
    client = Conversation(house)
    client.send(post_chunked() + b"xyz\r\n" + get())
    assert (client.statuses, reason_of(client)) == ([400], "bad-body")
    assert (house.orders.sent, house.reasons, client.is_open) == ([], ["bad-body"], False)


def test_a_fault_of_the_body_cuts_an_answer_that_has_begun() -> None:
    source = Body(b"half of it")
    house = House(Response(200, body=source))
    client = Conversation(house)
    client.send(post_chunked(), b"xyz\r\n")
    assert client.line.is_aborted
    assert client.statuses == [200]
    assert source.is_abandoned
    assert house.reasons == ["bad-body"]


# refusals


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (b"nonsense\r\n", 400, "bad-request"),
        (get("/orders/7").replace(b"Host: api.example.com\r\n", b""), 400, "bad-host"),
        (post_chunked("/orders/7", "Content-Length: 5"), 400, "bad-request"),
        (get("/orders/%2e%2e/%2e%2e/7"), 400, "bad-path"),
        (get(version="2.0"), 505, "bad-version"),
        (get(method="BREW"), 501, "unknown-method"),
        (get("/orders/7", "Expect: miracles"), 417, "expectation-failed"),
        (b"GET /" + b"x" * 9000, 414, "uri-too-long"),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 101, 431, "head-too-large"),
        (get("/orders/7", "Via: 1.1 house"), 508, "loop"),
    ],
)
def test_what_is_refused_is_told_and_nothing_more_is_read(text: bytes, status: int, reason: str) -> None:
    house = House()
    client = Conversation(house)
    client.send(text, get())
    assert (client.statuses, reason_of(client)) == ([status], reason)
    assert b"Connection: close\r\n" in client.received
    assert (house.orders.sent, house.reasons) == ([], [reason])
    assert client.line.is_half_closed


UNCLEAR = get("/orders/7?a=1", "Content-Length: 5", "Content-Length: 6")


@pytest.mark.parametrize("cut", [1, 20, 40, 60, len(UNCLEAR) - 3, len(UNCLEAR)])
def test_what_was_understood_of_it_is_kept_for_the_log(cut: int) -> None:
    house = House()
    Conversation(house).send(UNCLEAR[:cut], UNCLEAR[cut:])
    (exchange,) = house.observed
    assert isinstance(exchange, RefusedExchange)
    assert repr(exchange.understood) == "<Request GET api.example.com/orders/7>"


def test_so_it_is_when_the_rest_does_not_come() -> None:
    house = House()
    client = Conversation(house)
    client.send(UNCLEAR[:60])
    client.wait(house.config.header_timeout)
    (exchange,) = house.observed
    assert isinstance(exchange, RefusedExchange)
    assert (client.statuses, repr(exchange.understood)) == ([408], "<Request GET api.example.com/orders/7>")


def test_nothing_of_a_request_before_it_is_taken_for_it() -> None:
    house = House(Response(200))
    Conversation(house).send(get("/orders/7") + b"nonsense\r\n")
    assert isinstance(house.observed[1], RefusedExchange)
    assert house.observed[1].understood is None


def test_a_refusal_behind_good_requests_comes_in_its_turn() -> None:
    first = Later()
    house = House(first)
    client = Conversation(house)
    client.send(get() + b"nonsense\r\n" + get())
    assert client.statuses == []
    first.answer(Response(200))
    assert client.statuses == [200, 400]
    assert len(house.orders.sent) == 1


def test_what_is_refused_is_thrown_away_up_to_a_bound() -> None:
    client = Conversation(House())
    client.send(b"nonsense\r\n", b"x" * LINGER_BYTES)
    assert not client.line.is_over
    client.send(b"x")
    client.settle()
    assert client.line.is_closed
    assert not client.line.is_aborted


def test_what_is_refused_is_thrown_away_for_a_while() -> None:
    client = Conversation(House())
    client.send(b"nonsense\r\n")
    client.wait(LINGER_SECONDS / 2)
    assert not client.line.is_over
    client.wait(LINGER_SECONDS / 2)
    assert client.line.is_closed
    assert client.connection in client.house.gone


def test_a_client_that_has_read_its_refusal_and_closes_is_let_go() -> None:
    client = Conversation(House())
    client.send(b"nonsense\r\n")
    client.finish_sending()
    assert client.line.is_closed
    assert len(client.house.gone) == 1


# a client that leaves


def test_an_idle_client_leaves_nothing() -> None:
    house = House()
    client = Conversation(house)
    client.leave()
    assert (house.gone, house.observed) == ([client.connection], [])
    assert client.connection.deadline == NEVER


def test_a_client_that_leaves_in_the_middle_of_a_head_was_never_there() -> None:
    house = House()
    client = Conversation(house)
    client.send(get()[:20])
    client.leave()
    assert (house.gone, house.observed) == ([client.connection], [])


def test_a_client_that_leaves_before_the_answer_ends_the_exchange() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(get())
    client.leave()
    assert house.reasons == ["client-gone"]
    assert house.is_even


def test_a_client_that_leaves_in_the_middle_of_its_body_ends_the_request() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(post(length=6), b"abc")
    client.leave()
    assert house.reasons == ["client-gone"]
    assert (house.is_even, house.orders.sent[0].is_whole) == (True, False)


def test_a_client_that_leaves_while_its_body_is_collected_ends_the_exchange() -> None:
    house = House()
    client = Conversation(house)
    client.send(post("/read/1", length=6), b"abc")
    client.leave()
    assert house.reasons == ["client-gone"]


def test_a_client_that_leaves_in_the_middle_of_the_answer_ends_its_source() -> None:
    source = Body(b"half of it")
    house = House(Response(200, body=source))
    client = Conversation(house)
    client.send(get())
    client.leave()
    assert source.is_abandoned
    assert (house.reasons, house.is_even) == (["client-gone"], True)


def test_a_client_that_leaves_while_it_takes_nothing_ends_its_source() -> None:
    source = Body(b"x" * 200 * KIB)
    house = House(Response(200, body=source))
    client = Conversation(house, room=100)
    client.send(get())
    assert source.is_paused
    client.leave()
    assert source.is_abandoned
    assert (house.reasons, house.is_even) == (["client-gone"], True)


def test_a_client_that_leaves_with_requests_waiting_takes_them_along() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(get() * 3)
    client.leave()
    assert (len(house.orders.sent), house.reasons) == (1, ["client-gone"])


def test_a_client_that_finished_sending_while_idle_is_let_go() -> None:
    client = Conversation(House())
    client.send(get())
    client.finish_sending()
    assert client.line.is_closed
    assert not client.line.is_aborted


def test_a_client_that_finished_sending_before_the_answer_is_gone() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(get())
    client.finish_sending()
    assert client.line.is_aborted
    assert (house.reasons, house.is_even) == (["client-gone"], True)


def test_a_client_that_finished_sending_still_gets_what_is_queued() -> None:
    client = Conversation(House(Response(200, body=b"x" * KIB)), room=100)
    client.send(get())
    client.finish_sending()
    assert not client.line.is_over
    client.line.take()
    assert client.line.is_closed
    assert client.received.endswith(b"x" * KIB)


# time


def test_a_client_that_says_nothing_is_told_that_its_time_is_over() -> None:
    client = Conversation(House(header_timeout=10.0))
    client.wait(9.0)
    assert client.received == b""
    client.wait(1.0)
    assert (client.statuses, reason_of(client)) == ([408], "request-timeout")
    assert not client.is_open


def test_the_time_of_a_head_does_not_begin_anew_with_each_byte() -> None:
    client = Conversation(House(header_timeout=10.0))
    for byte in get()[:9]:
        client.send(bytes((byte,)))
        client.wait(1.0)
    assert client.statuses == []
    client.wait(1.0)
    assert client.statuses == [408]


def test_a_further_head_has_its_time_from_its_first_byte() -> None:
    client = Conversation(House(header_timeout=10.0, idle_timeout=60.0))
    client.send(get())
    client.wait(50.0)
    client.send(get()[:5])
    client.wait(9.0)
    assert client.statuses == [200]
    client.wait(1.0)
    assert client.statuses == [200, 408]


def test_an_idle_connection_is_closed_without_a_word() -> None:
    client = Conversation(House(idle_timeout=60.0))
    client.send(get())
    before = client.received
    client.wait(59.0)
    assert client.is_open
    client.wait(1.0)
    assert client.line.is_closed
    assert client.received == before


def test_a_connection_is_idle_only_since_its_client_has_the_answer() -> None:
    client = Conversation(House(Response(200, body=b"x" * 100 * KIB), idle_timeout=60.0), room=100)
    client.send(get())
    client.wait(30.0)
    client.line.take(50 * KIB)
    client.wait(50.0)
    client.line.take()
    client.wait(59.0)
    assert client.is_open
    client.wait(1.0)
    assert not client.is_open


def test_a_body_of_which_nothing_comes_is_refused() -> None:
    house = House(Later(), body_timeout=30.0, min_body_rate=0)
    client = Conversation(house)
    client.send(post(length=6), b"abc")
    client.wait(29.0)
    client.send(b"d")
    client.wait(29.0)
    assert client.statuses == []
    client.wait(1.0)
    assert (client.statuses, reason_of(client)) == ([408], "request-timeout")
    assert (house.is_even, client.is_open) == (True, False)


def test_a_body_that_trickles_is_refused() -> None:
    house = House(Later(), body_timeout=30.0, min_body_rate=100)
    client = Conversation(house)
    client.send(post(length=100000))
    for _ in range(30):
        client.send(b"x" * 99)
        client.wait(1.0)
    assert client.statuses == []
    client.send(b"x" * 99)
    client.wait(1.0)
    assert client.statuses == [408]


def test_a_body_that_is_fast_enough_may_take_its_time() -> None:
    house = House(Later(), body_timeout=30.0, min_body_rate=100)
    client = Conversation(house)
    client.send(post(length=100000))
    for _ in range(100):
        client.send(b"x" * 100)
        client.wait(1.0)
    assert client.statuses == []


def test_the_time_in_which_a_body_is_not_read_is_not_the_clients() -> None:
    house = House(body_timeout=30.0, min_body_rate=4 * KIB)
    client = Conversation(house)
    client.send(post("/waiting", length=400 * KIB), b"x" * 200 * KIB)
    assert not client.line.is_reading
    client.wait(1000.0)
    assert client.statuses == []
    Waits.open.set(None)
    client.wait(29.0)
    assert client.statuses == [200]


def test_a_route_bounds_the_time_of_an_exchange() -> None:
    house = House(Later(), Later())
    client = Conversation(house)
    client.send(get("/brief") + get("/brief"))
    client.wait(4.9)
    assert client.statuses == []
    client.wait(0.1)
    assert (client.statuses, reason_of(client)) == ([504], "timeout")
    assert client.is_open
    client.wait(5.0)
    assert (client.statuses, house.reasons, house.is_even) == ([504, 504], ["timeout", "timeout"], True)


def test_a_route_bounds_the_time_of_an_answer_that_has_begun() -> None:
    source = Body(b"half")
    house = House(Response(200, body=source))
    client = Conversation(house)
    client.send(get("/brief"))
    client.wait(5.0)
    assert client.line.is_aborted
    assert (source.is_abandoned, house.reasons) == (True, ["timeout"])


def test_a_route_bounds_the_time_of_a_request_that_is_still_coming() -> None:
    house = House(Later())
    client = Conversation(house)
    client.send(post("/brief", length=6), b"abc")
    client.wait(5.0)
    assert (client.statuses, reason_of(client)) == ([504], "timeout")
    assert client.line.is_half_closed


def test_an_exchange_without_a_bound_may_take_any_time() -> None:
    later = Later()
    client = Conversation(House(later))
    client.send(get())
    client.wait(100000.0)
    later.answer(Response(200))
    assert client.statuses == [200]


def test_a_client_that_takes_nothing_is_dropped() -> None:
    source = Body(b"x" * 200 * KIB)
    house = House(Response(200, body=source), send_timeout=60.0)
    client = Conversation(house, room=100)
    client.send(get())
    client.wait(0.0)
    client.wait(59.0)
    client.line.take(1)
    client.wait(59.0)
    client.wait(0.9)
    assert not client.line.is_over
    client.wait(60.0)
    assert client.line.is_aborted
    assert (source.is_abandoned, house.reasons) == (True, ["client-gone"])


def test_a_client_that_takes_nothing_of_its_last_answer_is_dropped() -> None:
    client = Conversation(House(Response(200, body=b"x" * KIB), send_timeout=60.0), room=100)
    client.send(get("/orders/7", "Connection: close"))
    client.wait(0.0)
    client.wait(59.0)
    assert not client.line.is_over
    client.wait(1.0)
    assert client.line.is_aborted


# the listener drains


def test_a_drain_closes_an_idle_connection() -> None:
    client = Conversation(House())
    client.send(get())
    client.connection.drain()
    assert client.line.is_closed


def test_a_gentle_drain_lets_a_client_ask_once_more_and_says_that_it_was_the_last_time() -> None:
    house = House()
    client = Conversation(house)
    client.send(get())
    house.is_draining = True
    client.connection.drain_gently(house.now() - 1)
    assert client.is_open
    client.send(get())
    assert b"Connection: close\r\n" in client.received
    assert client.statuses == [200, 200]
    assert client.line.is_closed


def test_a_gentle_drain_keeps_the_promise_of_an_answer_that_had_begun() -> None:
    source = Body(b"half")
    house = House(Response(200, body=source), Response(200))
    client = Conversation(house)
    client.send(get())
    house.is_draining = True
    client.connection.drain_gently(house.now() - 1)
    source.finish()
    client.settle()
    assert client.is_open
    client.send(get())
    assert client.received.count(b"Connection: close\r\n") == 1
    assert client.line.is_closed


def test_a_gentle_drain_closes_what_has_been_quiet() -> None:
    house = House()
    client = Conversation(house)
    client.send(get())
    client.wait(5.0)
    client.connection.drain_gently(house.now() - 5)
    assert client.line.is_closed


def test_one_that_has_asked_nothing_yet_is_given_the_same_time() -> None:
    house = House()
    client = Conversation(house)
    client.connection.drain_gently(house.now() - 1)
    assert client.is_open


def test_the_answer_under_way_is_the_last_while_draining() -> None:
    later = Later()
    house = House(later)
    client = Conversation(house)
    client.send(get() + get())
    house.is_draining = True
    client.connection.drain()
    later.answer(Response(200))
    assert client.statuses == [200]
    assert b"Connection: close\r\n" in client.received
    assert (len(house.orders.sent), client.is_open) == (1, False)


def test_an_answer_that_had_begun_is_the_last_while_draining() -> None:
    source = Body(b"half")
    house = House(Response(200, body=source))
    client = Conversation(house)
    client.send(get())
    house.is_draining = True
    client.connection.drain()
    source.receive(b" and half")
    source.finish()
    client.settle()
    assert client.received.endswith(b"0\r\n\r\n")
    assert client.line.is_closed


def test_a_request_that_is_coming_is_still_answered_while_draining() -> None:
    house = House()
    client = Conversation(house)
    client.send(get()[:10])
    house.is_draining = True
    client.connection.drain()
    client.send(get()[10:])
    assert client.statuses == [200]
    assert client.line.is_closed


# what it is called


def test_says_what_it_does() -> None:
    house = House(Later())
    client = Conversation(house, peer=Peer("192.0.2.7", 80, "http", False, "public"))
    told = [repr(client.connection)]
    client.send(get())
    told.append(repr(client.connection))
    client.leave()
    told.append(repr(client.connection))
    assert told == [f"<Connection 192.0.2.7 {state}>" for state in ("idle", "serving id-1", "lost")]


# whatever happens

OFTEN = ["get", "post", "chunks", "static", "read"]
SENDS = st.tuples(
    st.just("send"), st.lists(st.sampled_from(OFTEN), min_size=1, max_size=3), st.sampled_from([0, 1, 7, 60])
)
ANSWERS = st.tuples(st.just("answer"), st.sampled_from(["here", "large", "stream", "counted"]))
TAKES = st.tuples(st.just("take"), st.sampled_from([1, 100 * KIB, 300 * KIB]))
STREAMS = st.tuples(st.just("stream"), st.sampled_from(["piece", "finish"]))
STEPS = st.one_of(*[SENDS] * 4, *[ANSWERS] * 3, *[TAKES, STREAMS] * 2)
TURNS = st.one_of(
    st.tuples(st.just("send"), st.lists(st.sampled_from(["close", "old", "expect", "nonsense"]), min_size=1)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 2.0, 9.0, 31.0, 61.0])),
    st.tuples(st.just("stream"), st.just("fail")),
    st.tuples(st.sampled_from(["drain", "finish sending", "leave"])),
)
"""What ends a connection sooner or later."""


class Story:
    """A client, an upstream and the time, doing whatever they like one after another."""

    def __init__(self, room: float) -> None:
        self._answers = [Later() for _ in range(60)]
        self.house = House(*self._answers, send_timeout=60.0)
        self.client = Conversation(self.house, room)
        self._sources: list[Body] = []
        self._answered = 0
        self.asked = 0
        self._unsent = b""
        self._has_left = False

    def do(self, what: str, *how: object) -> None:
        """Do one thing, if it can be done now."""
        getattr(self, "_" + what.replace(" ", "_"))(*how)
        self.client.settle()
        assert self.client.line.queued <= 512 * KIB

    def _send(self, kinds: list[str], held_back: int = 0) -> None:
        for kind in kinds:
            self._unsent += self._text_of(kind)
        self._rest(max(len(self._unsent) - held_back, 0))

    def _text_of(self, kind: str) -> bytes:
        self.asked += 1
        path = f"/orders/{self.asked}"
        return {
            "get": get(path),
            "post": post(path, body=b"x" * 100),
            "chunks": post_chunked(path) + b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n",
            "static": get("/static"),
            "read": post("/read/1", body=b"x" * 100),
            "close": get(path, "Connection: close"),
            "old": get(path, version="1.0"),
            "expect": post(path, "Expect: 100-continue", body=b"x" * 100),
            "nonsense": b"nonsense\r\n\r\n",
        }[kind]

    def _rest(self, size: int) -> None:
        if self.client.line.is_reading and not self._has_left and size:
            piece, self._unsent = self._unsent[:size], self._unsent[size:]
            if piece:
                self.client.send(piece)

    def _answer(self, kind: str) -> None:
        if self._answered == len(self.house.orders.sent):
            return
        body = b"answer to %b." % self.house.orders.sent[self._answered].line.split()[1].encode()
        response = Response(200, body=body + b"x" * 200 * KIB if kind == "large" else body)
        if kind in ("stream", "counted"):
            source = response.body = Body(body)
            self._sources.append(source)
            response.length = CHUNKED if kind == "stream" else len(body) + 3 * 100 * KIB
        answer = self._answers[self._answered]
        self._answered += 1
        answer.answer(response)

    def _stream(self, how: str) -> None:
        for source in self._sources:
            if not (source.is_complete or source.is_cut_short or source.is_abandoned):
                if how == "fail":
                    source.fail()
                elif how == "finish" or source.length != CHUNKED:
                    source.finish()
                elif not source.is_paused:
                    source.receive(b"x" * 100 * KIB)
                return

    def _take(self, size: float) -> None:
        self.client.line.take(size)

    def _wait(self, seconds: float) -> None:
        self.client.wait(seconds)

    def _drain(self) -> None:
        self.house.is_draining = True
        self.client.connection.drain()

    def _finish_sending(self) -> None:
        if self.client.line.is_reading and not self._has_left:
            self._has_left = True
            self.client.finish_sending()

    def _leave(self) -> None:
        if self.client.connection not in self.house.gone:
            self._has_left = True
            self.client.leave()

    def stay(self) -> None:
        """Send what is left, and let everybody else do their part at once."""
        self.do("take", float("inf"))
        for _ in range(60):
            self.do("rest", len(self._unsent))
            self.do("answer", "here")
            self.do("stream", "finish")

    def end(self) -> None:
        """Let everybody else do their part; the client only takes what comes."""
        self.do("take", float("inf"))
        for _ in range(60):
            self.do("answer", "here")
            self.do("stream", "finish")
            self.do("wait", 61.0)


@hypothesis.settings(max_examples=300)
@hypothesis.given(
    steps=st.lists(STEPS, max_size=12),
    turn=TURNS,
    more=st.lists(STEPS, max_size=8),
    room=st.sampled_from([10, 1e12]),
)
def test_whatever_happens_everything_ends_once_in_order_and_counted(
    steps: list[tuple[Any, ...]], turn: tuple[Any, ...], more: list[tuple[Any, ...]], room: float
) -> None:
    story = Story(room)
    for step in (*steps, turn, *more):
        story.do(*step)
    story.end()
    house, client = story.house, story.client
    assert house.gone == [client.connection]
    assert house.is_even
    begun = int(house.make_request_id().removeprefix("id-")) - 1
    assert sorted({exchange.request_id for exchange in house.observed}) == sorted(
        exchange.request_id for exchange in house.observed
    )
    assert len(house.observed) == begun
    asked = [sent.line.split()[1] for sent in house.orders.sent]
    answered = [path.decode() for path in re.findall(rb"answer to (/orders/[0-9]+)\.", client.received)]
    assert answered == [path for path in asked if path in answered]
    assert all(exchange.finished >= exchange.started for exchange in house.observed)


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.just("send"),
                st.lists(st.sampled_from(["get", "static", "read"]), min_size=1, max_size=3),
                st.sampled_from([0, 1, 7, 60]),
            ),
            *[ANSWERS] * 2,
            TAKES,
            STREAMS,
        ),
        max_size=16,
    ),
    room=st.sampled_from([10, 1e12]),
)
def test_a_client_that_stays_has_every_answer(steps: list[tuple[Any, ...]], room: float) -> None:
    story = Story(room)
    for step in steps:
        story.do(*step)
    story.stay()
    assert story.client.statuses == [200] * story.asked
    assert story.client.is_open
    assert story.client.connection.is_idle
    assert story.house.is_even
