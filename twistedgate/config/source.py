"""The text of the configuration: files, includes, and where each section and option stands.

``configparser`` does the reading; it knows no lines afterwards, stops at the first error and takes an
indented option for a part of the value above.  So a scan of our own goes first, by the same rules: it
notes the places, reports what is wrong with the form, and takes the wrong lines out, so that the parser
meets nothing that it would stop at.  Nothing here knows what a section means.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twistedgate.config.errors import ConfigurationError, Place, advice_on_comments
from twistedgate.config.schema import Section, Text
from twistedgate.config.values import NAME_PATTERN, Surroundings, line, list_of

KnownOptions = Callable[[str], Collection[str]]
"""The names of the options of a kind of section; empty for a kind that is not known."""

LARGEST_FILE = 16 * 1024 * 1024
"""No configuration is that long; a device or a wrong path may be."""

_HEADER = re.compile(r"\[(.+)\](.*)")
_TITLE = re.compile(rf"([a-z][a-z0-9-]*)(?::({NAME_PATTERN}))?")
_OPTION = re.compile(r"([^=]*?)\s*=")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: sections in the order of files and lines, and every error of form."""

    sections: list[Section] = field(default_factory=list)
    errors: list[ConfigurationError] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def read_source(path: str, variables: Mapping[str, str], known: KnownOptions) -> Source:
    """Read the main file and what it includes."""
    source = Source()
    _read_file(path, known, source)
    main = next((section for section in source.sections if section.title == "gateway"), None)
    if main is not None and "include" in main.options:
        for included in _included(path, main, variables, source):
            _read_file(included, known, source)
    return source


def _included(path: str, main: Section, variables: Mapping[str, str], source: Source) -> Iterator[str]:
    """Return the files that the patterns name, each once; those of one pattern in sorted order."""
    around = Surroundings(variables)
    try:
        patterns = list_of(line).read(main.options["include"].text, around)
    except ValueError as error:
        source.errors.append(main.error("include", str(error)))
        return
    seen = {Path(path).absolute()}
    for pattern in patterns:
        found = sorted(_glob(Path(path).parent, pattern))
        if not found and not set("*?[") & set(pattern):
            source.errors.append(
                main.error(
                    "include",
                    f"there is no file '{pattern}'; accepted: files and patterns, relative to this file",
                )
            )
        for file in found:
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield str(file)


def _glob(directory: Path, pattern: str) -> Iterator[Path]:
    """Return the files that match; names that begin with a dot are editors' and no one's configuration."""
    anchor = Path(pattern).anchor
    if anchor:
        directory, pattern = Path(anchor), pattern[len(anchor) :]
    try:
        found = list(directory.glob(pattern)) if pattern else []
    except (OSError, ValueError, NotImplementedError):
        return
    for file in found:
        if file.is_file() and not file.name.startswith("."):
            yield file


def _read_file(path: str, known: KnownOptions, source: Source) -> None:
    source.files.append(path)
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        source.errors.append(ConfigurationError(Place(path, 0), "", "", f"cannot be read: {reason}"))
        return
    if len(raw) > LARGEST_FILE:
        source.errors.append(ConfigurationError(Place(path, 0), "", "", "is longer than 16m"))
        return
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(path, raw.count(b"\n", 0, error.start) + 1)
        source.errors.append(ConfigurationError(place, "", "", "is not UTF-8 text; save the file as UTF-8"))
        return
    scan = _Scan(path, known, {section.title: section.place for section in source.sections})
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    _fill_in(scan.sections, [scan.kept(number, text) for number, text in enumerate(lines, 1)])
    source.sections.extend(scan.sections)
    source.errors.extend(scan.errors)


def _fill_in(sections: list[Section], lines: list[str]) -> None:
    """Let ``configparser`` read the lines, and put the values to the options that the scan found."""
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), default_section="\0", interpolation=None
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_file(f"{text}\n" for text in lines)
    for section in sections:
        for name, value in parser.items(section.title):
            section.options[name] = Text(value.strip(), section.options[name].place)


def _first_word(stripped: str) -> str:
    """Return as much of a line as an error shows: what follows may be a secret."""
    return stripped.split(maxsplit=1)[0][:80]


