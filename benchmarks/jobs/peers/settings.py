"""What all peers are told, by their environment."""

from __future__ import annotations

import os

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:9")
REDIS = os.environ.get("REDIS", "redis://127.0.0.1:6379/0")
CONCURRENCY = int(os.environ.get("CONCURRENCY", "10"))
"""Calls under way at once: as many as the gateway's route may have."""

RESULT_SECONDS = 3600
TIMEOUT = 600.0
