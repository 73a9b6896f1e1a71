from __future__ import annotations

import pytest

from tests.upstream.conversation import HEAD, OK, TERMS, Sink, Talk
from twistedgate.fakes.body import Body
from twistedgate.testing import exchange
from twistedgate.upstream.asking import CLOSING_SECONDS
from twistedgate.upstream.lending import StaleConnection

RESPONSE = TERMS["response_timeout"]
READ = TERMS["read_timeout"]
CLOGGING = b"x" * 100_000


def test_small_pieces_go_out_at_once_and_dead_peers_are_noticed() -> None:
    talk = Talk()
    assert talk.wire.options == {"no-delay", "keep-alive"}
    assert talk.wire.producer is talk.connection
    assert talk.connection.is_open


def test_is_open_under_tls_once_the_handshake_is_done() -> None:
    opened: list[bool] = []
    talk = Talk(scheme="https")
    talk.connection.is_open = False
    talk.connection.opened = lambda: opened.append(talk.connection.is_open)
    talk.connection.handshakeCompleted()
    talk.connection.handshakeCompleted()
    assert opened == [True]


def test_says_what_it_does() -> None:
    talk = Talk()
    assert repr(talk.connection) == "<UpstreamConnection 192.0.2.1:8080 idle>"
    talk.ask()
    assert repr(talk.connection) == "<UpstreamConnection 192.0.2.1:8080 serving request-1>"
    talk.lose()
    assert repr(talk.connection) == "<UpstreamConnection 192.0.2.1:8080 closed>"


# requests


def test_a_request_whose_body_is_here_is_one_write() -> None:
    talk = Talk(room=len(HEAD) + 4)
    talk.ask(exchange("POST", body=b"all of it"))
    assert talk.wire.sent == HEAD + b"all "
    talk.wire.take()
    assert talk.wire.sent == HEAD + b"all of it"


def test_a_body_that_comes_in_pieces_goes_in_pieces() -> None:
    talk = Talk()
    body = Body(b"first", length=11)
    talk.ask(exchange("POST", body=body))
    assert talk.wire.sent == HEAD + b"first"
    body.receive(b"second")
    body.finish()
    assert talk.wire.sent == HEAD + b"firstsecond"


def test_a_chunked_body_is_chunked_anew() -> None:
    talk = Talk()
    body = Body()
    talk.ask(exchange("POST", body=body))
    assert talk.wire.sent == HEAD
    body.receive(b"0123456789")
    body.finish()
    assert talk.wire.sent == HEAD + b"a\r\n0123456789\r\n0\r\n\r\n"


def test_a_target_that_takes_no_more_pauses_the_client() -> None:
    talk = Talk(room=0)
    body = Body(length=1_000_000)
    talk.ask(exchange("POST", body=body))
    paused = []
    for piece in (b"small", CLOGGING):
        body.receive(piece)
        paused.append(body.is_paused)
    talk.wire.take()
    assert [*paused, body.is_paused] == [False, True, False]


def test_a_body_that_will_never_be_complete_ends_the_connection_and_nobody_is_answered() -> None:
    talk = Talk()
    body = Body(length=10)
    waiting = talk.ask(exchange("POST", body=body))
    body.receive(b"half")
    body.fail()
    assert talk.wire.is_aborted
    talk.say(OK)
    talk.turn()
    assert not waiting.is_done
    assert talk.desk.idle == []


# how long an answer may take


def test_the_targets_time_begins_with_the_end_of_the_request() -> None:
    talk = Talk()
    body = Body(length=8)
    waiting = talk.ask(exchange("POST", body=body))
    talk.pass_time(READ - 1)
    body.receive(b"half")
    talk.pass_time(READ - 1)
    body.receive(b"half")
    body.finish()
    talk.pass_time(RESPONSE - 1)
    assert not waiting.is_done
    talk.pass_time(1)
    assert waiting.failure == (504, "response-timeout", True)
    assert talk.wire.is_aborted


def test_a_request_that_is_here_has_ended_when_it_is_written() -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.pass_time(RESPONSE - 0.1)
    assert not waiting.is_done
    talk.pass_time(0.1)
    assert waiting.failure == (504, "response-timeout", True)


def test_half_a_head_and_interim_responses_do_not_prolong_it() -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.pass_time(RESPONSE - 1)
    talk.say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
    talk.pass_time(1)
    assert waiting.failure == (504, "response-timeout", True)


def test_a_large_request_has_ended_when_most_of_it_is_taken() -> None:
    """What is queued here is no part of the target's time."""
    talk = Talk(room=0)
    waiting = talk.ask(exchange("POST", body=CLOGGING))
    talk.pass_time(READ - 1)
    assert not waiting.is_done
    talk.wire.take()
    talk.pass_time(RESPONSE - 1)
    assert not waiting.is_done
    talk.pass_time(1)
    assert waiting.failure == (504, "response-timeout", True)


