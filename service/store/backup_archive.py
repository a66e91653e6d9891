"""The backup file: a zip with the rows of each table and, last, manifest.json; written as a draft, read without trust.

A zip's directory stands at its end, so a truncated file is none; every table's digest stands in the manifest.
"""

import contextlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from service.store.backup_rows import KINDS, Table

FORMAT = 1
MAGIC = "enlace-backup"
MANIFEST = "manifest.json"
MANIFEST_MAX = 4_000_000
CHUNK = 1 << 20
_SPOILED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
)


class BackupError(Exception):
    """The work cannot be done: one sentence with the remedy."""


@dataclass(frozen=True)
class Held:
    """A table in the file: how many rows, and the SHA-256 of their bytes in order of the primary key."""

    table: Table
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. audit_heads: slot -> (last seq, digest in hex)."""

    engine: str
    revision: str
    software: str
    taken_us: int
    tables: tuple[Held, ...]
    audit_heads: dict[int, tuple[int, str]]

    def text(self) -> str:
        facts = {"kind": MAGIC, "format": FORMAT, **asdict(self)}
        facts["tables"] = [
            {"name": t.table.name, "columns": t.table.columns, "key": t.table.key, "rows": t.rows, "sha256": t.sha256}
            for t in self.tables
        ]
        return json.dumps(facts, indent=1)

    @property
    def rows(self) -> int:
        return sum(held.rows for held in self.tables)


Progress = Callable[[str, int], None]
"""(table, bytes more)"""


def no_progress(_table: str, _size: int) -> None:
    """For those who do not watch."""


class Draft:
    """A new archive beside its final name, for the owner only; gone unless `finish` was called."""

    def __init__(self, path: Path):
        self.path = path.with_name(f".{path.name}.draft-{secrets.token_hex(4)}")
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(handle, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    @contextmanager
    def member(self, table: str) -> Iterator[Callable[[bytes], object]]:
        """A function that takes the table's bytes one after the other."""
        with self._zip.open(f"tables/{table}.copy", "w", force_zip64=True) as member:
            yield member.write

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest; all is on the disk when it returns."""
        self._zip.writestr(MANIFEST, manifest.text())
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def rename(self, path: Path) -> None:
        os.replace(self.path, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self.path.unlink(missing_ok=True)


class Archive:
    """An existing backup file, open for reading; use it with `with`. Raises BackupError where it is none."""

    def __init__(self, path: Path):
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}.") from None
        try:
            self._zip = zipfile.ZipFile(self._file)
            if self._zip.getinfo(MANIFEST).file_size > MANIFEST_MAX:
                raise ValueError("a manifest of that size is none")
            self.manifest = _manifest(self._zip.read(MANIFEST))
        except BackupError:
            self._file.close()
            raise
        except _SPOILED as error:
            self._file.close()
            raise BackupError(f"{path} is no backup of Enlace, or it is truncated or damaged: use another.") from error

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_facts: object) -> None:
        self._zip.close()
        self._file.close()

    def chunks(self, table: str) -> Iterator[bytes]:
        try:
            with self._zip.open(f"tables/{table}.copy") as member:
                while data := member.read(CHUNK):
                    yield data
        except (*_SPOILED, OSError) as error:
            raise BackupError(f"{self._path} is damaged at table {table}: use another backup.") from error

    def verify(self, progress: Progress = no_progress) -> None:
        """Reads all of it and compares every digest. Raises BackupError."""
        names = {f"tables/{held.table.name}.copy" for held in self.manifest.tables} | {MANIFEST}
        if sorted(self._zip.namelist()) != sorted(names):
            raise BackupError(f"{self._path} does not hold the tables that its manifest names: use another backup.")
        for held in self.manifest.tables:
            digest = sha256()
            for data in self.chunks(held.table.name):
                digest.update(data)
                progress(held.table.name, len(data))
            if digest.hexdigest() != held.sha256:
                raise BackupError(f"{self._path} is damaged at table {held.table.name}: use another backup.")


def digest_of(path: Path) -> tuple[int, str]:
    """Bytes of the file and their SHA-256."""
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


def _manifest(text: bytes) -> Manifest:
    facts: dict[str, Any] = json.loads(text)
    if facts["kind"] != MAGIC:
        raise ValueError("another program's file")
    if not isinstance(facts["format"], int) or facts["format"] > FORMAT:
        raise BackupError(f"The backup has format {facts['format']}, this Enlace reads {FORMAT}: use a newer Enlace.")
    tables = tuple(
        Held(_table(one["name"], one["columns"], one["key"]), int(one["rows"]), str(one["sha256"]))
        for one in facts["tables"]
    )
    heads = {int(slot): (int(seq), str(digest)) for slot, (seq, digest) in facts["audit_heads"].items()}
    return Manifest(
        str(facts["engine"]), str(facts["revision"]), str(facts["software"]), int(facts["taken_us"]), tables, heads
    )


def _table(name: str, columns: list[list[str]], key: list[str]) -> Table:
    """Names go into SQL: nothing but words may come out of a file."""
    words = [name, *key, *(column for column, _ in columns)]
    if not all(word.isascii() and word.isidentifier() for word in words) or any(k not in KINDS for _, k in columns):
        raise ValueError("a table that Enlace cannot have made")
    return Table(name, tuple((column, kind) for column, kind in columns), tuple(key))
