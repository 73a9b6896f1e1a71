"""What is written in one turn is sent at its end, in its order, and what cannot wait does not."""

from __future__ import annotations

from twistedgate.net.turn import Turn


class Sending:
    """A transport that writes down when it sends."""

    def __init__(self, sent: list[int], number: int) -> None:
        self._sent = sent
        self._number = number

    def send_late(self) -> None:
        self._sent.append(self._number)


def test_what_waits_is_sent_once_at_the_end_in_its_order() -> None:
    turn, sent = Turn(), list[int]()
    turn.is_open = True
    for number in range(3):
        turn.waiting.append(Sending(sent, number))
    assert sent == []
    turn.close()
    assert (sent, turn.is_open) == ([0, 1, 2], False)
    turn.close()
    assert sent == [0, 1, 2]


def test_what_is_written_while_others_send_has_its_turn() -> None:
    turn, sent = Turn(), list[int]()

    class Writing(Sending):
        def send_late(self) -> None:
            super().send_late()
            turn.waiting.append(Sending(sent, 7))

    turn.waiting.append(Writing(sent, 0))
    turn.close()
    assert sent == [0]
    turn.close()
    assert sent == [0, 7]
