"""What is sent when a job has ended: its status as a CloudEvent 1.0, signed as Standard Webhooks says.

The body is a CloudEvents "structured mode" JSON document, whose ``data`` is the status document.  The headers
are ``webhook-id``, which is the same each time that the same end is told; ``webhook-timestamp``, of this try;
and ``webhook-signature``, ``v1`` for HMAC-SHA256 over ``id.timestamp.body``.  A secret is shown nowhere: not
in an error, not in a ``repr``.  This module does not know where the message goes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from twistedgate.jobs.callback_url import CallbackHosts
from twistedgate.jobs.job import Job

PREFIX = "whsec_"
"""How a secret begins, so that people and scanners know it for one."""

SHORTEST_SECRET = 24
LONGEST_SECRET = 64
"""Bytes of a secret, as Standard Webhooks asks for: 192 to 512 bits."""

EVENT = "com.twistedgate.job"
"""The type of an event is this, and how the job ended: ``com.twistedgate.job.succeeded``."""

USER_AGENT = b"twistedgate-callback"


def parse_secret(text: str) -> bytes:
    """Return the key of a secret ``whsec_...``; ``ValueError`` without its text if it is none."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
        raise ValueError(
            f"is not a secret of Standard Webhooks: {PREFIX} and the base64 of "
            f"{SHORTEST_SECRET} to {LONGEST_SECRET} random bytes"
        )
    return key


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """What a route says of callbacks."""

    hosts: CallbackHosts
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, hosts: Iterable[str], secret: str) -> CallbackRules:
        """Read ``async_callback_hosts`` and ``async_callback_secret``; raises ``ValueError``."""
        return cls(CallbackHosts.of(hosts), parse_secret(secret))


@dataclass(frozen=True, slots=True)
class Message:
    """A request to tell somebody: its fields, without those of the connection, and its body."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def sign(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message; ``identity`` has no full stop in it."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def identity_of(job: Job) -> str:
    """Return the id of the job's end: another one where it was sent again and has ended anew."""
    return f"{job.id}-{round((job.finished or 0.0) * 1000)}"


def envelope(job: Job, document: Mapping[str, object], source: str) -> bytes:
    """Return the event that tells of the end; ``source`` is the path of the job."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": identity_of(job),
            # Relative to the gateway: by which of its names the client called it need not be true.
            "source": source,
            "type": f"{EVENT}.{job.state}",
            "time": document["finished"],
            "datacontenttype": "application/json",
            "data": document,
        }
    )


def message_of(job: Job, document: Mapping[str, object], secret: bytes, now: float) -> Message:
    """Return what is sent to tell of a job's end; ``document`` is its status document."""
    links = document["links"]
    assert isinstance(links, Mapping)
    body = envelope(job, document, str(links["self"]))
    identity, timestamp = identity_of(job), int(now)
    return Message(
        (
            (b"Content-Type", b"application/cloudevents+json"),
            (b"User-Agent", USER_AGENT),
            (b"webhook-id", identity.encode()),
            (b"webhook-timestamp", str(timestamp).encode()),
            (b"webhook-signature", sign(secret, identity, timestamp, body).encode()),
        ),
        body,
    )
