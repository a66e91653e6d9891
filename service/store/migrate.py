"""Brings a database to the newest revision, by Alembic; imported only by those who migrate (start time)."""

import os
import re
import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config

from service.store.schema import MIGRATIONS, revisions

PRIVATE = 0o600
"""Of a new database file: it holds health data. SQLite gives -wal and -shm the mode of the file."""


def migrate(url: str, revision: str = "head") -> str:
    """Creates the file where there is none, runs what is missing, returns the revision. Not inside an event loop."""
    sync_url = url
    if url.startswith("sqlite:///"):
        _make(Path(url.removeprefix("sqlite:///")))
    else:
        sync_url = re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = sync_url
    config.attributes["secret"] = secrets.token_hex(32)
    command.upgrade(config, revision)
    return config.attributes.get("newer") or (revisions()[-1] if revision == "head" else revision)


def _make(path: Path) -> None:
    """An empty file where there is none; one that is there keeps its mode, which is the operator's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
