"""A database of each engine for a whole file of scenarios: starting processes is what costs the time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres_server
from tests.scenarios.harness import Service, running, write_world


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh migrated database, on each engine, for all tests of a module."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        folder = tmp_path_factory.mktemp("shared")
        for part in template.parent.glob("template.db*"):
            shutil.copy(part, folder / part.name.replace("template", "enlace"))
        yield f"sqlite:///{folder / 'enlace.db'}"
        return
    url = postgres_server.new_database(
        request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
    )
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def world_tokens(shared_url: str) -> dict[str, str]:
    return write_world(shared_url)


@pytest.fixture(scope="module")
def service(
    shared_url: str, world_tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The running service over the shared database: `cast(service.url, world_tokens)` gives a test its own people."""
    with running(shared_url, tmp_path_factory.mktemp("home")) as started:
        yield started
