"""The pages hold together: links lead somewhere, what is named exists, no reason goes unexplained."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.docs.pages import PAGES, ROOT, Page, page
from tests.test_architecture import FLOORS
from twistedgate.errors import TITLES

LONGEST_PAGE = 220
"""Lines; what wants more wants to be two pages."""

MADE = {"docs/options.md"}

_NAMED = re.compile(r"((?:twistedgate|tests|docs|etc|scripts|benchmarks|examples)/[\w./-]+)(?:::(\w+))?")


def reason_rows() -> dict[str, str]:
    """Return the status that the page about logs shows for each reason."""
    rows = page("docs/how-to/logs.md").rows(4)
    return {cells[0].strip("`"): cells[1] for cells in rows if cells[0].startswith("`")}


def source() -> str:
    """Return all code of the package but the list of reasons itself."""
    files = sorted((ROOT / "twistedgate").rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path.name != "errors.py")


@pytest.mark.parametrize("one", PAGES, ids=str)
def test_every_link_leads_somewhere(one: Page) -> None:
    for link in one.links:
        place, _, anchor = link.partition("#")
        if place.startswith(("http:", "https:", "mailto:")):
            continue
        target = (one.path.parent / place).resolve() if place else one.path
        assert target.exists(), link
        if anchor:
            assert anchor in Page(target).anchors, link


def test_every_page_can_be_found_from_the_table_of_contents() -> None:
    contents = page("docs/index.md")
    linked = {(contents.path.parent / link.partition("#")[0]).resolve() for link in contents.links}
    documents = set((ROOT / "docs").rglob("*.md"))
    assert documents - linked == {contents.path}


@pytest.mark.parametrize("one", PAGES, ids=str)
def test_every_file_and_test_that_is_named_exists(one: Page) -> None:
    for code in one.codes:
        found = _NAMED.fullmatch(code)
        if found is not None:
            path = ROOT / found[1]
            assert path.exists(), code
            assert not found[2] or f"def {found[2]}(" in path.read_text(encoding="utf-8"), code


def test_every_reason_is_explained_and_no_other() -> None:
    assert set(reason_rows()) == TITLES.keys()


def test_every_reason_is_given_by_some_code() -> None:
    code = source()
    assert not {reason for reason in TITLES if re.search(rf'"{reason}"(?!:)', code) is None}


def test_every_reason_has_the_status_that_the_code_gives() -> None:
    code = source()
    for reason, shown in reason_rows().items():
        given = set(re.findall(rf'\b([45]\d\d), "{reason}"', code))
        assert not given or shown.partition(",")[0] in given, reason


def test_each_class_of_safety_cases_is_described() -> None:
    described = {cells[0] for cells in page("docs/security.md").rows(3)}
    for path in (ROOT / "tests" / "end_to_end" / "safety" / "cases").rglob("*.toml"):
        row = tomllib.loads(path.read_text(encoding="utf-8"))["row"]
        assert str(row) in described, path.name


def test_the_floors_of_the_architecture_are_those_of_its_test() -> None:
    rows = [cells for cells in page("docs/architecture.md").rows(3) if re.fullmatch(r"F\d", cells[0])]
    for floor, modules, _ in rows:
        for module in re.findall(r"`([a-z]+)/?`", modules):
            assert FLOORS[module] == int(floor[1]), module
    assert len(rows) == len(set(FLOORS.values()))


def test_pages_stay_short() -> None:
    for one in PAGES:
        if one.place not in MADE:
            assert one.text.count("\n") <= LONGEST_PAGE, one
