from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from twistedgate.config.model import (
    KINDS,
    Configuration,
    ConsumerConfig,
    Endpoint,
    GatewayConfig,
    ListenerConfig,
    RouteConfig,
    UpstreamConfig,
)
from twistedgate.config.schema import option_name, options_of

EXPECTED = {
    "gateway": (
        "include workers policies jobs_path jobs_policies state state_password state_max async_drain_timeout "
        "trusted_proxies access_log access_log_format redact_query drain_timeout drain_delay "
        "max_connections max_connections_per_ip admin_token"
    ),
    "listener": (
        "endpoint serve mode backlog tls_certificate tls_key header_timeout idle_timeout body_timeout "
        "min_body_rate send_timeout max_head max_uri max_headers"
    ),
    "upstream": (
        "targets balance hash_key health_path health_interval health_timeout health_rise health_fall "
        "health_status health_host eject_after eject_for max_ejected slow_start when_all_down "
        "connect_timeout response_timeout read_timeout max_head retries retry_budget max_requests "
        "keepalive keepalive_timeout host_header tls_ca tls_verify"
    ),
    "route": (
        "host path methods headers priority upstream respond redirect strip_prefix add_prefix "
        "encoded_slashes policies timeout max_body max_requests async async_wait async_max_wait "
        "async_timeout async_ttl async_queue_timeout async_max_queued async_max_queued_per_caller "
        "async_concurrency async_retries async_backoff async_delivery async_max_result "
        "async_keep_headers async_callback_hosts async_callback_secret"
    ),
    "consumer": "keys groups",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_a_kind_is_there_and_no_other(kind: str) -> None:
    assert list(options_of(KINDS[kind])) == EXPECTED[kind].split()


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_a_sentence_and_says_what_it_accepts(kind: str) -> None:
    for option in options_of(KINDS[kind]).values():
        assert option.doc
        assert option.accepts


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_frozen_and_have_no_dictionary(kind: str) -> None:
    cls = KINDS[kind]
    assert cls.__dataclass_params__.frozen
    assert "__slots__" in vars(cls)
    assert [option_name(field.name) for field in dataclasses.fields(cls)] == ["name", *options_of(cls)]


def test_defaults_are_what_the_reference_says() -> None:
    gateway, upstream = GatewayConfig(), UpstreamConfig("u", targets=())
    listener = ListenerConfig("l", endpoint=Endpoint("tcp:0", "tcp"))
    assert (gateway.workers, gateway.drain_timeout, gateway.state_max) == (1, 30.0, 256 * 1024 * 1024)
    assert gateway.redact_query == ("key", "token", "access_token", "api_key", "password")
    assert (listener.mode, listener.max_head, listener.tls_key, listener.header_timeout) == (
        0o660,
        32768,
        None,
        10.0,
    )
    assert (upstream.max_ejected, upstream.retry_budget, upstream.read_timeout) == (0.5, 0.2, 300.0)
    assert (upstream.health_status, upstream.max_requests, upstream.tls_verify) == (((200, 399),), None, True)
    route = RouteConfig("r", path="*")
    assert (route.max_body, route.timeout, route.host, route.respond) == (10 * 1024 * 1024, None, (), None)
    assert (route.async_, route.async_wait, route.async_max_wait, route.async_timeout) == ("off", 0, 30, 600)
    assert (route.async_ttl, route.async_queue_timeout, route.async_delivery) == (3600, 3600, "at-most-once")
    assert (gateway.async_drain_timeout, gateway.state.is_memory, gateway.jobs_path) == (600, True, "/_jobs")
    assert ConsumerConfig("c").keys == ()


def test_a_configuration_may_be_empty() -> None:
    assert Configuration().gateway == GatewayConfig()


def test_there_are_jobs_where_a_route_has_them() -> None:
    plain, asked = RouteConfig("p", path="*"), RouteConfig("a", path="*", async_="optional")
    assert (plain.has_jobs, asked.has_jobs) == (False, True)
    assert not Configuration(routes={"p": plain}).has_jobs
    assert Configuration(routes={"p": plain, "a": asked}).has_jobs


def test_a_listener_wants_both_halves_of_tls() -> None:
    half = ListenerConfig("l", endpoint=Endpoint("tcp:0", "tcp"), tls_key=str(Path("/a")))
    assert [concerned[0] for concerned, _ in half.check()] == ["tls_certificate"]
