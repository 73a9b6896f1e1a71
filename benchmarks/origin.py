"""The upstream that every proxy stands before: one nginx with two addresses.

It answers 119 bytes of JSON to everything, 1 MiB to ``/large``, and nothing else: what it costs is small
and the same for all.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Launch, Program, free_port, wait_for_port

ANSWER = (
    '{"id":"7f","customer":"c-1048","state":"shipped","total":129.90,"currency":"EUR",'
    '"lines":3,"placed":"2026-11-23T09:00"}'
)
LARGE = 1024 * 1024

SETTINGS = """
{user}
worker_processes 1;
daemon off;
pid {folder}/origin.pid;
error_log {folder}/origin.errors;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/origin.bodies;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    default_type application/json;
    server {{
        listen 127.0.0.1:{first} backlog=4096;
        listen 127.0.0.1:{second} backlog=4096;
        location = /large {{ alias {folder}/large; }}
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """The upstream's two addresses."""

    first: int
    second: int


def nginx_user() -> str:
    """Return the line that lets nginx's workers read what root has written."""
    return "user root;" if os.geteuid() == 0 else ""


def start_origin(folder: Path, core: int | None) -> tuple[Origin, Program]:
    """Start the upstream and wait until it answers."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise SystemExit("The benchmark needs nginx as its upstream: apt-get install nginx")
    origin = Origin(free_port(), free_port())
    (folder / "large").write_bytes(os.urandom(LARGE))
    settings = folder / "origin.conf"
    settings.write_text(
        SETTINGS.format(
            user=nginx_user(), folder=folder, first=origin.first, second=origin.second, answer=ANSWER
        )
    )
    running = Program("origin", Launch([program, "-p", str(folder), "-c", str(settings)]), folder, core)
    wait_for_port(origin.second, running)
    return origin, running