def test_nor_is_what_is_queued_of_a_body_that_came_in_pieces() -> None:
    talk = Talk(room=0)
    body = Body(length=len(CLOGGING))
    waiting = talk.ask(exchange("POST", body=body))
    body.receive(CLOGGING)
    body.finish()
    talk.pass_time(READ - 1)
    assert not waiting.is_done
    talk.wire.take()
    talk.pass_time(RESPONSE - 1)
    assert not waiting.is_done
    talk.say(OK)
    assert waiting.response.status == 200


def test_a_target_that_takes_nothing_of_a_request_is_given_up() -> None:
    talk = Talk(room=0)
    body = Body(length=1_000_000)
    waiting = talk.ask(exchange("POST", body=body))
    body.receive(CLOGGING)
    talk.pass_time(READ)
    assert waiting.failure == (504, "response-timeout", True)


def test_a_request_that_goes_on_does_not_hurry_an_answer_that_we_have_paused() -> None:
    talk = Talk()
    body = Body(length=100)
    waiting = talk.ask(exchange("POST", body=body))
    talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly")
    sink = Sink.of(waiting.response)
    waiting.response.body.pause()
    body.receive(b"more")
    talk.pass_time(READ * 2)
    assert not sink.end()
    waiting.response.body.resume()
    talk.pass_time(READ)
    assert sink.end() == "cut"


# what a lost connection says of its request


def test_a_fresh_connection_that_is_lost_is_a_failure_of_the_target() -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.lose()
    assert type(waiting.error) is not StaleConnection
    assert waiting.failure == (502, "reset", True)


def test_a_used_one_was_stale() -> None:
    talk = Talk()
    talk.answered(OK)
    waiting = talk.ask()
    talk.lose()
    assert type(waiting.error) is StaleConnection
    assert waiting.failure == (502, "reset", True)


@pytest.mark.parametrize("body", [b"", b"with a body"])
def test_knows_that_not_a_byte_was_written(body: bytes) -> None:
    talk = Talk()
    talk.answered(OK)
    talk.wire.room = 0
    waiting = talk.ask(exchange("POST", body=body))
    talk.lose()
    assert waiting.failure == (502, "reset", False)


def test_a_single_byte_is_enough() -> None:
    talk = Talk()
    talk.answered(OK)
    talk.wire.room = 1
    waiting = talk.ask(exchange("POST", body=b"with a body"))
    talk.lose()
    assert waiting.failure == (502, "reset", True)


def test_under_tls_nobody_knows_so_bytes_may_have_been_written() -> None:
    talk = Talk(room=10_000, scheme="https")
    talk.answered(OK)
    talk.wire.room = 0
    waiting = talk.ask(exchange("POST", body=b"once"))
    talk.lose()
    assert waiting.failure == (502, "reset", True)


def test_nor_where_the_body_comes_in_pieces() -> None:
    talk = Talk(room=10_000)
    talk.answered(OK)
    talk.wire.room = 0
    waiting = talk.ask(exchange("PUT", body=Body(b"piece")))
    talk.lose()
    assert waiting.failure == (502, "reset", True)


# how it ends


def test_closes_after_what_was_written_and_not_much_later() -> None:
    talk = Talk(room=0)
    talk.wire.write(b"the last words")
    talk.connection.close()
    assert talk.wire.is_closing
    assert not talk.connection.is_open
    assert talk.desk.forgotten == [talk.connection]
    talk.pass_time(CLOSING_SECONDS - 1)
    assert not talk.wire.is_aborted
    talk.pass_time(1)
    assert talk.wire.is_aborted


def test_closing_twice_does_not_give_it_more_time() -> None:
    talk = Talk()
    talk.connection.close()
    talk.pass_time(CLOSING_SECONDS - 1)
    talk.connection.close()
    talk.pass_time(1)
    assert talk.wire.is_aborted


def test_one_that_is_cut_is_not_lent_any_more_before_the_reactor_has_told() -> None:
    talk = Talk()
    talk.answered(OK)
    talk.connection.abort()
    assert talk.wire.is_aborted
    assert talk.desk.forgotten == [talk.connection]
    assert talk.desk.gone == []
    talk.turn()
    assert talk.desk.gone == [talk.connection]


def test_an_abort_leaves_the_clients_body() -> None:
    talk = Talk()
    body = Body(b"piece", length=100)
    talk.ask(exchange("POST", body=body))
    sent = talk.wire.sent
    talk.connection.abort()
    body.receive(b"nobody's")
    assert talk.wire.sent == sent


def test_pausing_and_resuming_more_than_once_is_the_same_as_once() -> None:
    talk = Talk()
    talk.ask()
    for _ in range(2):
        talk.connection.pause()
        assert not talk.wire.reads()
    for _ in range(2):
        talk.connection.resume()
        assert talk.wire.reads()
