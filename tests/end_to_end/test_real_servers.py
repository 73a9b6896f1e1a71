"""Real clients through the daemon to real servers: curl, nginx, Python's http.server, twisted.web."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.harness import servers
from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import ini, route, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.waiting import PATIENCE

LARGE = hashlib.sha512(b"large").digest() * 65536
PLAIN = b"a plain text\n" * 100


@dataclass(frozen=True)
class House:
    """The gateway in front of three servers."""

    gateway: Daemon
    folder: Path

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.gateway.port}{path}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Three real servers behind the daemon."""
    folder = tmp_path_factory.mktemp("house")
    files = folder / "www"
    files.mkdir()
    (files / "plain.txt").write_bytes(PLAIN)
    (files / "large.bin").write_bytes(LARGE)
    with ExitStack() as stack:
        ports = {
            "nginx": stack.enter_context(servers.nginx(folder)),
            "python": stack.enter_context(servers.python_server(files)),
            "twisted": stack.enter_context(servers.twisted_server()),
        }
        sections = [
            upstream(name, port) + route(name, f"/{name}/*", strip_prefix=f"/{name}")
            for name, port in ports.items()
        ]
        daemon = stack.enter_context(Daemon(tmp_path_factory.mktemp("gateway"), ini(*sections)))
        yield House(daemon, folder)


def curl(*arguments: str) -> bytes:
    """Run curl and return what it wrote."""
    program = shutil.which("curl")
    assert program is not None, "curl is needed for these tests"
    line = [program, "--silent", "--show-error", "--fail", "--noproxy", "*", *arguments]
    return subprocess.run(line, capture_output=True, timeout=PATIENCE, check=True).stdout


@pytest.mark.parametrize("server", ["nginx", "python"])
def test_files_arrive_whole(house: House, server: str) -> None:
    assert curl(house.url(f"/{server}/plain.txt")) == PLAIN
    assert curl(house.url(f"/{server}/large.bin")) == LARGE


@pytest.mark.parametrize("server", ["nginx", "python"])
def test_one_connection_serves_several_files(house: House, server: str) -> None:
    urls = [house.url(f"/{server}/plain.txt")] * 5
    wrote = curl(
        "--write-out", "%{num_connects} ", *(word for url in urls for word in ("-o", "/dev/null", url))
    )
    assert wrote.split() == [b"1", b"0", b"0", b"0", b"0"]


def test_head_and_range(house: House) -> None:
    head = curl("--head", house.url("/nginx/large.bin")).lower()
    assert b"content-length: %d" % len(LARGE) in head
    assert curl("--range", "1000-1999", house.url("/nginx/large.bin")) == LARGE[1000:2000]


def test_compressed_and_chunked_answers(house: House) -> None:
    with house.gateway.connect() as client:
        answer = client.get("/nginx/gzip/plain.txt", "Accept-Encoding: gzip")
        assert answer.value("Content-Encoding") == "gzip"
        assert client.get("/nginx/plain.txt").body == PLAIN
    assert curl("--compressed", house.url("/nginx/gzip/plain.txt")) == PLAIN


def test_an_etag_saves_the_body(house: House) -> None:
    with house.gateway.connect() as client:
        etag = client.get("/nginx/plain.txt").value("ETag")
        answer = client.get("/nginx/plain.txt", f"If-None-Match: {etag}")
        assert (answer.status, answer.body) == (304, b"")
        assert client.get("/nginx/plain.txt").body == PLAIN


def test_uploads_arrive_whole(house: House, tmp_path: Path) -> None:
    """With a large body curl sends Expect: 100-continue, and nginx answers it."""
    upload = tmp_path / "upload"
    upload.write_bytes(LARGE)
    curl("--upload-file", str(upload), "-H", "Expect: 100-continue", house.url("/nginx/dav/counted"))
    curl("--upload-file", str(upload), "-H", "Transfer-Encoding: chunked", house.url("/nginx/dav/chunked"))
    assert (house.folder / "dav" / "counted").read_bytes() == LARGE
    assert (house.folder / "dav" / "chunked").read_bytes() == LARGE


def test_twisted_web_streams_and_echoes(house: House) -> None:
    assert curl(house.url("/twisted/")) == b"first,second"
    assert curl("--data-binary", "hello", house.url("/twisted/")) == b"hello"
    assert curl("--http1.0", house.url("/twisted/")) == b"first,second"


def test_an_error_of_a_server_is_its_own(house: House) -> None:
    with house.gateway.connect() as client:
        answer = client.get("/python/missing")
    assert answer.status == 404
    assert "json" not in (answer.value("Content-Type") or "")


def test_a_browser_full_of_fields_is_served(house: House) -> None:
    fields = [
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language: en-US,en;q=0.5",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Connection: keep-alive",
        "Cookie: a=1; b=2",
        "Upgrade-Insecure-Requests: 1",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Priority: u=0, i",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
    ]
    with Client(house.gateway.port) as client:
        assert [client.get("/nginx/plain.txt", *fields).body for _ in range(3)] == [PLAIN] * 3
