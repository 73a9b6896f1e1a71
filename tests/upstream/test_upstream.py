from __future__ import annotations

import errno
import math
from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.upstream.conversation import BEGUN, HEAD, OK
from tests.upstream.house import FIRST, SECOND, House, Sent
from tests.upstream.network import connect_error, upstream_config
from twistedgate.balancing.health import State
from twistedgate.errors import ClientGone, Refusal
from twistedgate.fakes.body import Body
from twistedgate.testing import exchange
from twistedgate.upstream.pool import UNSAFE_IDLE
from twistedgate.upstream.upstream import Upstream

BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


# the gate and the counts


def test_admits_so_many_at_a_time() -> None:
    house = House(max_requests=2)
    entered = [house.upstream.enter(house.now) for _ in range(3)]
    house.upstream.leave()
    assert [*entered, house.upstream.enter(house.now)] == [True, True, False, True]
    assert house.upstream.requests == 3


def test_retries_come_out_of_a_budget() -> None:
    house = House(retry_budget=0.5)
    for _ in range(10):
        house.upstream.enter(house.now)
    assert [house.upstream.may_retry(house.now) for _ in range(6)] == [True] * 5 + [False]


def test_a_target_is_chosen_by_the_key_of_the_exchange() -> None:
    house = House(FIRST, SECOND, balance="consistent-hash", hash_key="header:X-Tenant")
    chosen = {
        tenant: {house.pick(exchange(headers={"X-Tenant": tenant})).name for _ in range(3)}
        for tenant in map(str, range(20))
    }
    assert all(len(names) == 1 for names in chosen.values())
    assert set.union(*chosen.values()) == {FIRST, SECOND}


def test_says_what_it_is() -> None:
    assert repr(House().upstream) == f"<Upstream orders targets=[<Target {FIRST} in_flight=0 weight=1>]>"


# one exchange


def test_a_request_goes_out_on_a_new_connection_and_its_answer_comes_back() -> None:
    house = House()
    sent = house.send()
    house.network.advance(0.25)
    assert sent.target.in_flight == 1
    house.network.last.succeed()
    assert house.network.last.wire.sent == HEAD
    house.say(OK)
    assert sent.waiting.response.body == b"ok"
    assert sent.exchange.connect_seconds == 0.25
    sent.end()
    assert house.is_even
    assert house.upstream.pool.idle_count == 1


def test_the_next_one_takes_the_same_connection() -> None:
    house = House()
    attempt = house.warm()
    sent = house.send()
    house.say(OK)
    assert sent.waiting.response.body == b"ok"
    assert sent.exchange.connect_seconds == 0.0
    assert house.network.attempts == [attempt]


def test_time_that_the_line_took_before_is_none_of_the_targets() -> None:
    """A policy may have waited for a body: the answer's time begins when the request is sent."""
    house = House(response_timeout=10.0)
    asked = exchange()
    asked.started = house.now
    house.warm()
    house.network.advance(30.0)
    asked.attempts = 0
    sent = Sent(house, asked)
    house.network.advance(9.0)
    house.upstream.sweep(house.now)
    assert not sent.waiting.is_done
    house.network.advance(1.0)
    house.upstream.sweep(house.now)
    assert sent.fails() == (504, "response-timeout", True)


def test_nor_does_it_make_an_idle_connection_younger() -> None:
    house = House()
    house.warm()
    asked = exchange("POST", body=b"once")
    asked.started = house.now
    house.network.advance(UNSAFE_IDLE)
    Sent(house, asked)
    assert len(house.network.attempts) == 2


