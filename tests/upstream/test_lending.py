from __future__ import annotations

import math

import pytest

from tests.upstream.conversation import Wire
from twistedgate.fakes.clock import Clock
from twistedgate.upstream.lending import Terms, has_written
from twistedgate.wire.codec import HeadLimits


class Foreign:
    """A transport that does not tell how much is queued."""


class Layer:
    """A transport above another, as TLS is."""

    def __init__(self, transport: object) -> None:
        self.transport = transport


def wire(room: float, *writes: bytes) -> Wire:
    """A transport that was written to."""
    transport = Wire(room)
    for piece in writes:
        transport.write(piece)
    return transport


@pytest.mark.parametrize(
    ("room", "earlier", "is_written"),
    [
        (math.inf, b"", True),
        (3, b"", True),
        (1, b"", True),
        (0, b"", False),
        (0, b"of another", False),
        (5, b"of another", False),
        (10, b"of another", False),
        (11, b"of another", True),
    ],
)
def test_knows_whether_a_byte_of_a_request_has_left(room: float, earlier: bytes, is_written: bool) -> None:
    transport = wire(room, *([earlier] if earlier else []), b"request")
    assert has_written(transport, len(b"request")) is is_written
    assert has_written(Layer(transport), len(b"request")) is is_written


def test_where_nobody_knows_it_may_have() -> None:
    assert has_written(Foreign(), 7)
    assert has_written(wire(0, b"request"), 0)


def test_trailers_are_bounded_as_heads_are() -> None:
    terms = Terms(HeadLimits(max_head=1000, max_headers=20), 1.0, 2.0, Clock())
    assert terms.max_trailers == (1000, 20)
