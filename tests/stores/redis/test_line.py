"""A connection answers in order, gives up when nobody is there, and tells everybody who waits."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.stores.redis.line import SILENCE, Line, Lost, NotConnected, Refused, translate


class Wire(StringTransport):
    """A transport that is lost at once when it is aborted."""

    line: Line

    def abortConnection(self) -> None:
        """Be lost."""
        super().abortConnection()
        self.line.connectionLost(Failure(ConnectionLost()))


class Talk:
    """A connection on a clock, and what was heard on it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.heard: list[tuple[bytes, bytes]] = []
        self.line = Line(self.clock, lambda *message: self.heard.append(message))
        self.wire = Wire()
        self.wire.line = self.line
        self.line.makeConnection(self.wire)

    def ask(self, *command: Any) -> list[Any]:
        """Send a command, and return where its answer, or the error's class, will be."""
        answers: list[Any] = []
        asked: Deferred[Any] = self.line.ask(*command)
        asked.addErrback(lambda failure: failure.type).addCallback(answers.append)
        return answers


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_bytes_go_in_and_come_out(talk: Talk) -> None:
    answers = talk.ask("SET", b"\xff\x00", 7)
    assert talk.wire.value() == b"*3\r\n$3\r\nSET\r\n$2\r\n\xff\x00\r\n$1\r\n7\r\n"
    talk.line.dataReceived(b"$3\r\n0")
    assert answers == []
    talk.line.dataReceived(b"07\r\n")
    assert answers == [b"007"]


def test_who_asks_first_is_answered_first(talk: Talk) -> None:
    first, second = talk.ask("GET", "a"), talk.ask("GET", "b")
    talk.line.dataReceived(b":1\r\n*2\r\n$-1\r\n$1\r\nx\r\n")
    assert (first, second) == ([1], [[None, b"x"]])


def test_who_gave_up_waiting_takes_nobodys_answer(talk: Talk) -> None:
    gone: Deferred[Any] = talk.line.ask("GET", "a")
    gone.addErrback(lambda _: None)
    second = talk.ask("GET", "b")
    gone.cancel()
    talk.line.dataReceived(b":1\r\n:2\r\n")
    assert second == [2]


def test_an_error_is_its_commands_own(talk: Talk) -> None:
    first, second = talk.ask("X"), talk.ask("GET", "b")
    talk.line.dataReceived(b"-ERR unknown command\r\n:2\r\n")
    assert (first, second) == ([Refused], [2])


def test_an_error_inside_an_answer_is_a_part_of_it(talk: Talk) -> None:
    answers = talk.ask("X")
    talk.line.dataReceived(b"*2\r\n:1\r\n-ERR inside\r\n")
    assert answers[0][0] == 1
    assert isinstance(answers[0][1], Exception)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("LOADING Redis is loading the dataset in memory", StoreAway),
        ("READONLY You can't write against a read only replica.", StoreAway),
        ("ERR Error running script (call to f): @user_script:1: -READONLY You can't write", StoreAway),
        ("MISCONF Redis is configured to save RDB snapshots", StoreAway),
        ("NOAUTH Authentication required.", StoreAway),
        ("WRONGPASS invalid username-password pair", StoreAway),
        ("ERR max number of clients reached", StoreAway),
        ("STALE the connection was given up", StoreAway),
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreFull),
        ("ERR Error running script: -OOM command not allowed", StoreFull),
        ("ERR unknown command 'X'", Refused),
        ("WRONGTYPE Operation against a key", Refused),
        ("NOSCRIPT No matching script.", Refused),
    ],
)
def test_an_error_means_what_it_says(text: str, kind: type[Exception]) -> None:
    meant = translate(Exception(text))
    assert (type(meant), str(meant)) == (kind, text)


def test_everybody_is_told_of_a_loss(talk: Talk) -> None:
    first, second = talk.ask("GET", "a"), talk.ask("GET", "b")
    waiting = ensureDeferred(talk.line.lost())
    talk.line.connectionLost(Failure(ConnectionLost()))
    assert (first, second) == ([Lost], [Lost])
    assert waiting.called
    assert talk.clock.getDelayedCalls() == []
    assert ensureDeferred(talk.line.lost()).called


def test_nothing_is_sent_on_a_lost_connection(talk: Talk) -> None:
    talk.line.connectionLost(Failure(ConnectionLost()))
    assert talk.ask("GET", "a") == [NotConnected]
    assert talk.wire.value() == b""
    talk.line.abort()


def test_where_nobody_answers_nobody_is_waited_for(talk: Talk) -> None:
    answers = talk.ask("GET", "a")
    talk.clock.advance(SILENCE - 0.01)
    assert answers == []
    talk.clock.advance(0.02)
    assert answers == [Lost]
    assert talk.clock.getDelayedCalls() == []


def test_who_answers_slowly_is_there(talk: Talk) -> None:
    answers = [talk.ask("GET", "a") for _ in range(4)]
    for _ in range(4):
        talk.clock.pump([SILENCE / 4] * 3)
        talk.line.dataReceived(b":1\r\n")
    assert answers == [[1]] * 4


def test_nobody_is_there_who_answers_the_first_and_no_more(talk: Talk) -> None:
    first, second = talk.ask("GET", "a"), talk.ask("GET", "b")
    talk.clock.advance(SILENCE / 2)
    talk.line.dataReceived(b":1\r\n")
    talk.clock.pump([SILENCE / 2, SILENCE / 2])
    assert (first, second) == ([1], [Lost])


def test_a_connection_that_owes_nothing_may_be_silent(talk: Talk) -> None:
    answers = talk.ask("GET", "a")
    talk.line.dataReceived(b":1\r\n")
    talk.clock.advance(SILENCE * 10)
    assert (answers, talk.line.connected, talk.clock.getDelayedCalls()) == ([1], 1, [])
    # and is watched again from then on
    again = talk.ask("GET", "a")
    talk.clock.advance(SILENCE)
    assert again == [Lost]


def test_a_process_that_stood_still_looks_first(talk: Talk) -> None:
    answers = talk.ask("GET", "a")
    # the answer may be there, unread
    talk.clock.advance(SILENCE * 5)
    assert answers == []
    talk.line.dataReceived(b":1\r\n")
    assert answers == [1]
    talk.clock.advance(SILENCE)
    silent = talk.ask("GET", "a")
    talk.clock.advance(SILENCE * 5)
    talk.clock.advance(SILENCE / 4)
    assert silent == [Lost]


def test_what_is_published_is_nobodys_answer(talk: Talk) -> None:
    answers = talk.ask("SUBSCRIBE", "c")
    talk.line.dataReceived(
        b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    )
    assert answers == [[b"subscribe", b"c", 1]]
    assert talk.heard == [(b"c", b"hi")]


def test_an_answer_to_nobody_is_dropped(talk: Talk) -> None:
    talk.line.dataReceived(b":1\r\n")
    assert talk.line.connected


@pytest.mark.parametrize(
    "error", ["READONLY You can't write", "ERR Error running script: -READONLY", "STALE"]
)
def test_a_server_that_is_not_the_one_any_more_is_left(talk: Talk, error: str) -> None:
    first, second = talk.ask("SET", "a", "b"), talk.ask("SET", "a", "b")
    talk.line.dataReceived(f"-{error}\r\n".encode())
    assert (first, second, talk.line.connected) == ([StoreAway], [Lost], 0)