# idle connections that turn out closed


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_what_may_be_sent_twice_goes_out_on_a_fresh_connection(method: str) -> None:
    house = House(eject_after=1)
    house.warm()
    sent = house.send(method)
    house.lose()
    assert not sent.waiting.is_done
    assert len(house.network.attempts) == 2
    house.network.last.succeed()
    assert house.network.last.wire.sent == HEAD
    house.say(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert sent.waiting.response.status == 204
    sent.end()
    assert sent.exchange.attempts == 1
    assert (house.failed, house.state()) == (0, State.UP)


@pytest.mark.parametrize("room", [1, len(HEAD), math.inf])
def test_a_post_of_which_a_byte_was_written_is_never_sent_again(room: float) -> None:
    house = House()
    house.warm().wire.room = room
    sent = house.send("POST", b"once")
    house.lose()
    assert sent.fails() == (502, "reset", True)
    assert len(house.network.attempts) == 1
    assert house.is_even


def test_a_post_of_which_none_was_is() -> None:
    house = House()
    house.warm().wire.room = 0
    sent = house.send("POST", b"once")
    house.lose()
    house.network.last.succeed()
    assert house.network.last.wire.sent == HEAD + b"once"
    house.say(OK)
    assert sent.waiting.response.body == b"ok"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_post_gets_no_connection_that_its_target_may_be_closing(method: str) -> None:
    house = House()
    house.warm()
    house.network.advance(UNSAFE_IDLE)
    house.send(method, b"once")
    assert len(house.network.attempts) == 2
    assert house.upstream.pool.idle_count == 1


def test_the_fresh_connection_is_the_last_try() -> None:
    house = House()
    house.warm()
    sent = house.send()
    house.lose()
    house.network.last.succeed()
    house.lose()
    assert sent.fails() == (502, "reset", True)
    assert house.failed == 1
    assert len(house.network.attempts) == 2


def test_a_body_that_is_still_held_goes_out_once_more_from_its_first_byte() -> None:
    house = House()
    house.warm()
    body = Body(b"first", length=11)
    sent = house.send("PUT", body)
    house.lose()
    house.network.last.succeed()
    body.receive(b"second")
    body.finish()
    assert house.network.last.wire.sent == HEAD + b"firstsecond"
    house.say(OK)
    assert sent.waiting.response.body == b"ok"


def test_one_that_is_not_is_a_failure() -> None:
    house = House()
    house.warm()
    body = Body(b"first", length=11)
    body.can_replay = False
    sent = house.send("PUT", body)
    house.lose()
    assert sent.fails() == (502, "reset", True)
    assert len(house.network.attempts) == 1


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    house = House()
    house.warm()
    sent = house.send()
    house.say(b"HTTP/1.1 200")
    house.lose()
    assert sent.fails() == (502, "bad-response", True)
    assert len(house.network.attempts) == 1


# what is a failure of the target


@pytest.mark.parametrize(
    ("breaks", "failure"),
    [
        (lambda house: house.network.last.fail(), (502, "connect-failed", False)),
        (lambda house: house.network.advance(2.0), (504, "connect-timeout", False)),
        (lambda house: (house.network.last.succeed(), house.lose()), (502, "reset", True)),
        (
            lambda house: (house.network.last.succeed(), house.say(b"SSH-2.0\r\n")),
            (502, "bad-response", True),
        ),
    ],
)
def test_a_request_that_comes_to_nothing_is(
    breaks: Callable[[House], object], failure: tuple[int, str, bool]
) -> None:
    house = House(connect_timeout=2.0)
    sent = house.send()
    breaks(house)
    assert sent.fails() == failure
    assert house.failed == 1
    assert house.is_even


def test_what_was_wrong_is_told_of_the_target() -> None:
    house = House()
    sent = house.send()
    house.network.last.succeed()
    house.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")
    sent.fails()
    (verdict,) = house.judging.verdicts(house.now)
    assert verdict.last_error == "bad-response (its Transfer-Encoding)"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_so_is_a_gateways_error(status: int) -> None:
    house = House(FIRST, SECOND, eject_after=1)
    sent = house.send()
    house.network.last.succeed()
    house.say(b"HTTP/1.1 %d Bad\r\nContent-Length: 0\r\n\r\n" % status)
    assert sent.waiting.response.status == status
    sent.end()
    assert (house.failed, house.state()) == (1, State.EJECTED)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 501])
def test_other_answers_are_answers(status: int) -> None:
    house = House(eject_after=1)
    sent = house.send()
    house.network.last.succeed()
    house.say(b"HTTP/1.1 %d Well\r\nContent-Length: 0\r\n\r\n" % status)
    sent.end()
    assert house.failed == 0


def test_so_is_a_body_that_is_cut_short() -> None:
    house = House(FIRST, SECOND, eject_after=1)
    sent = house.send()
    house.network.last.succeed()
    house.say(BEGUN)
    sink = sent.body()
    house.lose()
    assert sink.end() == "cut"
    sent.end()
    assert (house.failed, house.state()) == (1, State.EJECTED)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_descriptors_that_are_used_up_are_no_fault_of_the_targets(number: int) -> None:
    house = House(FIRST, SECOND, eject_after=1)
    sent = house.send()
    house.network.last.fail(connect_error(number))
    assert sent.fails() == (503, "too-many", False)
    assert (house.failed, house.state()) == (0, State.UP)


@pytest.mark.parametrize("error", [ClientGone(), Refusal(504, "timeout")])
def test_nor_is_a_client_that_leaves_or_an_exchange_whose_time_is_over(error: BaseException) -> None:
    house = House(eject_after=1)
    sent = house.send()
    house.network.last.succeed()
    sent.waiting.throw(error)
    assert sent.waiting.error is error
    sent.end("client-gone")
    assert house.network.last.wire.is_aborted
    assert house.failed == 0
    assert house.is_even


def test_a_client_that_leaves_while_a_connection_is_made_leaves_it_to_the_next() -> None:
    house = House()
    sent = house.send()
    sent.waiting.throw(ClientGone())
    sent.end("client-gone")
    house.network.last.succeed()
    assert house.upstream.pool.idle_count == 1
    assert house.network.last.wire.sent == b""
    assert (house.failed, house.is_even) == (0, True)
    house.send()
    assert house.network.last.wire.sent == HEAD


# what makes up for failures


def fail(house: House) -> None:
    """Let a request to the first target fail on a new connection."""
    sent = house.send()
    if not sent.waiting.is_done and house.network.last.wire.sent == b"":
        house.network.last.succeed()
    house.lose()
    assert sent.fails()[1] == "reset"


