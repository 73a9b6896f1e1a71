"""Where the commands that ask a running gateway find it: by its configuration, its socket or its URL."""

from __future__ import annotations

import argparse

from twistedgate.config.load import DEFAULT_PATHS, default_path
from twistedgate.operator.address import (
    Address,
    from_configuration,
    from_socket,
    from_url,
    read_token,
)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add to a command what says whom it asks, and in which form it prints the answer."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"its configuration: the first admin listener is asked; else {' or '.join(DEFAULT_PATHS)}",
    )
    where.add_argument("--url", help="ask here: http://127.0.0.1:8081, say")
    where.add_argument("--socket", metavar="PATH", help="ask at this unix socket")
    parser.add_argument("--token-file", metavar="FILE", help="holds the admin_token")
    parser.add_argument("--json", action="store_true", help="print what the gateway says, as JSON")


def address_of(chosen: argparse.Namespace) -> Address:
    """Return whom to ask; raises ``CannotAsk``, or ``ConfigurationErrors``."""
    token = read_token(chosen.token_file) if chosen.token_file else None
    if chosen.socket:
        address = from_socket(chosen.socket)
    elif chosen.url:
        address = from_url(chosen.url)
    else:
        return from_configuration(chosen.config or default_path(), token)
    return address.with_token(token or "")
