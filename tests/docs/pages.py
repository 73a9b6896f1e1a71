"""The documentation as its readers meet it: pages, their blocks of code, their links, their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block of code: where it stands, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Page:
    """One page of Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return self.place

    @cached_property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def codes(self) -> list[str]:
        """What stands between backticks in the prose."""
        return _CODE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Where the prose leads to."""
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What can follow ``#`` in a link to this page, as forges make it of headings."""
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}

    def blocks(self, language: str) -> Iterator[Block]:
        """Give the blocks in a language."""
        for found in _FENCE.finditer(self.text):
            if found[1] == language:
                yield Block(self.place, self.text.count("\n", 0, found.start()) + 1, language, found[2])

    def rows(self, columns: int) -> Iterator[list[str]]:
        """Give the cells of every row of a table that has so many columns."""
        for line in self.prose.splitlines():
            if line.startswith("| "):
                cells = [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")]
                if len(cells) == columns:
                    yield [cell.replace("\0", "|") for cell in cells]


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


def pages() -> list[Page]:
    """Return every page that a reader may come to."""
    documents = sorted((ROOT / "docs").rglob("*.md"))
    roots = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "THREAT_MODEL.md")]
    return [Page(path) for path in [*roots, *documents]]


PAGES = pages()


def page(place: str) -> Page:
    """Return a page by its path."""
    return next(one for one in PAGES if one.place == place)