class _Scan:
    """One pass over the lines of a file; ``kept`` is called for each line in turn."""

    def __init__(self, file: str, known: KnownOptions, elsewhere: Mapping[str, Place]) -> None:
        self.file = file
        self.sections: list[Section] = []
        self.errors: list[ConfigurationError] = []
        self._known = known
        self._places = dict(elsewhere)
        self._section: Section | None = None
        self._option = ""
        self._indent = 0
        self._is_lost = False
        """What began wrongly is passed over to its end: an option with its lines, or a section."""
        self._is_section_lost = False

    def kept(self, number: int, text: str) -> str:
        """Return the line as the parser is to see it: empty, or with the indent that says what it is."""
        stripped = text.strip()
        if not stripped or stripped[0] in "#;":
            return ""
        place = Place(self.file, number)
        indent = len(text) - len(text.lstrip())
        if self._option and indent > self._indent:
            return f" {stripped}" if not self._is_lost and self._continues(place, stripped) else ""
        self._indent = indent
        return stripped if self._begins(place, stripped) else ""

    def _begins(self, place: Place, stripped: str) -> bool:
        header = _HEADER.match(stripped)
        if header is not None:
            self._is_section_lost = self._is_lost = not self._begins_section(place, header)
        elif self._is_section_lost:
            self._option = stripped
        else:
            self._is_lost = not self._begins_option(place, stripped)
        return not self._is_lost

    def _begins_section(self, place: Place, header: re.Match[str]) -> bool:
        self._option, self._section = "", None
        title, rest = header.groups()
        found = _TITLE.fullmatch(title)
        if found is None:
            self._fault(
                place,
                "",
                f"[{title}] is not a section; accepted: [kind] or [kind:name], the name of letters, "
                "digits, '.', '_' and '-', 64 at most",
            )
            return False
        if rest:
            what = f"'{rest.strip()}' stands behind the section{advice_on_comments(f' {rest.strip()}')}"
            self.errors.append(ConfigurationError(place, title, "", what))
        before = self._places.get(title)
        if before is not None:
            self.errors.append(
                ConfigurationError(place, title, "", f"stands at {before} already; put the two together")
            )
            return False
        self._places[title] = place
        self._section = Section(found[1], found[2] or "", place)
        self.sections.append(self._section)
        return True

    def _begins_option(self, place: Place, stripped: str) -> bool:
        found = _OPTION.match(stripped)
        self._option = found[1] if found is not None and found[1] else stripped
        if _CONTROL.search(stripped):
            self._fault(place, self._option if found else "", "holds a control character; remove it")
            return False
        if self._section is None:
            self._fault(
                place, "", f"'{_first_word(stripped)}' stands before the first section; accepted: [kind:name]"
            )
            return False
        if found is None or not found[1]:
            self._fault(
                place,
                "",
                f"'{_first_word(stripped)}' is not an option; accepted: name = value, and lines that "
                "continue a value are indented",
            )
            return False
        before = self._section.options.get(self._option)
        if before is not None:
            self._fault(place, self._option, f"stands at {before.place} already; remove one of them")
            return False
        self._section.options[self._option] = Text("", place)
        return True

    def _continues(self, place: Place, stripped: str) -> bool:
        """Whether the line is a part of the value above, and not a section or option that was indented."""
        assert self._section is not None
        if _CONTROL.search(stripped):
            self._fault(place, self._option, "holds a control character; remove it")
            return False
        found = _OPTION.match(stripped)
        name = found[1] if found is not None else ""
        header = _HEADER.fullmatch(stripped)
        if header is not None and _TITLE.fullmatch(header[1]) and self._known(header[1].partition(":")[0]):
            what = stripped
        elif name and name in self._known(self._section.kind):
            what = f"'{name} ='"
        else:
            return True
        self._is_lost = True
        self._fault(
            place,
            self._option,
            f"{what} is indented, and so a part of the value above; remove the blanks before it",
        )
        return False

    def _fault(self, place: Place, option: str, what: str) -> None:
        title = self._section.title if self._section is not None else ""
        self.errors.append(ConfigurationError(place, title, option, what))
