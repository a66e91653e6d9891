"""Runs the tests of a module against each of its mutants: in a fork of one process that has imported the libraries.

A mutant of a function's body is tried in a fork of a process that has collected the tests too, where the function gets
the mutant's code. What survives there, and every other mutant, is tried where the project is imported anew and the
mutant is what the module's name gives. No file is changed. A mutant is killed when a test fails, when nothing can be
imported, or when the tests take far longer than they should.
"""

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop as runtestloop

from bench.mutants.mutators import Mutant
from fhir_profiles.catalog import catalog

OURS = ("service", "adt_listener", "mappers", "openapi", "bench", "tests", "conftest")
PATIENCE = 5
"""So many times the time of the unchanged module, and 30 s, until a mutant counts as killed."""


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the tree for one module's name."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


class Ready:
    """A pytest plugin: the migrated SQLite database that the tests copy is made once, not for each mutant."""

    def __init__(self, template: Path | None) -> None:
        self.template = template

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        if fixturedef.argname != "sqlite_template" or self.template is None:
            return None
        fixturedef.cached_result = (self.template, fixturedef.cache_key(request), None)
        return self.template


class Trial:
    """A pytest plugin: instead of the tests once, the tests in a fork for each mutant. passed: places of survivors."""

    def __init__(self, path: Path, mutants: Sequence[Mutant], patience: float) -> None:
        self.path, self.mutants, self.patience = path, mutants, patience
        self.passed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        known = functions_of(self.path)
        for mutant in self.mutants:

            def attempt(mutant: Mutant = mutant) -> int:
                exchange(known, self.path, mutant.tree)
                with suppress(session.Failed, session.Interrupted):
                    runtestloop(session)
                return int(session.testsfailed > 0)

            if in_fork(attempt, self.patience) == 0:
                self.passed.append(mutant.place)
        return True


def in_fork(do: Callable[[], int], seconds: float) -> int:
    """The exit code of do() in a fork, 124 where it took longer."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setsid()
            code = do()
        except BaseException:
            code = 98
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124


def pytest_code(tests: Sequence[str], scratch: Path, template: Path | None, *plugins: object) -> int:
    """0: all passed. Hypothesis draws the same every time, keeps no examples and shrinks nothing."""
    import hypothesis

    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    sys.stdout.flush()
    out = os.open(scratch / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    base = tempfile.mkdtemp(dir=scratch)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "--timeout", "0"]
    options += ["--hypothesis-seed", "1", "--basetemp", base, "-k", "not postgresql"]
    return int(pytest.main([*options, *tests], plugins=[Ready(template), *plugins]))


def warmed(tests: Sequence[str], scratch: Path, template: Path | None) -> tuple[int, float]:
    """Runs the tests on the unchanged module: exit code and seconds. Then imports what they use that is not ours."""
    names = scratch / "modules.txt"

    def once() -> int:
        code = pytest_code(tests, scratch, template)
        names.write_text("\n".join(sys.modules))
        return code

    started = time.monotonic()
    code = in_fork(once, 600)
    seconds = time.monotonic() - started
    for name in names.read_text().split("\n") if code == 0 else ():
        if name.partition(".")[0] not in OURS and name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception:
                continue  # something that its own package makes
    catalog()
    return code, seconds


def template_in(scratch: Path) -> Path:
    """A migrated SQLite database."""
    path = scratch / "template.db"

    def migrate() -> int:
        from service.store.migrate import migrate

        migrate(f"sqlite:///{path}")
        return 0

    if in_fork(migrate, 120) or not path.exists():
        raise SystemExit("The template database could not be made.")
    return path


def survivors(
    name: str,
    path: Path,
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    scratch: Path,
    template: Path | None,
    *,
    quick: bool = False,
) -> tuple[list[Mutant], float]:
    """Mutants with which all tests pass, and the seconds that the slowest took. quick: only the first half."""
    code, seconds = warmed(tests, scratch, template)
    if code:
        output = (scratch / "output.txt").read_text()[-3_000:]
        raise SystemExit(f"{output}\nThe tests of {name} fail without any mutant.")
    patience, slowest = PATIENCE * seconds + 30, 0.0
    told = scratch / "passed.json"
    told.unlink(missing_ok=True)

    def exchanged() -> int:
        """In a process that has imported the project and collected the tests: the code of functions is exchanged."""
        trial = Trial(path, [one for one in mutants if one.in_function], patience)
        pytest_code(tests, scratch, template, trial)
        told.write_text(json.dumps(trial.passed))
        return 0

    if in_fork(exchanged, 4 * 3600) or not told.exists():
        raise SystemExit(f"The mutants of {name} could not be tried.")
    doubtful, alive = set(json.loads(told.read_text())), []
    if quick:
        return [one for one in mutants if one.place in doubtful], slowest
    for mutant in (one for one in mutants if not one.in_function or one.place in doubtful):

        def attempt(mutant: Mutant = mutant) -> int:
            sys.meta_path.insert(0, Mutated(name, path, mutant.tree))
            return pytest_code(tests, scratch, template)

        started = time.monotonic()
        if in_fork(attempt, patience) == 0:
            alive.append(mutant)
        slowest = max(slowest, time.monotonic() - started)
    return alive, slowest


def functions_of(path: Path) -> dict[str, list[FunctionType]]:
    found: dict[str, list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == str(path):
            found.setdefault(one.__code__.co_qualname, []).append(one)
    return found


def exchange(known: dict[str, list[FunctionType]], path: Path, tree: ast.Module) -> None:
    """Gives the functions the code of the mutant, and empties what was kept of their results."""
    todo = [compile(tree, str(path), "exec")]
    while todo:
        for code in (one for one in todo.pop().co_consts if isinstance(one, CodeType)):
            for function in known.get(code.co_qualname, ()):
                function.__code__ = code
            if "<locals>" not in code.co_qualname:
                todo.append(code)
    for name, module in list(sys.modules.items()):
        if name.startswith("service."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear") and str(getattr(value, "__module__", "")).startswith("service."):
                    value.cache_clear()
