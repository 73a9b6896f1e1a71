"""Real servers as upstreams: nginx, Python's own ``http.server``, and one on Twisted.

Each runs as a process of its own in a folder of its own on a port of its own choosing, and is ready
when its port accepts.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.end_to_end.harness.daemon import environment
from tests.end_to_end.harness.waiting import PATIENCE, until

_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 100m;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        location /gzip/ {{
            alias {folder}/www/;
            gzip on;
            gzip_proxied any;
            gzip_types text/plain;
        }}
        location /moved {{ return 301 /plain.txt; }}
        location /dav/ {{
            alias {folder}/dav/;
            dav_methods PUT DELETE;
            client_body_in_file_only off;
        }}
    }}
}}
"""

_TWISTED = """\
import sys
from twisted.internet import endpoints, reactor
from twisted.web import resource, server


class Echo(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        request.write(b"first,")
        reactor.callLater(0, self.finish, request)
        return server.NOT_DONE_YET

    def finish(self, request):
        request.write(b"second")
        request.finish()

    def render_POST(self, request):
        return request.content.read()


def say(port):
    print("port", port.getHost().port, flush=True)


endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(server.Site(Echo())).addCallback(say)
reactor.run()
"""


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """Run nginx on the files in ``folder/www`` and yield its port."""
    program = shutil.which("nginx")
    assert program is not None, "nginx is needed for these tests"
    port = free_port()
    (folder / "dav").mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    # Started by root, its worker would be somebody who may not look into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(_NGINX.format(user=user, folder=folder, port=port))
    with _process([program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]):
        until(lambda: accepts(port), "nginx accepts")
        yield port


@contextmanager
def python_server(folder: Path) -> Iterator[int]:
    """Run ``python -m http.server`` on ``folder`` and yield its port."""
    line = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with _process(line) as process:
        yield _port_said(process, r"port (\d+)")


@contextmanager
def twisted_server() -> Iterator[int]:
    """Run a small ``twisted.web`` server that echoes bodies and yield its port."""
    with _process([sys.executable, "-c", _TWISTED]) as process:
        yield _port_said(process, r"port (\d+)")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all of them different."""
    with ExitStack() as open_sockets:
        made = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in made]


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    return free_ports(1)[0]


def accepts(port: int) -> bool:
    """Whether a connection to ``port`` is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _process(line: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        line,
        env=environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            assert process.stdout is not None
            process.stdout.close()


def _port_said(process: subprocess.Popen[str], pattern: str) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(pattern, line):
            return int(match[1])
    raise AssertionError("the server ended before it said its port")
