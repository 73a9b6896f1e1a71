"""The public kit for those who write policies and actions: exchanges, fakes, a gateway in memory.

::

    def test_refuses_the_second_call() -> None:
        quota = make_policy(CallQuota, calls="1/h")
        assert admit(quota, exchange()) is None
        assert admit(quota, exchange()).status == 429

Rules
- A request is understood, a configuration read and an exchange served by the code that does so in the daemon.
- Nothing happens but what the test does: time is a ``Clock``, a late answer ``Later``, a slow body ``Body``.
- No socket, no reactor, no file but the one that an INI text is read from.

What ``__all__`` names stays; a change of it stands in the changelog.  The fakes are in ``twistedgate.fakes``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Final, TypeVar

from twistedgate.assembly import Assembler, Gates
from twistedgate.config.errors import ConfigurationErrors, Place
from twistedgate.config.model import Configuration, ConsumerConfig
from twistedgate.config.schema import Section, Text, read_section
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.fakes.client import Answer, Client
from twistedgate.fakes.clock import START, Clock
from twistedgate.fakes.upstream import TARGETS, FakeUpstream, Later, Scripted, Sent
from twistedgate.http.headers import field
from twistedgate.http.hops import Peer
from twistedgate.http.message import CHUNKED, Response
from twistedgate.policy import Policy
from twistedgate.published import published_policies
from twistedgate.runtime import JobsPort, Runtime, UpstreamPort
from twistedgate.units import Units
from twistedgate.wire.framing import judge_request, judge_request_fields

__all__ = [
    "Answer",
    "Body",
    "Client",
    "Clock",
    "FakeUpstream",
    "Later",
    "MemoryGateway",
    "Scripted",
    "Sent",
    "admit",
    "consumer",
    "dress",
    "exchange",
    "gateway",
    "make_policy",
    "runtime",
]

T = TypeVar("T")
AnyPolicy = TypeVar("AnyPolicy", bound=Policy)

OPENED: Final = 1_767_225_600.0
"""The time of day of every exchange: the first second of 2026."""

_URL = re.compile(r"(?:(https?)://([^/?]*))?(.*)", re.DOTALL)
_LISTENER = "\n[listener:memory]\nendpoint = tcp:0:interface=127.0.0.1\n"


def exchange(
    method: str = "GET",
    url: str = "https://api.example.com/orders",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | Body = b"",
    client: str = "192.0.2.1",
) -> Exchange:
    """Return an exchange whose request was understood as the daemon would; raises ``BadMessage`` as it would.

    What no policy sees is gone from its headers: hop-by-hop fields, and claims such as ``X-Forwarded-For``.
    A ``url`` may also be a path, or ``*``.
    """
    found = _URL.fullmatch(url)
    assert found is not None
    scheme, host, target = found[1] or "https", found[2] or "api.example.com", found[3] or "/"
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    given = [(b"Host", host.encode("latin-1"))]
    given += [field(name.encode("latin-1"), value.encode("latin-1"))[1:] for name, value in pairs]
    length = len(body) if isinstance(body, bytes) else body.length
    if length == CHUNKED:
        given.append((b"Transfer-Encoding", b"chunked"))
    elif length:
        given.append((b"Content-Length", b"%d" % length))
    said = judge_request_fields(given, is_http10=False)
    request = judge_request(method, target.encode("latin-1"), False, said)
    request.body = body
    peer = Peer(client, 443 if scheme == "https" else 80, scheme, is_trusted=False, listener="memory")
    return Exchange(request, peer, "request-1", START, OPENED)


def consumer(name: str, *keys: str, groups: tuple[str, ...] = ()) -> ConsumerConfig:
    """Return the ``[consumer:NAME]`` whose keys, in clear, are these."""
    digests = tuple(hashlib.sha256(key.encode()).digest() for key in keys)
    return ConsumerConfig(name, keys=digests, groups=groups)


def runtime(
    now: Callable[[], float] | None = None,
    consumers: Iterable[ConsumerConfig] = (),
    upstreams: Mapping[str, UpstreamPort] | None = None,
) -> Runtime:
    """Return what a policy or an action is made with; ``now`` is a ``Clock`` that the test may keep."""
    return Runtime(now or Clock(), dict(upstreams or {}), tuple(consumers))


def make_policy(kind: type[AnyPolicy], around: Runtime | None = None, /, **options: str) -> AnyPolicy:
    """Return the policy of a section with these ``options``, each written as in the file.

    Raises ``ConfigurationErrors`` with everything that is wrong with them.
    """
    place = Place("options", 0)
    texts = {name: Text(dedent(text).strip(), place) for name, text in options.items()}
    config, errors = read_section(kind.Config, Section(_kind(kind), "memory", place, texts), {})
    if errors:
        raise ConfigurationErrors(errors)
    return kind(config, around or runtime())


def _kind(policy: type[Policy]) -> str:
    """Return the kind of a class: ``RateLimit`` is ``rate-limit``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", policy.__name__).lower()


