"""What is measured, and what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Shape

ROUTES = 2000
RATE = 5000
BUSY = 8000
"""Requests a second that keep one worker busy for half of its time.

With less to do any process spends more on each request, as fewer come at a time: two independent gateways
that share a rate have spent as much as two workers do.
"""
HELD = 10000

BROWSER = (
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cache-Control", "max-age=0"),
    (
        "Cookie",
        "session=9b2f6a6f0c6e4f0b8d7d1f3c2a1e5d4c; theme=dark; consent=necessary; _ga=GA1.1.1084.1732",
    ),
    ("Referer", "https://shop.example.com/orders?page=2&sort=placed"),
    ("Sec-Ch-Ua", '"Chromium";v="131", "Not_A Brand";v="24"'),
    ("Sec-Ch-Ua-Mobile", "?0"),
    ("Sec-Ch-Ua-Platform", '"Linux"'),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"),
)

POST_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", 10240)
"""

ROUTES_SCRIPT = f"""
local requests, turn = {{}}, 0
init = function()
    for n = 0, {ROUTES - 1} do
        requests[n] = wrk.format("GET", "/service-" .. n .. "/orders/7")
    end
end
request = function()
    turn = (turn + 7) % {ROUTES}
    return requests[turn]
end
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: a load, and the most that the gateway may cost relative to each peer."""

    name: str
    title: str
    shape: Shape = field(default_factory=Shape)
    goals: Mapping[str, float] = field(default_factory=dict)
    kind: str = "load"
    """``load`` as fast as it goes, ``rate`` and ``workers`` not, ``routes`` with many of them, ``memory``."""

    rate: int = RATE
    """Requests a second, where they come at a fixed rate."""

    @property
    def has_fixed_rate(self) -> bool:
        """Whether requests come at a rate of their own, however fast the answers are."""
        return self.kind in {"rate", "workers"}


def cases(folder: Path) -> dict[str, Case]:
    """Return every case by name; the scripts that wrk runs are written into the folder."""
    post, routes = folder / "post.lua", folder / "routes.lua"
    post.write_text(POST_SCRIPT)
    routes.write_text(ROUTES_SCRIPT)
    fields = tuple(part for name, value in BROWSER for part in ("-H", f"{name}: {value}"))
    every = [
        Case("small", "small GET", goals={"nginx": 2.0, "envoy": 0.6, "caddy": 0.4}),
        Case(
            "browser",
            "GET with the headers of a browser",
            Shape(options=fields),
            {"nginx": 2.4, "envoy": 0.7},
        ),
        Case("post", "POST of 10 KiB", Shape(options=("-s", str(post)))),
        Case("large", "answer of 1 MiB", Shape("/large", 32), {"haproxy": 0.6}),
        Case("routes", f"{ROUTES} routes", Shape(options=("-s", str(routes))), {"one-route": 1.1}, "routes"),
        Case("thousand", "1,000 connections", Shape(connections=1000)),
        Case("rate", f"{RATE} requests a second", goals={"nginx": 2.0}, kind="rate"),
        Case(
            "workers",
            f"two workers, {BUSY} requests a second",
            goals={"one-worker": 1.1},
            kind="workers",
            rate=BUSY,
        ),
        Case("memory", f"memory, {HELD} idle connections", kind="memory"),
    ]
    return {case.name: case for case in every}
