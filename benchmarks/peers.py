"""Those the gateway is compared with, each doing the same work with one worker.

The same work: an access log to a file, forwarded headers and a request id, kept-alive connections to two
targets in turn, health checks where the program has them.  Otherwise each runs with its defaults.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.origin import Origin, nginx_user
from benchmarks.processes import Launch

SEARCHED = os.pathsep.join([str(Path(sys.prefix, "bin")), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])

NGINX = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.errors;
events {{ worker_connections 20000; }}
http {{
    access_log {folder}/nginx.log combined;
    client_body_temp_path {folder}/nginx.bodies;
    proxy_temp_path {folder}/nginx.answers;
    keepalive_requests 100000000;
    upstream origin {{
        server 127.0.0.1:{first};
        server 127.0.0.1:{second};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 15000
    no strict-limits
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
frontend public
    bind 127.0.0.1:{port} backlog 4096
    unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    default_backend origin
backend origin
    balance roundrobin
    option httpchk GET /health
    server first 127.0.0.1:{first} check inter 5s
    server second 127.0.0.1:{second} check inter 5s
"""

CADDY = """
{{
    admin off
    auto_https off
    log {{
        output file {folder}/caddy.errors
    }}
}}
:{port} {{
    bind 127.0.0.1
    log {{
        output file {folder}/caddy.log {{
            roll_disabled
        }}
    }}
    reverse_proxy 127.0.0.1:{first} 127.0.0.1:{second} {{
        lb_policy round_robin
        health_uri /health
        health_interval 5s
        header_up X-Request-Id {{http.request.uuid}}
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to compare with: where it is, what it is, how it is started before an origin."""

    program: str
    version_option: str
    prepare: Callable[[str, Path, int, Origin], Launch]

    def find(self) -> str | None:
        """Return the program's path, or nothing where it is not installed."""
        return shutil.which(self.program, path=SEARCHED)

    def version(self) -> str:
        """Return the first line of what it says of itself that holds a digit."""
        command = [self.find() or self.program, self.version_option]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        lines = (said.stdout + said.stderr).splitlines()
        return next((line.strip() for line in lines if any(map(str.isdigit, line))), "?")


def _filled(template: str, folder: Path, port: int, origin: Origin) -> str:
    return template.format(
        user=nginx_user(),
        folder=folder,
        port=port,
        first=origin.first,
        second=origin.second,
    )


def _nginx(program: str, folder: Path, port: int, origin: Origin) -> Launch:
    settings = folder / "nginx.conf"
    settings.write_text(_filled(NGINX, folder, port, origin))
    return Launch([program, "-p", str(folder), "-c", str(settings)])


def _haproxy(program: str, folder: Path, port: int, origin: Origin) -> Launch:
    settings = folder / "haproxy.cfg"
    settings.write_text(_filled(HAPROXY, folder, port, origin))
    return Launch([program, "-db", "-f", str(settings)])


def _caddy(program: str, folder: Path, port: int, origin: Origin) -> Launch:
    settings = folder / "Caddyfile"
    settings.write_text(_filled(CADDY, folder, port, origin))
    places = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command = [program, "run", "--adapter", "caddyfile", "--config", str(settings)]
    return Launch(command, {"GOMAXPROCS": "1", **places})


def _envoy(program: str, folder: Path, port: int, origin: Origin) -> Launch:
    settings = folder / "envoy.json"
    resources = {"listeners": [_envoy_listener(folder, port)], "clusters": [_envoy_cluster(origin)]}
    settings.write_text(json.dumps({"static_resources": resources}))
    command = [program, "-c", str(settings), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]
    return Launch(command)


def _envoy_type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_listener(folder: Path, port: int) -> dict[str, object]:
    log_type = _envoy_type("access_loggers.file.v3.FileAccessLog")
    log = {"@type": log_type, "path": str(folder / "envoy.log")}
    router = {"@type": _envoy_type("filters.http.router.v3.Router")}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}
    connection = {
        "@type": _envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "public",
        "use_remote_address": True,
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": log}],
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
            "request_headers_to_add": [
                _envoy_field("X-Forwarded-Host", "%REQ(:AUTHORITY)%"),
                _envoy_field("X-Forwarded-Port", "%DOWNSTREAM_LOCAL_PORT%"),
            ],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]
    return {"name": "public", "address": _envoy_address(port), "filter_chains": [{"filters": filters}]}


def _envoy_field(name: str, value: str) -> dict[str, object]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _envoy_cluster(origin: Origin) -> dict[str, object]:
    endpoints = [{"endpoint": {"address": _envoy_address(one)}} for one in (origin.first, origin.second)]
    check = {
        "timeout": "2s",
        "interval": "5s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 2,
        "http_health_check": {"path": "/health"},
    }
    bounds = {"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    return {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "2s",
        "lb_policy": "ROUND_ROBIN",
        "health_checks": [check],
        "circuit_breakers": {"thresholds": [bounds]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": endpoints}]},
    }


PEERS = {
    "nginx": Peer("nginx", "-v", _nginx),
    "haproxy": Peer("haproxy", "-v", _haproxy),
    "envoy": Peer("envoy", "--version", _envoy),
    "caddy": Peer("caddy", "version", _caddy),
}
