"""A migration is applied while the version before serves; then processes are replaced; then a release is taken back.

The next version is this tree with one migration more, which does what migrations may do: a column, a table, an index.
"""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import httpx
import pytest

from service.store.schema import revisions
from tests.scenarios.harness import ALL, FIVE, ROOT, THREE, Service, running, write_world
from tests.scenarios.operations.store_load import Load, check_kept
from tests.scenarios.proxy import Proxy

POSTGRESQL_IN_DEEP = True

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
NAMES = ("serve", "serve-2", "worker", "worker-2")
NEXT = "9001"
MIGRATION = f'''"""What a next version may do to a database that is being served."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{revisions()[-1]}"
serves_from = "{{serves_from}}"


def upgrade() -> None:
    op.add_column("job", sa.Column("later", sa.Text(), nullable=False, server_default=""))
    op.create_table("later", sa.Column("id", sa.BigInteger(), primary_key=True))
    with op.get_context().autocommit_block():
        op.create_index("version_later", "version", ["rtype", "vid"], postgresql_concurrently=True)
'''


def next_version(folder: Path, *, serves_from: str = revisions()[-1]) -> str:
    """The tree of the next version: what to put into PYTHONPATH."""
    for package in ("fhir_profiles", "mappers", "adt_listener", "openapi"):
        (folder / package).symlink_to(ROOT / package)
    copytree(ROOT / "service", folder / "service", ignore=ignore_patterns("__pycache__"))
    versions = folder / "service" / "store" / "migrations" / "versions"
    (versions / f"{NEXT}_later.py").write_text(MIGRATION.replace("{serves_from}", serves_from))
    return str(folder)


def migrate(service: Service, path: str) -> str:
    command = [sys.executable, "-m", "service.cli", "migrate"]
    env = service.environment | {"PYTHONPATH": path}
    done = subprocess.run(command, env=env, cwd=path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(180)
def test_migrated_while_the_version_before_serves(database_url: str, tmp_path: Path) -> None:
    tokens = write_world(database_url)
    later = tmp_path / "next"
    later.mkdir()
    path = next_version(later)
    parts = (ALL,) if database_url.startswith("sqlite") else FIVE if DEEP and not Proxy.missing() else THREE
    with running(database_url, tmp_path, parts=parts, ENLACE_DRAIN_SECONDS="2") as service:
        with Load(service, tokens) as load:
            load.settle()
            assert NEXT in migrate(service, path)
            load.settle(100)
            if parts == FIVE:
                service.use(PYTHONPATH=path)
                _replace(service, *NAMES)
                load.settle(100)
                service.use(PYTHONPATH=str(ROOT))  # the release is taken back, the database stays as it is
                _replace(service, "serve")
            load.settle(100)
        assert {answer for _, answer in load.told} == {"200", "201", "AA"}, load.counts()
        check_kept(load)


def _replace(service: Service, *names: str) -> None:
    for name in names:
        assert service.terminate(name) == {name: 0}
        service.start(name)


def test_a_schema_that_older_code_cannot_use_takes_it_out_of_service(sqlite_url: str, tmp_path: Path) -> None:
    write_world(sqlite_url)
    later = tmp_path / "next"
    later.mkdir()
    path = next_version(later, serves_from=NEXT)
    with running(sqlite_url, tmp_path) as service:
        migrate(service, path)
        answer = httpx.get(f"{service.base}/readyz")
        assert answer.status_code == 503
        assert "use a newer one" in answer.json()["reason"]