def admit(policy: Policy, exchange: Exchange) -> Response | None:
    """Let the policy look at the request: ``None`` to go on, or the response that ends the line."""
    body = exchange.request.body
    if policy.needs_request_body and not isinstance(body, bytes):
        exchange.request.body = _ended(body.read())
    answer = policy.on_request(exchange)
    return answer if answer is None or isinstance(answer, Response) else _ended(answer)


def dress(policy: Policy, exchange: Exchange, response: Response | None = None) -> Response:
    """Let the policy change the response (200 if none is given), and return it."""
    dressed = Response(200) if response is None else response
    waiting = policy.on_response(exchange, dressed)
    if waiting is not None:
        _ended(waiting)
    return dressed


def _ended(waiting: Awaitable[T]) -> T:
    """Return what ``waiting`` comes to, which must be now."""
    steps = waiting.__await__()
    try:
        next(steps)
    except StopIteration as end:
        ended: T = end.value
        return ended
    steps.close()
    raise RuntimeError("the policy waits for what the test has not given; let the test await its hook")


class MemoryGateway:
    """A gateway between clients and upstreams that are in memory, too."""

    def __init__(
        self,
        configuration: Configuration,
        upstreams: Mapping[str, FakeUpstream],
        units: Units,
        jobs: JobsPort | None = None,
    ) -> None:
        self.configuration = configuration
        self.upstreams = upstreams
        self.clock = Clock()
        self.observed: list[Exchange] = []
        """The exchanges that ended, as an access log gets them."""
        for upstream in upstreams.values():
            upstream.now = self.clock
        self.gateway = Assembler(units, Gates(), self.observed.append, self.clock, jobs).assemble(
            configuration, upstreams
        )

    def begin(self, exchange: Exchange) -> Client:
        """Let the exchange begin, and return its client; it may be done already."""
        request = exchange.request
        if isinstance(request.body, bytes) and request.body:
            whole = Body(request.body, length=len(request.body))
            whole.finish()
            request.body = whole
        exchange.started = self.clock()
        client = Client(exchange)
        exchange.interim = client.interims.append
        client.start(self.gateway.serve(exchange, client))
        return client

    def serve(self, exchange: Exchange) -> Answer:
        """Return the answer to the exchange, which must come at once."""
        client = self.begin(exchange)
        if not client.is_done or client.answer is None:
            client.leave()
            raise RuntimeError("the exchange waits for what the test has not given; use begin()")
        return client.answer


class _Units(Units):
    """The policies that are installed, and those of the test."""

    def __init__(self, policies: Iterable[type[Policy]]) -> None:
        super().__init__(published_policies())
        self._given = {_kind(policy): policy for policy in policies}

    def names(self) -> list[str]:
        """Return every kind, sorted."""
        return sorted({*super().names(), *self._given})

    def find(self, kind: str) -> type[Policy] | None:
        """Return the class of a kind."""
        return self._given.get(kind) or super().find(kind)


def gateway(
    text: str | Configuration,
    upstreams: Mapping[str, FakeUpstream] | None = None,
    policies: Sequence[type[Policy]] = (),
    jobs: JobsPort | None = None,
) -> MemoryGateway:
    """Return the gateway of an INI text, whose upstreams are fakes: those given, 200 from all others.

    The text needs no listener, and no section for an upstream that is given.  ``policies`` are known by their
    kinds, beside those that are installed; ``jobs`` runs what becomes a job.  Raises ``ConfigurationErrors``
    with all that is wrong.
    """
    fakes = dict(upstreams or {})
    units = _Units(policies)
    configuration = text if isinstance(text, Configuration) else _load(dedent(text), fakes, units)
    for name, config in configuration.upstreams.items():
        fakes.setdefault(name, FakeUpstream()).configure(config)
    return MemoryGateway(configuration, fakes, units, jobs)


def _load(text: str, names: Iterable[str], units: Units) -> Configuration:
    added = "" if re.search(r"^\[listener:", text, re.MULTILINE) else _LISTENER
    targets = ", ".join(target.url for target in TARGETS)
    for name in names:
        if f"\n[upstream:{name}]" not in f"\n{text}":
            added += f"[upstream:{name}]\ntargets = {targets}\n"
    with TemporaryDirectory() as folder:
        file = Path(folder, "gateway.ini")
        file.write_text(text + added, encoding="utf-8")
        return units.load(str(file))
