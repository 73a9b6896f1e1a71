"""What is wrong between the sections: names nothing bears, addresses used twice, files that cannot be read.

Each check takes the configuration as far as it could be read and returns faults; a section that could not
be read at all is known by its title, so that one mistake is told once.  What an option by itself may be is
the schema's affair; which of two routes answers is the route table's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

from twistedgate.config.certificates import check_certificates, check_key, check_pair
from twistedgate.config.errors import advice_on_comments, nearest
from twistedgate.config.model import Configuration, Endpoint, ListenerConfig, TargetConfig


class Fault(NamedTuple):
    """What is wrong, and with which option of which section (by its title)."""

    section: str
    option: str
    what: str


Check = Callable[[Configuration], Iterator[Fault]]
"""A check of one's own, run with those of this module (see ``config.load``)."""


def cross_check(configuration: Configuration, titles: Collection[str]) -> Iterator[Fault]:
    """Return everything that is wrong between sections; ``titles`` are all that stand in the files."""
    yield from _references(configuration, titles)
    yield from _policies_twice(configuration)
    yield from _routes_under_jobs(configuration)
    yield from _jobs_in_memory(configuration)
    yield from _addresses_twice(configuration)
    yield from _open_admin(configuration)
    yield from _own_listeners(configuration)
    yield from _files(configuration)
    yield from _keys_twice(configuration)


def _references(configuration: Configuration, titles: Collection[str]) -> Iterator[Fault]:
    for name, route in configuration.routes.items():
        if route.upstream and f"upstream:{route.upstream}" not in titles:
            yield Fault(f"route:{name}", "upstream", _no_such("upstream", route.upstream, titles))
        for policy in route.policies:
            yield from _policy_reference(f"route:{name}", policy, titles)
    for policy in configuration.gateway.policies:
        yield from _policy_reference("gateway", policy, titles)
    for policy in configuration.gateway.jobs_policies:
        yield from _policy_reference("gateway", policy, titles, "jobs_policies")


_NO_POLICIES = ("gateway", "listener", "upstream", "route", "consumer")


def _policy_reference(
    section: str, policy: str, titles: Collection[str], option: str = "policies"
) -> Iterator[Fault]:
    kind, _, name = policy.partition(":")
    if kind in _NO_POLICIES:
        yield Fault(section, option, f"'{policy}' is no policy; accepted: KIND:NAME of a policy's section")
    elif policy not in titles:
        yield Fault(section, option, _no_such(kind, name, titles))


def _no_such(kind: str, name: str, titles: Collection[str]) -> str:
    wanted = f"{kind}:{name}"
    known = [title for title in titles if title.startswith(f"{kind}:")]
    hint = nearest(wanted, known) or nearest(wanted, [title for title in titles if ":" in title])
    listed = ", ".join(f"[{title}]" for title in known) or f"a section [{kind}:NAME]"
    return f"there is no section [{wanted}]{advice_on_comments(name)}{hint or f'; accepted: {listed}'}"


def _policies_twice(configuration: Configuration) -> Iterator[Fault]:
    everywhere = configuration.gateway.policies
    for policy in _repeated(everywhere):
        yield Fault("gateway", "policies", f"'{policy}' stands twice; once is enough")
    for policy in _repeated(configuration.gateway.jobs_policies):
        yield Fault("gateway", "jobs_policies", f"'{policy}' stands twice; once is enough")
    for name, route in configuration.routes.items():
        for policy in _repeated(route.policies):
            yield Fault(f"route:{name}", "policies", f"'{policy}' stands twice; once is enough")
        for policy in dict.fromkeys(route.policies):
            if policy in everywhere:
                what = f"'{policy}' is in the policies of [gateway] already; remove it here"
                yield Fault(f"route:{name}", "policies", what)