@pytest.mark.parametrize("streams", [False, True])
def test_good_answers_in_between_short_or_long(streams: bool) -> None:
    house = House(eject_after=3)
    for _ in range(6):
        fail(house)
        sent = house.send()
        house.network.last.succeed()
        if streams:
            house.say(BEGUN)
            sink = sent.body()
            house.say(b" done!")
            assert sink.end() == "whole"
        else:
            house.say(OK)
        sent.end()
        house.upstream.pool.drop(sent.target)
        assert not sent.target.is_suspected
    assert house.state() == State.UP


def test_but_not_a_bad_one_whose_body_is_whole() -> None:
    house = House(FIRST, SECOND, eject_after=2)
    for _ in range(2):
        sent = house.send()
        while sent.target.name != FIRST:
            sent.end("client-gone")
            sent = house.send()
        house.network.last.succeed()
        house.say(BEGUN.replace(b"200 OK", b"503 No"))
        sent.body()
        house.say(b" done!")
        sent.end()
        house.upstream.pool.drop(sent.target)
    assert house.state() == State.EJECTED


# the trial of an ejected target


def on_trial() -> House:
    """Return an upstream whose first target was ejected and may be tried."""
    house = House(FIRST, SECOND, eject_after=1, eject_for=5.0)
    house.upstream.targets.failed(house.upstream.targets.by_name[FIRST], "reset", house.now)
    house.network.advance(5.0)
    house.sweep()
    assert house.state() == State.TRIAL
    return house


def trial(house: House) -> Sent:
    """Send the request that is the trial."""
    for _ in range(4):
        sent = house.send()
        if sent.target.name == FIRST:
            assert sent.target.trial is sent.exchange
            return sent
        sent.waiting.throw(ClientGone())
        sent.end("client-gone")
    raise AssertionError("it is not tried")


def test_a_good_answer_ends_the_trial() -> None:
    house = on_trial()
    sent = trial(house)
    house.network.last.succeed()
    house.say(OK)
    assert house.state() == State.UP
    sent.end()
    assert sent.target.trial is None


def test_a_long_one_when_it_is_whole() -> None:
    house = on_trial()
    sent = trial(house)
    house.network.last.succeed()
    house.say(BEGUN)
    sent.body()
    states = [house.state()]
    house.say(b" done!")
    sent.end()
    assert [*states, house.state()] == [State.TRIAL, State.UP]


def test_a_bad_one_ejects_again() -> None:
    house = on_trial()
    sent = trial(house)
    house.network.last.succeed()
    house.say(BAD)
    sent.end()
    assert house.state() == State.EJECTED
    assert sent.target.trial is None


def test_a_client_that_leaves_decides_nothing() -> None:
    house = on_trial()
    sent = trial(house)
    house.network.last.succeed()
    sent.waiting.throw(ClientGone())
    sent.end("client-gone")
    assert house.state() == State.TRIAL
    assert trial(house).target is sent.target


def test_nor_does_a_trial_that_was_never_sent_for_want_of_descriptors() -> None:
    """It is released without a reason, as the proxy goes on to try another target."""
    house = on_trial()
    sent = trial(house)
    house.network.last.fail(connect_error(errno.EMFILE))
    assert sent.waiting.error.detail
    sent.end()
    assert house.state() == State.TRIAL
    assert trial(house).target is sent.target


# time, and the end


def test_a_sweep_lets_time_act_on_connections() -> None:
    house = House(keepalive_timeout=3.0)
    house.warm()
    house.network.advance(3.0)
    house.upstream.sweep(house.now)
    assert house.network.last.wire.is_over


def test_one_that_retires_lets_what_is_under_way_end_and_then_has_nothing() -> None:
    house = House("name.test:80", FIRST)
    again: list[Upstream] = []
    sent = house.send()
    house.network.last.succeed()
    house.upstream.retire(again.append)
    house.judging.stop()
    house.say(OK)
    sent.end()
    assert sent.waiting.response.body == b"ok"
    assert house.network.last.wire.is_over
    assert again == []
    house.network.last.connection.connectionLost(Failure(ConnectionLost()))
    assert house.upstream.pool.open_count == 0
    assert not house.network.getDelayedCalls()


def test_one_that_is_used_again_after_that_says_so() -> None:
    house = House()
    again: list[Upstream] = []
    house.upstream.retire(again.append)
    house.send()
    assert again == [house.upstream]


# across a reload


def test_counts_and_what_is_under_way_outlive_a_change() -> None:
    house = House(max_requests=2)
    for _ in range(2):
        assert house.upstream.enter(house.now)
    after = Upstream(upstream_config(FIRST, max_requests=3), house.world.surroundings, house.upstream)
    assert not house.upstream.enter(house.now)
    after.start()
    after.targets.take(house.judging.standings)
    house.upstream.retire(lambda upstream: None)
    assert after.enter(house.now)
    assert not after.enter(house.now)
    assert after.requests == 3
    assert after.targets.by_name[FIRST] is house.upstream.targets.by_name[FIRST]
    for upstream in (house.upstream, house.upstream, after):
        upstream.leave()
    assert after.gate.under_way == 0
