"""The tree: fixed top level, first lines, lengths, one log, one place that reads the environment (ARCHITECTURE.md)."""

import ast
import re
from pathlib import Path

import pytest

from service import log_events
from service.cli.settings import settings_page
from service.settings import describe

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("service", "fhir_profiles", "mappers", "adt_listener", "openapi")
FOLDERS = {*PACKAGES, "tests", "bench", "docs", "deploy", ".ci", "var"}
FILES = {
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "DEVELOPERS.md", "LICENSE"),
    *("Makefile", "Dockerfile", "compose.yaml", "pyproject.toml", "requirements.lock", "requirements-dev.lock"),
    *(".gitignore", ".dockerignore", ".gitattributes"),
}
MADE_BY_TOOLS = re.compile(
    r"\.git|\.venv|\..*_cache|\.hypothesis|__pycache__|.*\.egg-info|build|dist|\.coverage|\.idea|\.vscode"
)
BINARY = {".png", ".jpg", ".svg", ".webp", ".pdf", ".gz", ".tgz", ".xlsx"}
WALL = 400
WALL_TIME = ("service/clock.py", "service/log_events.py", "service/store/engine.py", "service/cli/")
"""The clock itself; when a line was written; leases between processes, which a frozen or moved clock must not end."""
TELL_TIME = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"),
    *("uuid.uuid1", "uuid.uuid4"),
}
READS_ENVIRONMENT = ("service/cli/", "service/main.py", "service/worker.py", "adt_listener/__main__.py")
"""Entry points: they hand os.environ to settings.load."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def place(path: Path, node: ast.AST) -> str:
    return f"{relative(path)}:{getattr(node, 'lineno', 0)}"


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each(*folders: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", sources(*folders), ids=relative)


def test_top_level_is_fixed() -> None:
    found = {path.name for path in ROOT.iterdir() if not MADE_BY_TOOLS.fullmatch(path.name)}
    assert found <= FOLDERS | FILES, f"not of the fixed top level: {sorted(found - FOLDERS - FILES)}"


@each(*PACKAGES)
def test_file_is_below_the_wall(path: Path) -> None:
    count = len(path.read_text().splitlines())
    assert count <= WALL, f"{relative(path)} has {count} lines: which word of the standard names the piece to take out?"


@each(*PACKAGES)
def test_first_line_says_what_the_file_does(path: Path) -> None:
    text = path.read_text()
    if path.name == "__init__.py" and not text.strip():
        return
    sentence = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    assert len(sentence) >= 15, f"{relative(path)} needs a docstring whose first line says what it does"


@each(*PACKAGES)
def test_names_say_something(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


@each(*PACKAGES)
def test_log_events_is_the_only_way_to_log(path: Path) -> None:
    if relative(path) == "service/log_events.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = imported(node)
        assert not names & {"logging", "structlog", "loguru"}, f"{place(path, node)}: log through log_events"
        if not relative(path).startswith("service/cli/") and "build" not in path.parts and isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id == "print"), f"{place(path, node)}: print"


@each(*PACKAGES)
def test_logged_events_and_fields_are_catalogued(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            not (isinstance(node, ast.Call) and called(node) == "log" and node.args)
            or relative(path) == "service/log_events.py"
        ):
            continue
        name = node.args[0].attr if isinstance(node.args[0], ast.Attribute) else getattr(node.args[0], "id", "")
        event = getattr(log_events, name, None)
        if not isinstance(event, log_events.Event):
            continue  # another function called log, or an event in a variable: refused when it runs
        given = {keyword.arg for keyword in node.keywords if keyword.arg}
        assert given <= event.fields, f"{place(path, node)}: {event.code} has no {sorted(given - event.fields)}"


@each(*PACKAGES)
def test_the_environment_is_read_by_settings_alone(path: Path) -> None:
    if relative(path) == "service/settings.py" or relative(path).startswith(READS_ENVIRONMENT):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        read = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        assert not read, f"{place(path, node)}: add a setting in service/settings.py"


@each(*PACKAGES)
def test_the_clock_is_injected(path: Path) -> None:
    if relative(path).startswith(WALL_TIME):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        told = isinstance(node, ast.Attribute) and f"{getattr(node.value, 'id', '')}.{node.attr}" in TELL_TIME
        assert not told, f"{place(path, node)}: take the time and ids from the Clock"


def test_every_setting_is_a_sentence() -> None:
    for name, _default, sentence in describe():
        assert sentence.endswith(".") and len(sentence) > 20, f"{name} needs a description: one sentence"


def test_every_setting_is_documented() -> None:
    """The page is written from the code: `enlace settings --markdown`, and nothing else is in it."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "make docs"


def test_no_setting_is_named_that_does_not_exist() -> None:
    known = {name for name, _default, _sentence in describe()}
    texts = [*sources(*PACKAGES), *(ROOT / name for name in ("README.md", "Dockerfile", "compose.yaml", "Makefile"))]
    texts += [path for folder in ("deploy", "docs") for path in (ROOT / folder).rglob("*") if path.suffix not in BINARY]
    for path in (path for path in texts if path.is_file()):
        named = set(re.findall(r"\bENLACE_[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
        unknown = {name for name in named - known if not name.startswith("ENLACE_TEST")}
        assert not unknown, f"{relative(path)} names {sorted(unknown)}"


@each("tests")
def test_tests_mirror_the_tree(path: Path) -> None:
    inside = path.relative_to(ROOT / "tests")
    if inside.parts[0] in {"architecture", "golden", "scenarios", "browser"} or len(inside.parts) == 1:
        return
    assert inside.parts[0] in {*PACKAGES, "bench", "docs", "deploy"}, f"{relative(path)} mirrors nothing"
    folder = ROOT.joinpath(*inside.parts[:-1])
    assert folder.is_dir() or folder.with_suffix(".py").is_file(), f"{relative(path)} mirrors no folder"


def test_no_registry_address_is_committed() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "Makefile", "Dockerfile", ".ci/run"):
        text = (ROOT / name).read_text().replace("--no-emit-index-url --no-emit-find-links", "")
        assert not re.search(r"index-url|find-links|://[^ ]*(pypi|simple|artifactory|nexus)", text), name


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").split(".")[0]}
    return set()


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