def _repeated(names: tuple[str, ...]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _routes_under_jobs(configuration: Configuration) -> Iterator[Fault]:
    jobs = configuration.gateway.jobs_path
    for name, route in configuration.routes.items():
        if f"{route.path}/".startswith(f"{jobs}/"):
            what = f"{route.path} lies under jobs_path, which is matched before all routes"
            yield Fault(f"route:{name}", "path", f"{what}; accepted: a path that does not begin with {jobs}")


def _jobs_in_memory(configuration: Configuration) -> Iterator[Fault]:
    """Jobs that one process keeps in its memory are not there for another."""
    gateway = configuration.gateway
    if gateway.state.is_memory and gateway.workers != 1 and configuration.has_jobs:
        name = next(route.name for route in configuration.routes.values() if route.has_jobs)
        what = f"several processes cannot share the jobs of [route:{name}] in memory"
        yield Fault(
            "gateway", "workers", f"{what}; accepted: workers = 1, or state = sqlite:PATH or redis://..."
        )


def _addresses_twice(configuration: Configuration) -> Iterator[Fault]:
    before: list[ListenerConfig] = []
    for listener in configuration.listeners.values():
        for other in before:
            if _collide(listener.endpoint, other.endpoint):
                yield Fault(
                    f"listener:{listener.name}",
                    "endpoint",
                    f"{listener.endpoint} is taken by [listener:{other.name}], which has {other.endpoint}; "
                    "accepted: another port, interface or path",
                )
                break
        before.append(listener)


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if one.scheme == other.scheme and one.scheme in ("unix", "systemd"):
        return (one.path or one.text) == (other.path or other.text)
    if not one.port or one.port != other.port or not {one.scheme, other.scheme} <= {"tcp", "tcp6"}:
        return False
    if one.scheme != other.scheme:
        return False
    return one.interface == other.interface or _is_every(one) or _is_every(other)


def _is_every(endpoint: Endpoint) -> bool:
    return not endpoint.interface or ipaddress.ip_address(endpoint.interface).is_unspecified


def _open_admin(configuration: Configuration) -> Iterator[Fault]:
    if configuration.gateway.admin_token:
        return
    for listener in configuration.listeners.values():
        if listener.serve == "admin" and not listener.endpoint.is_local:
            yield Fault(
                f"listener:{listener.name}",
                "endpoint",
                f"{listener.endpoint} shows the operator's resources to others without a token; "
                "accepted: a loopback interface, a unix socket, or an admin_token in [gateway]",
            )


def _own_listeners(configuration: Configuration) -> Iterator[Fault]:
    """A proxy that reaches its own listeners opens the admin's, or calls itself without end."""
    for upstream in configuration.upstreams.values():
        for target in upstream.targets:
            for listener in configuration.listeners.values():
                if _reaches(target, listener.endpoint):
                    yield Fault(
                        f"upstream:{upstream.name}",
                        "targets",
                        f"{target.url} is the gateway's own [listener:{listener.name}]; "
                        "accepted: addresses of other servers",
                    )


def _reaches(target: TargetConfig, endpoint: Endpoint) -> bool:
    if endpoint.port != target.port or endpoint.scheme not in ("tcp", "tcp6"):
        return False
    is_name = target.host == "localhost" or target.host.endswith(".localhost")
    if is_name:
        return _is_every(endpoint) or endpoint.is_local
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    if _is_every(endpoint):
        return address.is_loopback or address.is_unspecified
    bound = ipaddress.ip_address(endpoint.interface)
    # A connection to 0.0.0.0 or :: goes to this machine's loopback address.
    return address == bound or (address.is_unspecified and bound.is_loopback)


def _files(configuration: Configuration) -> Iterator[Fault]:
    for listener in configuration.listeners.values():
        section, certificate, key = f"listener:{listener.name}", listener.tls_certificate, listener.tls_key
        faults = []
        if certificate is not None:
            faults += _tried(section, "tls_certificate", partial(check_certificates, certificate))
        if key is not None:
            faults += _tried(section, "tls_key", partial(check_key, key))
        if certificate is not None and key is not None and not faults:
            faults += _tried(section, "tls_key", partial(check_pair, certificate, key))
        yield from faults
    for upstream in configuration.upstreams.values():
        if upstream.tls_ca is not None:
            yield from _tried(
                f"upstream:{upstream.name}", "tls_ca", partial(check_certificates, upstream.tls_ca)
            )


def _tried(section: str, option: str, check: Callable[[], None]) -> list[Fault]:
    try:
        check()
    except ValueError as error:
        return [Fault(section, option, str(error))]
    return []


def _keys_twice(configuration: Configuration) -> Iterator[Fault]:
    owners: dict[bytes, str] = {}
    for consumer in configuration.consumers.values():
        for key in consumer.keys:
            owner = owners.setdefault(key, consumer.name)
            if owner != consumer.name:
                yield Fault(
                    f"consumer:{consumer.name}",
                    "keys",
                    f"a key is [consumer:{owner}]'s already; "
                    "accepted: a key of its own, made by `twistedgate keys new`",
                )
            elif consumer.keys.count(key) > 1:
                yield Fault(f"consumer:{consumer.name}", "keys", "a key stands twice; remove one of them")
                break
