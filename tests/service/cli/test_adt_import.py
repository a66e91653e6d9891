"""`enlace adt import`: files of every shape, counted whole, and twice is once."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import adt_import, app
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from tests.scenarios.harness import look
from tests.service.adt_world import MERCY, Sender

MESSAGES: list[bytes] = []


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> str:
    monkeypatch.setenv("ENLACE_DATABASE_URL", sqlite_url)

    async def ready(store: Store) -> None:
        await store.commit(Change(statements=[sources.put(MERCY)]))
        sender = Sender(store)
        MESSAGES[:] = [sender.adt("A01"), sender.adt("A08"), sender.adt("A03")]

    look(sqlite_url, ready)
    return sqlite_url


def taken(*files: Path, code: int = 0) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["adt", "import", "--json", *map(str, files)])
    assert done.exit_code == code, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def rows(url: str) -> list[tuple[str, str]]:
    found = look(url, lambda store: store.fetch("SELECT event, state FROM inbox ORDER BY id"))
    return [tuple(row) for row in found]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def batch(count: int) -> bytes:
    return b"FHS|^~\\&|EPIC\rBHS|^~\\&|EPIC\r" + b"".join(MESSAGES) + f"BTS|{count}\rFTS|1\r".encode()


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda: b"".join(MESSAGES), id="one after the other"),
        pytest.param(lambda: b"".join(MESSAGES).replace(b"\r", b"\r\n"), id="as a text file"),
        pytest.param(lambda: b"\r\n\r\n".join(MESSAGES), id="with empty lines between"),
        pytest.param(lambda: batch(3), id="a batch"),
        pytest.param(lambda: gzip.compress(batch(3)), id="a packed batch"),
        pytest.param(lambda: b"".join(b"\x0b" + m + b"\x1c\r" for m in MESSAGES), id="as written to the socket"),
    ],
)
def test_a_file_is_taken_whole_and_once(url: str, tmp_path: Path, shape: Any) -> None:
    path = written(tmp_path / "monday.hl7", shape())
    [first] = taken(path)
    assert (first["messages"], first["stored"], first["repeated"]) == (3, 3, 0)
    [second] = taken(path)
    assert (second["messages"], second["stored"], second["repeated"]) == (3, 0, 3)
    assert rows(url) == [("A01", "stored"), ("A08", "stored"), ("A03", "stored")]


def test_a_wrong_count_is_told_and_all_are_taken(url: str, tmp_path: Path) -> None:
    path = written(tmp_path / "short.hl7", batch(5))
    done = CliRunner().invoke(app, ["adt", "import", str(path)])
    assert done.exit_code == 0
    assert "short.hl7 says that it holds 5 messages: ask the sender what is missing." in done.stdout
    assert len(rows(url)) == 3


def test_what_is_none_is_counted_and_the_rest_is_taken(url: str, tmp_path: Path) -> None:
    broken = b"MSH|^~\\&|EPIC|MERCY\rPID|1\r"
    [one, two] = taken(
        written(tmp_path / "a.hl7", broken + MESSAGES[0].replace(b"EPIC", b"CERNER", 1)),
        written(tmp_path / "b.hl7", MESSAGES[1]),
        code=1,
    )
    assert (one["unreadable"], one["unregistered"], two["stored"]) == (1, 1, 1)


def test_an_empty_batch_is_no_failure(url: str, tmp_path: Path) -> None:
    nothing = written(tmp_path / "a.hl7", b"FHS|^~\\&|EPIC\rBHS|^~\\&|EPIC\rBTS|0\rFTS|1\r")
    assert [one["messages"] for one in taken(nothing, written(tmp_path / "b.hl7", b""))] == [0, 0]
    assert rows(url) == []


def test_nothing_is_taken_where_a_file_cannot_be_read(url: str, tmp_path: Path) -> None:
    good = written(tmp_path / "good.hl7", MESSAGES[0])
    cut = written(tmp_path / "cut.hl7.gz", gzip.compress(MESSAGES[0])[:-9])
    for path in (cut, tmp_path / "nowhere.hl7", tmp_path):
        done = CliRunner().invoke(app, ["adt", "import", str(good), str(path)])
        assert (done.exit_code, done.stderr.startswith("Nothing was taken: ")) == (1, True), done.output
    assert rows(url) == []


def test_files_and_messages_have_their_caps(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "big.hl7", MESSAGES[0] + MESSAGES[1] + b"OBX|1|ED|" + b"x" * 17_000_000 + b"\r")
    [one] = taken(path, code=1)
    assert (one["stored"], one["refused"]) == (1, 1)
    monkeypatch.setattr(adt_import, "MAX_BYTES", 1000)
    assert (
        CliRunner().invoke(app, ["adt", "import", str(path)]).stderr.strip().endswith("cut it between two messages).")
    )
