from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.admin.conftest import Converse, MakeSite, Orders
from tests.conftest import LoggedFailures
from twistedgate.admin.commands import Commands
from twistedgate.admin.view import Outcome, UnknownName
from twistedgate.config.difference import Change

PATHS = ["/reload", "/upgrade", "/upstreams/orders/targets/192.0.2.1:80/drain"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/reload", ("reload",)),
        ("/upgrade", ("upgrade",)),
        ("/upstreams/orders/targets/192.0.2.1:80/drain", ("drain", "orders", "192.0.2.1:80")),
        ("/upstreams/orders/targets/[2001:db8::1]:80/enable", ("enable", "orders", "[2001:db8::1]:80")),
        (
            "/upstreams/a.b/targets/http%3A%2F%2Fname.test%3A80/enable",
            ("enable", "a.b", "http://name.test:80"),
        ),
        ("/upstreams/%FF/targets/%zz/drain", ("drain", "\N{REPLACEMENT CHARACTER}", "%zz")),
        ("/reload?now", ("reload",)),
    ],
)
def test_each_path_is_one_command(
    path: str, asked: tuple[str, ...], converse: Converse, operations: Orders
) -> None:
    converse().begin(path)
    assert operations.asked == [asked]


@pytest.mark.parametrize(
    "path",
    [
        "/reload/",
        "//reload",
        "/%72eload",
        "/upstreams/orders/targets/192.0.2.1:80",
        "/upstreams/orders/targets/192.0.2.1:80/drain/",
        "/upstreams/orders/targets/192.0.2.1:80/stop",
        "/upstreams/orders/targets/http://192.0.2.1:80/drain",
        "/upstreams/orders/drain",
        "/targets/192.0.2.1:80/drain",
    ],
)
def test_and_every_other_path_none(path: str, converse: Converse, operations: Orders) -> None:
    assert converse().ask(path, "POST").status == 404
    assert operations.asked == []
    assert Commands(operations).find(path.encode()) is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_does_anything(path: str, method: str, converse: Converse, operations: Orders) -> None:
    answer = converse().ask(path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "post")
    assert operations.asked == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "field",
    [
        "Origin: http://localhost",
        "Sec-Fetch-Site: same-origin",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: text/plain",
    ],
)
def test_a_web_page_has_nothing_done(path: str, field: str, converse: Converse, operations: Orders) -> None:
    conversation = converse()
    conversation.begin(path, field, "Content-Length: 0")
    answer = conversation.answered()
    assert (answer.status, answer.document["reason"]) == (403, "cross-site")
    assert operations.asked == []


@pytest.mark.parametrize("path", PATHS)
def test_nobody_has_anything_done_without_the_token(
    path: str, converse: Converse, make_site: MakeSite, operations: Orders
) -> None:
    conversation = converse(make_site("s3cret"))
    assert conversation.ask(path, "POST").status == 401
    assert conversation.ask(path, "POST", Authorization="Bearer wrong").status == 401
    assert conversation.ask(path, "POST", host="evil.example", Authorization="Bearer s3cret").status == 421
    assert operations.asked == []
    conversation.begin(path, "Authorization: Bearer s3cret")
    assert len(operations.asked) == 1


def test_the_answer_comes_when_it_is_done_and_says_what(converse: Converse, operations: Orders) -> None:
    conversation = converse()
    conversation.begin("/reload", "Content-Type: application/json", "Content-Length: 2")
    assert conversation.send(b"{}") == b""
    changes = (Change("added", "route:x"), Change("changed", "upstream:y", ("retries",)))
    operations.under_way.callback(Outcome("added route:x, changed upstream:y (retries)", changes))
    answer = conversation.answered()
    assert answer.status == 200
    assert answer.document == {
        "done": True,
        "said": "added route:x, changed upstream:y (retries)",
        "changes": [
            {"kind": "added", "section": "route:x", "options": []},
            {"kind": "changed", "section": "upstream:y", "options": ["retries"]},
        ],
    }
    assert conversation.ask("/live").status == 200


def test_a_refusal_says_everything_that_is_wrong(converse: Converse, operations: Orders) -> None:
    conversation = converse()
    conversation.begin("/reload")
    operations.under_way.callback(Outcome(errors=("a.ini:7: no", "a.ini:8: no")))
    answer = conversation.answered()
    assert (answer.status, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.document == {
        "type": "about:blank",
        "title": "The command was not carried out.",
        "status": 409,
        "reason": "command-refused",
        "errors": ["a.ini:7: no", "a.ini:8: no"],
    }


def test_a_name_that_is_not_known_is_not_found(converse: Converse, operations: Orders) -> None:
    conversation = converse()
    conversation.begin("/upstreams/order/targets/x/drain")
    operations.under_way.errback(UnknownName("there is no upstream 'order'; there is orders"))
    answer = conversation.answered()
    assert (answer.status, answer.document["reason"]) == (404, "unknown-name")
    assert answer.document["detail"] == "there is no upstream 'order'; there is orders"


class Broken(Orders):
    """Fails where it should begin."""

    def reload(self) -> Deferred[Outcome]:
        raise RuntimeError("s3cret")


@pytest.mark.parametrize("is_late", [False, True])
def test_what_went_wrong_is_for_the_log_only(
    is_late: bool,
    converse: Converse,
    operations: Orders,
    logged_failures: LoggedFailures,
    make_site: MakeSite,
) -> None:
    if not is_late:
        operations.reload = Broken().reload  # type: ignore[method-assign]
    conversation = converse(make_site())
    conversation.begin("/reload")
    if is_late:
        operations.under_way.errback(RuntimeError("s3cret"))
    answer = conversation.answered()
    assert (answer.status, answer.document["reason"]) == (500, "internal")
    assert b"s3cret" not in answer.body
    assert len(logged_failures.flush(RuntimeError)) == 1


@pytest.mark.parametrize("is_good", [False, True])
def test_whoever_left_is_not_answered(
    is_good: bool, converse: Converse, operations: Orders, logged_failures: LoggedFailures
) -> None:
    conversation = converse()
    conversation.begin("/reload")
    conversation.channel.connectionLost(Failure(ConnectionDone()))
    if is_good:
        operations.under_way.callback(Outcome("nothing changed"))
    else:
        operations.under_way.errback(UnknownName("x"))
    assert conversation.transport.value() == b""
    assert logged_failures.flush() == []


def test_an_answer_that_takes_its_time_is_not_cut(
    converse: Converse, make_site: MakeSite, operations: Orders, clock: Clock
) -> None:
    conversation = converse(make_site(header_timeout=1.0, idle_timeout=2.0))
    conversation.begin("/reload")
    clock.advance(60)
    operations.under_way.callback(Outcome("nothing changed"))
    assert conversation.answered().status == 200
