"""Status lines, and that writing them costs no memory that others decide about."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from twistedgate.http import status as status_module
from twistedgate.http.status import PHRASES, status_line


def test_a_status_has_the_phrase_of_rfc_9110() -> None:
    assert status_line(404) == b"HTTP/1.1 404 Not Found\r\n"
    assert status_line(413) == b"HTTP/1.1 413 Content Too Large\r\n"
    assert status_line(422) == b"HTTP/1.1 422 Unprocessable Content\r\n"


def test_a_status_that_nobody_named_has_none() -> None:
    assert status_line(599) == b"HTTP/1.1 599 \r\n"


def test_an_upstreams_own_phrase_is_kept() -> None:
    assert status_line(200, b"Fine") == b"HTTP/1.1 200 Fine\r\n"
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("status", list(HTTPStatus))
def test_every_known_status_is_one_line(status: HTTPStatus) -> None:
    assert status_line(status) == b"HTTP/1.1 %d %b\r\n" % (status, PHRASES[status])


def test_invented_phrases_take_no_memory() -> None:
    for number in range(2000):
        phrase = b"phrase %d" % number
        assert status_line(200, phrase) == b"HTTP/1.1 200 %b\r\n" % phrase
    assert len(status_module._lines) <= 512


def test_long_phrases_are_not_remembered() -> None:
    status_module._lines.clear()
    phrase = b"long " * 1000
    assert status_line(201, phrase) == b"HTTP/1.1 201 %b\r\n" % phrase
    assert (201, phrase) not in status_module._lines
