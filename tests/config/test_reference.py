from __future__ import annotations

from pathlib import Path

from twistedgate.cli import kinds
from twistedgate.config.model import KINDS
from twistedgate.config.reference import Kind, describe, page
from twistedgate.config.schema import options_of
from twistedgate.units import Units

PAGE = Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_in_step_with_the_definitions() -> None:
    expected = page(kinds(Units()))
    assert PAGE.read_text(encoding="utf-8") == expected, "twistedgate options --markdown > docs/options.md"


def test_the_page_names_every_option() -> None:
    text = page(kinds(Units()))
    for kind in kinds(Units()):
        assert f"## `{kind.title}`" in text
        for name in options_of(kind.options):
            assert f"| `{name}` |" in text


def test_every_row_of_the_page_has_four_cells() -> None:
    rows = [line for line in page(kinds(Units())).splitlines() if line.startswith("| `")]
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


def test_a_kind_is_described_for_a_terminal() -> None:
    text = describe(Kind("route", "A ``route``.", KINDS["route"]))
    assert text.startswith("[route:NAME]\n  A route.\n")
    assert "\npath (required)\n" in text
    assert "\nmax_body = 10m\n" in text
    assert "async_timeout" in text
    assert max(map(len, text.splitlines())) <= 90
