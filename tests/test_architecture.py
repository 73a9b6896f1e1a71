"""The rules of the house that a machine can hold: floors, names, sizes, and that each file has its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "twistedgate"
SCRIPTS = [ROOT / "benchmarks", ROOT / "examples"]

EXCEPTIONS: frozenset[str] = frozenset()
"""What may break a rule, as ``RULE:PATH`` or ``RULE:PATH:NAME``.  It starts empty and only shrinks."""

FLOORS = {
    "twistedgate": 0,
    "http": 0,
    "errors": 0,
    "wire": 1,
    "config": 1,
    "routing": 2,
    "balancing": 2,
    "limiting": 2,
    "caching": 2,
    "jobs": 2,
    "gateway": 3,
    "exchange": 3,
    "policy": 3,
    "action": 3,
    "pipeline": 3,
    "runtime": 3,
    "units": 3,
    "problem": 3,
    "first_present": 3,
    "job_answers": 3,
    "published": 5,
    "policies": 4,
    "actions": 4,
    "stores.memory": 4,
    "stores": 5,
    "net": 5,
    "downstream": 5,
    "upstream": 5,
    "workers": 5,
    "workers.muster": 6,
    "workers.supervisor": 6,
    "workers.worker": 6,
    "background": 5,
    "observers": 5,
    "admin": 5,
    "tap": 6,
    "service": 6,
    "reloading": 6,
    "operations": 6,
    "operator": 6,
    "serving": 6,
    "alone": 6,
    "assembly": 6,
    "facts": 6,
    "readings": 6,
    "upgrading": 6,
    "view": 6,
    "cli": 6,
    "explain": 6,
    "testing": 6,
    "fakes": 6,
}
"""The floor of each module or package; imports go down, or stay on their floor."""

REACTOR_FLOOR = 5
OUTSIDE_BELOW = ("twisted.internet", "zope.interface", "socket", "time", "random")
"""What nothing below the reactor's floor may import."""

MAY_IMPORT_REACTOR = {"tap", "workers.worker"}

FORBIDDEN_WORDS = {
    *("handler", "processor", "engine", "manager", "component", "helper", "util", "misc", "common"),
    *("base", "context", "data", "info", "item"),
}
PYTHONS_OWN = {"items"}

LONGEST_MODULE = 400
LONGEST_FUNCTION = 40

WITHOUT_A_MODULE = {"test_architecture.py", "test_packaging.py", "wire/test_fuzz.py"}
"""Tests of the project or a package as a whole; those of ``end_to_end``, ``benchmarks``, ``docs`` are too."""


