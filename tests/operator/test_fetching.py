from __future__ import annotations

import pytest

from tests.operator.conftest import House
from twistedgate.operator.address import Address, CannotAsk, from_url
from twistedgate.operator.asking import Reply
from twistedgate.operator.fetching import CHUNK, Body, fetching

LARGE = bytes(range(256)) * 1000


def at(house: House) -> Address:
    return from_url(f"http://127.0.0.1:{house.listen()}").with_token("s3cret")


def fetched(address: Address) -> tuple[int, list[bytes]]:
    with fetching(address, "/jobs/x/result") as body:
        assert isinstance(body, Body)
        return body.length, list(body.pieces())


def test_a_body_comes_in_pieces(house: House) -> None:
    house.spokesman.say(LARGE)
    length, pieces = fetched(at(house))
    assert (length, b"".join(pieces)) == (len(LARGE), LARGE)
    assert max(map(len, pieces)) <= CHUNK
    assert house.spokesman.asked == [("GET", "/jobs/x/result")]
    assert house.spokesman.fields[0]["authorization"] == "Bearer s3cret"


def test_an_empty_one_has_none(house: House) -> None:
    house.spokesman.say(b"")
    assert fetched(at(house)) == (0, [])


def test_one_that_breaks_off_is_told(house: House) -> None:
    house.spokesman.say(LARGE)
    house.spokesman.bytes_of = len(LARGE) + 1
    with pytest.raises(CannotAsk, match="broke off after 256000 of 256001 bytes"):
        fetched(at(house))


def test_a_refusal_is_a_reply(house: House) -> None:
    house.spokesman.say({"reason": "wrong-state", "detail": "it is running"}, 409)
    with fetching(at(house), "/jobs/x/result") as reply:
        assert isinstance(reply, Reply)
        assert (reply.is_good, reply.errors) == (False, ["it is running"])


def test_what_is_not_understood_is_told(house: House) -> None:
    for document, status, told in (({}, 200, "another version"), ({"reason": "no-route"}, 404, "404")):
        house.spokesman.answers.clear()
        house.spokesman.say(document, status)
        with pytest.raises(CannotAsk, match=told), fetching(at(house), "/jobs/x/result"):
            pass


def test_what_goes_wrong_where_it_is_written_is_not_the_gateways(house: House) -> None:
    house.spokesman.say(LARGE)
    with pytest.raises(BrokenPipeError), fetching(at(house), "/jobs/x/result"):
        raise BrokenPipeError
