"""A page has a few jobs, or as many as are asked for, and never more than a hundred."""

from __future__ import annotations

import pytest

from twistedgate.jobs.paging import FEW, MOST, read_limit


@pytest.mark.parametrize("limit", [1, FEW, MOST])
def test_what_is_asked_for_is_given(limit: int) -> None:
    assert read_limit(str(limit)) == limit


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", " 1", "1.0", "1e1", "101", "0001", "9" * 5000, "\u0663", "many"]
)
def test_anything_else_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        read_limit(text)
