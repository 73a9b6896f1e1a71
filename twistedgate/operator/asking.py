"""One question to a running gateway, and its answer: HTTP over TCP, TLS or a unix socket, with a deadline.

The ``Host`` is always ``localhost``, which every admin listener takes for its own name.  What goes wrong is
told in sentences; no exception's text of unknown origin gets out, and the token never does.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from twistedgate.operator.address import Address, CannotAsk

PATIENCE = 10.0
"""Seconds for a connection, and for each piece of an answer: what is asked is answered at once."""

LONG_PATIENCE = 120.0
"""Seconds for a command: a reload looks names up, an upgrade waits for workers to start."""

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes; the status of some ten thousand targets."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the gateway: what it says, and whether that is what was asked for."""

    is_good: bool
    document: dict[str, Any]

    @property
    def errors(self) -> list[str]:
        """Why it was refused, a sentence each."""
        errors = self.document.get("errors") or [self.document.get("detail", "refused")]
        return [str(error) for error in errors]


class _Connection(HTTPConnection):
    """A connection to an address that is no URL."""

    def __init__(self, address: Address, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = address
        self._patience = timeout

    def connect(self) -> None:
        """Connect."""
        address = self._address
        if address.path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self._patience)
            self.sock.connect(address.path)
            plain = self.sock
        else:
            plain = socket.create_connection((address.host, address.port), self._patience)
        self.sock = plain
        if address.is_secure:
            self.sock = _trust(address).wrap_socket(plain, server_hostname=address.host or "localhost")


REFUSALS = frozenset(
    (
        *("command-refused", "unknown-name", "bad-query", "unknown-job", "job-gone", "wrong-state"),
        *("store-away", "store-full"),
    )
)
"""Reasons of the gateway that say themselves what is wrong."""


def ask(address: Address, path: str, method: str = "GET", patience: float = 0.0) -> Reply:
    """Ask for ``path``; raises ``CannotAsk`` if there is no answer that says anything.

    ``patience`` is in seconds, 0 for what is usual.
    """
    with answering(address, path, method, patience) as answer:
        with explaining(address):
            body = answer.read(LARGEST_ANSWER)
        return understand(address, answer.status, body)


def understood(address: Address, reply: Reply, *names: str) -> dict[str, Any]:
    """Return what was said, if these names are in it: whoever else answers there may say 200 to anything."""
    if not set(names) <= reply.document.keys():
        raise stranger(address)
    return reply.document


def stranger(address: Address) -> CannotAsk:
    """Return what is raised where the answer is none of an admin listener as this version knows it."""
    return CannotAsk(
        f"what answers at {address.shown} is not understood: it is no admin listener (serve = admin), "
        "or of another version"
    )


@contextmanager
def answering(address: Address, path: str, method: str, patience: float = 0.0) -> Iterator[HTTPResponse]:
    """Ask, and give the answer, of which the head is there; raises ``CannotAsk``."""
    connection = _Connection(address, patience or (PATIENCE if method == "GET" else LONG_PATIENCE))
    fields = {"Accept": "application/json"}
    if method != "GET":
        fields["Content-Type"] = "application/json"
    if address.token:
        fields["Authorization"] = f"Bearer {address.token}"
    try:
        with explaining(address):
            connection.request(method, path, headers=_encoded(fields))
            answer = connection.getresponse()
        yield answer
    finally:
        connection.close()


@contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Raise ``CannotAsk``, with a sentence, for whatever goes wrong on the way."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise CannotAsk(_distrust(address, error)) from None
    except (OSError, HTTPException) as error:
        raise CannotAsk(_unreachable(address, error)) from None


def _encoded(fields: dict[str, str]) -> Any:
    """Return the fields as bytes: a token need not be ASCII."""
    return {name: value.encode() for name, value in fields.items()}


def _trust(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if address.certificate:
        # the very certificate that the configuration names, whatever names it is for
        context.check_hostname = False
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cafile=address.certificate)
    return context


def _distrust(address: Address, error: ssl.SSLCertVerificationError) -> str:
    if address.certificate:
        return (
            f"the gateway at {address.shown} shows a certificate that is not in {address.certificate}; "
            "if that was renewed since, send the gateway SIGHUP"
        )
    return f"the certificate of {address.shown} is not trusted: {error.verify_message}"


def _unreachable(address: Address, error: Exception) -> str:
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return f"nothing answers at {address.shown}; does the gateway run?"
        case PermissionError():
            return f"{address.shown} may not be opened by this user; use sudo, or join the socket's group"
        case TimeoutError():
            return f"the gateway at {address.shown} does not answer in time"
        case ssl.SSLError():
            return f"no TLS at {address.shown}: {error.reason or 'it ended'}"
        case HTTPException():
            return f"what answers at {address.shown} does not speak HTTP"
        case OSError():
            return f"{address.shown} cannot be asked: {error.strerror or 'no such address'}"
    return f"{address.shown} cannot be asked"


def understand(address: Address, status: int, body: bytes) -> Reply:
    """Return what an answer says; raises ``CannotAsk`` where that is nothing that was asked for."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CannotAsk(f"what answers at {address.shown} is no admin listener of twistedgate")
    reason = document.get("reason")
    if status == 401:
        missing = (
            "its own admin_token" if not address.token else "another admin_token than the one it was shown"
        )
        raise CannotAsk(f"the gateway at {address.shown} wants {missing}; --token-file FILE names one")
    if status != 200 and reason not in REFUSALS:
        raise CannotAsk(f"the gateway at {address.shown} refuses: {status} {_plain(reason)}")
    return Reply(status == 200, document)


def _plain(word: object) -> str:
    return word if isinstance(word, str) and word.isprintable() else ""