class Module:
    """A Python file of the project: its path, its name, its tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.relative_to(ROOT).as_posix()
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.text = path.read_text()
        self.tree = ast.parse(self.text)

    def __repr__(self) -> str:
        return self.place

    @property
    def inner(self) -> str:
        """The name without ``twistedgate.``; of the package itself its own."""
        return self.name.removeprefix("twistedgate.")

    def imports(self) -> Iterator[str]:
        """Every module this one imports, as ``package.module`` or ``package.module.name``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    here = self.name.split(".")
                    kept = here[: len(here) - node.level + self.is_package]
                    origin = ".".join([*kept, *([origin] if origin else [])])
                yield from (f"{origin}.{alias.name}" for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def _modules(*folders: Path) -> list[Module]:
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*.py"))
    return [Module(path) for path in paths]


MODULES = _modules(PACKAGE)
TESTS = _modules(ROOT / "tests")
ALL_CODE = MODULES + _modules(*SCRIPTS, ROOT / "twisted")


def _floor(name: str) -> int:
    """Return the floor of a module of the package; raises ``KeyError`` for one that has no place."""
    parts = name.removeprefix("twistedgate.").split(".")
    for length in range(len(parts), 0, -1):
        known = FLOORS.get(".".join(parts[:length]))
        if known is not None:
            return known
    raise KeyError(name)


def _is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _expect_none(rule: str, found: Iterator[str]) -> None:
    """Fail with everything that breaks the rule and is not an exception."""
    faults = [fault for fault in found if f"{rule}:{fault.split(' ')[0]}" not in EXCEPTIONS]
    assert not faults, "\n".join(["", *faults])


def _own_imports(module: Module) -> Iterator[str]:
    """The modules of the package that a module imports."""
    known = {other.name for other in MODULES}
    for name in module.imports():
        if _is_within(name, "twistedgate"):
            yield name if name in known else name.rpartition(".")[0]


def test_every_module_has_a_floor() -> None:
    for module in MODULES:
        assert _floor(module.name) >= 0, module


def test_imports_go_down() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            for name in _own_imports(module):
                if _floor(name) > _floor(module.name):
                    yield f"{module} imports {name} from above"

    _expect_none("floor", found())


def test_what_decides_knows_neither_reactor_nor_clock_nor_chance() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            if _floor(module.name) >= REACTOR_FLOOR:
                continue
            for name in module.imports():
                if any(_is_within(name, banned) for banned in OUTSIDE_BELOW):
                    yield f"{module} imports {name}"

    _expect_none("pure", found())


def test_the_global_reactor_is_imported_in_one_place() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            if module.inner not in MAY_IMPORT_REACTOR and "twisted.internet.reactor" in set(module.imports()):
                yield f"{module} imports the reactor"

    _expect_none("reactor", found())


def test_policies_and_actions_stand_alone() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            if not module.inner.startswith(("policies.", "actions.")):
                continue
            for name in _own_imports(module):
                if name != module.name and name.startswith(("twistedgate.policies.", "twistedgate.actions.")):
                    yield f"{module} imports {name}"

    _expect_none("alone", found())


def test_no_code_in_init() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            allowed = (ast.Expr, ast.Assign) if module.name == "twistedgate" else (ast.Expr,)
            if module.is_package and not all(isinstance(node, allowed) for node in module.tree.body):
                yield f"{module} holds code"

    _expect_none("init", found())


def test_every_module_has_its_test() -> None:
    def found() -> Iterator[str]:
        for module in MODULES:
            inner = module.path.relative_to(PACKAGE)
            expected = ROOT / "tests" / inner.parent / f"test_{inner.name}"
            if not module.is_package and not expected.exists():
                yield f"{module} has no {expected.relative_to(ROOT)}"

    _expect_none("mirror", found())


def test_every_test_has_its_module() -> None:
    def found() -> Iterator[str]:
        for test in TESTS:
            inner = test.path.relative_to(ROOT / "tests")
            if inner.parts[0] in {"end_to_end", "benchmarks", "docs"} or inner.as_posix() in WITHOUT_A_MODULE:
                continue
            expected = PACKAGE / inner.parent / inner.name.removeprefix("test_")
            if inner.name.startswith("test_") and not expected.exists():
                yield f"{test} tests no {expected.relative_to(ROOT)}"

    _expect_none("mirror", found())


def test_modules_are_short() -> None:
    def found() -> Iterator[str]:
        for module in ALL_CODE:
            lines = module.text.count("\n")
            if lines > LONGEST_MODULE:
                yield f"{module} has {lines} lines"

    _expect_none("module", found())


def test_functions_are_short() -> None:
    def found() -> Iterator[str]:
        for module in ALL_CODE:
            for function in module.functions():
                lines = (function.end_lineno or function.lineno) - function.lineno + 1
                if lines > LONGEST_FUNCTION:
                    yield f"{module}:{function.name} has {lines} lines"

    _expect_none("function", found())


def _words(name: str) -> set[str]:
    """Split ``a_name`` or ``AName`` into its words, in lower case, plurals as singulars."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {word.lower() for word in found} | {word.lower().removesuffix("s") for word in found}


def _is_twisteds(name: str) -> bool:
    """Tell whether a function is camelCase: what Twisted calls keeps Twisted's name."""
    return name[:1].islower() and not name.islower()


def _defined_names(module: Module) -> Iterator[str]:
    """Every module, class, function, constant and attribute that a module names."""
    yield from module.name.split(".")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if isinstance(node, ast.ClassDef) or not _is_twisteds(node.name):
                yield node.name
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.attr for target in targets if isinstance(target, ast.Attribute))
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def test_names_say_something() -> None:
    def found() -> Iterator[str]:
        for module in ALL_CODE:
            for name in sorted(set(_defined_names(module))):
                if name not in PYTHONS_OWN and not name.startswith("__") and _words(name) & FORBIDDEN_WORDS:
                    yield f"{module}:{name} says nothing"

    _expect_none("name", found())


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later(mark: str) -> None:
    def found() -> Iterator[str]:
        for module in ALL_CODE + [test for test in TESTS if test.path != Path(__file__)]:
            if re.search(rf"\b{mark}\b", module.text):
                yield f"{module} has a {mark}"

    _expect_none("later", found())


def test_tests_do_not_sleep_patch_or_skip() -> None:
    banned = re.compile(r"\btime\.sleep\(|\bmock\b|@pytest\.mark\.(skip|xfail)|pytest\.(skip|xfail)\(")

    def found() -> Iterator[str]:
        for test in TESTS:
            if test.path != Path(__file__) and banned.search(test.text):
                yield f"{test} sleeps, patches or skips"

    _expect_none("honest", found())


def test_exceptions_are_still_needed() -> None:
    places = {module.place for module in ALL_CODE + TESTS}
    for exception in EXCEPTIONS:
        assert exception.split(":")[1] in places, exception
