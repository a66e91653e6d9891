"""What a caller may not see changes no answer: world pairs, random programs, transcripts equal byte for byte.

Seeds are in the names of the tests; a failure prints the smallest pair and program. Deep: 200 pairs x 25 requests on
each database; ENLACE_TEST_PAIRS says how many, ENLACE_TEST_SEED another start. Source: ../shared/facts/security.md 2.4.
"""

import asyncio
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.bundles import batch, planned
from tests import postgres_server
from tests.scenarios.non_interference.running import CALLERS, Places, build_base, made_pair, run

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
PAIRS = int(os.environ.get("ENLACE_TEST_PAIRS", "34" if DEEP else "1"))
"""For each of the six callers."""
SEED = os.environ.get("ENLACE_TEST_SEED", "2026")
REQUESTS = 25
ENGINES = ("sqlite", "postgresql") if DEEP else ("sqlite",)
"""The rules are SQL on SQLite already; its own differences are looked for in deep runs."""


@pytest.fixture(scope="module")
def sqlite_places(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Places:
    home = tmp_path_factory.mktemp("pairs")
    base = home / "base.db"
    shutil.copy(sqlite_template, base)
    asyncio.run(build_base(f"sqlite:///{base}"))

    def places() -> Generator[str, None, None]:
        made = []
        try:
            for name in ("left", "right"):
                for part in home.glob("base.db*"):
                    shutil.copy(part, home / part.name.replace("base", name))
                made.append(name)
                yield f"sqlite:///{home / name}.db"
        finally:
            for name in made:
                for part in home.glob(f"{name}.db*"):
                    part.unlink()

    return places


@pytest.fixture(scope="module")
def postgresql_places(postgres_url: str, postgres_template: str) -> Iterator[Places]:
    base = postgres_server.new_database(postgres_url, postgres_template)
    asyncio.run(build_base(base))

    def places() -> Generator[str, None, None]:
        made = []
        try:
            for _ in range(2):
                made.append(postgres_server.new_database(postgres_url, urlsplit(base).path.lstrip("/")))
                yield made[-1]
        finally:
            for url in made:
                postgres_server.drop_database(url)

    yield places
    postgres_server.drop_database(base)


@pytest.fixture(scope="module", params=ENGINES)
def places(request: pytest.FixtureRequest) -> Places:
    found: Places = request.getfixturevalue(f"{request.param}_places")
    return found


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for both worlds: their page links are sealed alike."""
    return tmp_path_factory.mktemp("key") / "secret.key"


@pytest.mark.parametrize("number", range(PAIRS))
@pytest.mark.parametrize("role", CALLERS)
def test_g06_what_is_hidden_changes_no_answer(
    role: str, number: int, places: Places, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The entries of a batch are audited in the order in which they end: one at a time, so that two runs agree.
    for module in (batch, planned):
        monkeypatch.setattr(module, "AT_ONCE", 1)
    told = run(made_pair(role, f"{SEED}-{number}", REQUESTS), places, key)
    if told:
        pytest.fail(told, pytrace=False)
