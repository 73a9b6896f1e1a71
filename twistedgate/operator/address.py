"""Where a running gateway's admin listener is, and what it wants to be shown.

The configuration says it, or the command line.  Of the configuration only that is read: whatever else is
wrong with the file is for the running gateway to say.  This module opens no socket.
"""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import KINDS, Endpoint, GatewayConfig, ListenerConfig
from twistedgate.config.schema import Section, options_of, read_section
from twistedgate.config.source import read_source
from twistedgate.config.values import Secret, Surroundings

ADVICE = """\
{path} has no admin listener, so nobody can ask the gateway anything.
These lines add one, with the next reload (SIGHUP):

    [listener:admin]
    endpoint = unix:/run/twistedgate/admin.sock
    mode = 660
    serve = admin"""

ELSEWHERE = "say where it is: --socket PATH or --url URL"

_NO_TOKEN = Secret("")


class CannotAsk(Exception):
    """The gateway cannot be asked; the text says why and what to do, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Address:
    """An admin listener as a client sees it.

    ``path`` is that of a unix socket; without one it is ``host`` and ``port``.  With TLS the certificate is
    verified: by the one that stands in the gateway's configuration, or by the authorities of the machine.
    """

    shown: str
    path: str = ""
    host: str = ""
    port: int = 0
    is_secure: bool = False
    certificate: str = ""
    """PEM of the certificate that the listener shows; empty where authorities vouch for ``host``."""
    token: Secret = _NO_TOKEN

    def with_token(self, token: str) -> Address:
        """Return the address with another token."""
        return replace(self, token=Secret(token))


def from_socket(path: str) -> Address:
    """Return the address of a unix socket."""
    return Address(f"unix:{path}", path=path)


def from_url(url: str) -> Address:
    """Return the address that a URL names; raises ``CannotAsk``."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise CannotAsk(f"'{url}' is not a URL; write http://127.0.0.1:8081, say") from None
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(rest):
        raise CannotAsk(f"'{url}' is not the URL of an admin listener; write http://127.0.0.1:8081, say")
    is_secure = parts.scheme == "https"
    return Address(url, host=parts.hostname, port=port or (443 if is_secure else 80), is_secure=is_secure)


def from_configuration(
    path: str, token: str | None = None, variables: Mapping[str, str] = os.environ
) -> Address:
    """Return the address of the first admin listener of a configuration, with the token it wants.

    ``token`` takes the place of the configuration's.  Raises ``CannotAsk``, or ``ConfigurationErrors`` for a
    file that cannot be read.
    """
    source = read_source(path, variables, _known_options)
    if not source.sections:
        raise ConfigurationErrors(source.errors)
    for section in source.sections:
        if section.kind == "listener" and section.name:
            listener, errors = read_section(ListenerConfig, section, variables)
            if listener is not None and listener.serve == "admin":
                if any(error.option == "endpoint" for error in errors):
                    raise ConfigurationErrors(errors)
                found = _of_listener(section.title, listener)
                return found.with_token(_token(source.sections, variables) if token is None else token)
    raise CannotAsk(ADVICE.format(path=path))


def read_token(path: str) -> str:
    """Return the token in a file; raises ``CannotAsk``."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise CannotAsk(
            f"the token in {path} cannot be read: {getattr(error, 'strerror', 'not text')}"
        ) from None


def _known_options(kind: str) -> Collection[str]:
    known: type[Any] | None = KINDS.get(kind)
    return () if known is None else options_of(known)


def _of_listener(title: str, listener: ListenerConfig) -> Address:
    endpoint = listener.endpoint
    if endpoint.scheme == "systemd":
        raise CannotAsk(f"systemd opens [{title}]; {ELSEWHERE}")
    if endpoint.scheme != "unix" and not endpoint.port:
        raise CannotAsk(f"[{title}] listens on whatever port is free ({endpoint}); {ELSEWHERE}")
    address = Address(str(endpoint), path=endpoint.path, host=_host(endpoint), port=endpoint.port)
    if listener.tls_certificate:
        return replace(address, is_secure=True, certificate=listener.tls_certificate)
    return address


def _host(endpoint: Endpoint) -> str:
    """Return the address to connect to: what listens everywhere is on the loopback interface, too."""
    if endpoint.scheme == "unix":
        return ""
    interface = endpoint.interface or ("::" if endpoint.scheme == "tcp6" else "0.0.0.0")  # noqa: S104
    address = ipaddress.ip_address(interface)
    if not address.is_unspecified:
        return interface
    return "::1" if address.version == 6 else "127.0.0.1"


def _token(sections: list[Section], variables: Mapping[str, str]) -> str:
    """Return ``admin_token``; raises ``CannotAsk`` if it is set and cannot be read from here."""
    for section in sections:
        text = section.options.get("admin_token") if section.title == "gateway" else None
        if text is not None:
            around = Surroundings(variables, Path(section.place.file).absolute().parent)
            try:
                return str(options_of(GatewayConfig)["admin_token"].read(text.text, around))
            except ValueError as error:
                raise CannotAsk(
                    f"{text.place}: admin_token cannot be had from here: {error}; name a file that holds "
                    "it: --token-file FILE"
                ) from None
    return ""
