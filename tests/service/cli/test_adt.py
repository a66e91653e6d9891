"""The adt verbs as a person types them: sources keep what is not named, the inbox is searched, JSON is one array."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.scenarios.harness import ROOT, look
from tests.service.adt_world import Sender, adt_world
from tests.service.world import make, put

ADD = ["--application", "EPIC", "--facility", "MERCY", "--organization", "Organization/mercy"]


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> str:
    monkeypatch.setenv("ENLACE_DATABASE_URL", sqlite_url)
    return sqlite_url


def enlace(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["adt", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


def source() -> dict[str, object]:
    [found] = json.loads(enlace("source", "list", "--json")[1])
    assert isinstance(found, dict)
    return found


def test_the_example_of_send_is_a_file_that_is_there() -> None:
    [path] = re.findall(r"Example: enlace adt send (\S+)", enlace("send", "--help")[1])
    assert (ROOT / path).is_file()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, database_url: str) -> str:
    """Two hospitals, on either database."""
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    look(database_url, lambda store: put(store, make("Organization/mercy"), make("Organization/hope")))
    return database_url


def test_a_source_that_cannot_be_is_a_sentence(place: str) -> None:
    assert enlace("source", "list")[1] == "No sending systems."
    nope = "There is no Organization/nope: write it first."
    assert enlace("source", "add", "mercy", *ADD[:-1], "Organization/nope")[::2] == (1, nope)
    assert enlace("source", "list")[1] == "No sending systems."
    code, said, _ = enlace("source", "add", "mercy", *ADD)
    assert (code, said.split(".")[0]) == (0, "Registered mercy")
    exists = "mercy exists: use `enlace adt source edit`."
    assert enlace("source", "add", "mercy", "--application", "X", *ADD[2:])[::2] == (1, exists)
    taken = "EPIC/MERCY is already mercy: edit that one."
    assert enlace("source", "add", "mercy-2", *ADD)[::2] == (1, taken)
    assert enlace("source", "add", "hope-main-campus", *ADD[:3], "HOPE", "--organization", "Organization/hope")[0] == 0
    assert enlace("source", "edit", "hope-main-campus", "--facility", "MERCY")[::2] == (1, taken)
    assert enlace("source", "edit", "mercy", "--organization", "Organization/nope")[::2] == (1, nope)
    assert enlace("source", "edit", "mercy", "--display", "Mercy")[1].startswith("Changed mercy.")
    heading, *lines = enlace("source", "list")[1].splitlines()
    assert heading.split() == ["NAME", "MSH-3/MSH-4", "ORGANIZATION"]
    assert {line.index("Organization/") for line in lines} == {heading.index("ORGANIZATION")} and len(lines) == 2


def test_edit_keeps_what_is_not_named(url: str, tmp_path: Path) -> None:
    look(url, lambda store: put(store, make("Organization/mercy")))
    maps = tmp_path / "maps.json"
    maps.write_text('{"class_map": {"PV1-2:HOV": "OBSERVATION"}, "cin_authorities": ["MEDI-CAL"]}')
    more = ["--display", "Mercy", "--zone", "America/Denver", "--charset", "8859/1", "--ack-mode", "enhanced"]
    assert enlace("source", "add", "mercy", *ADD, *more, "--maps", str(maps))[0] == 0
    before = source()
    assert enlace("source", "edit", "mercy")[0] == 0 and source() == before
    assert enlace("source", "edit", "mercy", "--charset", "", "--facility", "MERCY2")[0] == 0
    config = before["config"] | {"charset": ""}  # type: ignore[operator]
    assert source() == before | {"facility": "MERCY2", "config": config}
    maps.write_text('{"class_map": {}, "reply_always": false}')
    assert enlace("source", "edit", "mercy", "--maps", str(maps), "--ack-mode", "")[0] == 0
    assert source()["config"] == config | {"class_map": {}, "reply_always": False, "ack_mode": None}
    for wrong in (["--zone", "Nowhere/Land"], ["--ack-mode", "loud"], ["--maps", __file__]):
        assert enlace("source", "edit", "mercy", *wrong)[0] == 2
    maps.write_text("[1]")
    assert enlace("source", "edit", "mercy", "--maps", str(maps))[0] == 2
    assert enlace("source", "edit", "nobody", "--zone", "UTC")[::2] == (
        1, "There is no source nobody: see `enlace adt source list`."
    )  # fmt: skip
    assert source()["config"] == config | {"class_map": {}, "reply_always": False, "ack_mode": None}


def test_the_inbox_is_searched_and_says_where_it_ended(url: str) -> None:
    async def fill(store: object) -> None:
        await adt_world(store)  # type: ignore[arg-type]
        sender = Sender(store)  # type: ignore[arg-type]
        await sender(*(sender.adt("A01", visit_number=f"V{number}") for number in (1, 2, 3)))

    look(url, fill)

    def ids(*arguments: str) -> list[str]:
        return [row["control_id"] for row in json.loads(enlace("inbox", *arguments, "--json")[1])]

    assert ids() == ["C3", "C2", "C1"]
    assert ids("--control-id", "C2") == ids("--visit", "V2") == ["C2"]
    assert ids("--mrn", "M-91000001A", "--limit", "2") == ["C3", "C2"]
    assert ids("--source", "mercy", "--state", "applied", "--since", "1") == ["C3", "C2", "C1"]
    code, out, said = enlace("inbox", "--look", "2")
    assert (code, len(out.splitlines())) == (0, 2)
    assert said.startswith("Looked at the newest 2 messages only, back to ") and "--look 20 looks at more." in said
    assert enlace("inbox", "--visit", "V9") == (0, "No messages.", "")
    [row] = json.loads(enlace("inbox", "--control-id", "C1", "--json")[1])
    shown = json.loads(enlace("show", str(row["id"]), "--json")[1])
    assert (shown["control_id"], shown["state"], shown["understood"][0]["effect"]) == ("C1", "applied", "admit")
    assert "raw" not in shown and "Quillfeather" not in json.dumps(shown)
    assert "Quillfeather" in json.loads(enlace("show", str(row["id"]), "--json", "--raw")[1])["raw"]
    assert "Quillfeather" not in enlace("show", str(row["id"]))[1]
    assert enlace("replay", "--state", "lost")[0] == 2


def test_what_was_answered_is_said_though_the_next_message_is_not(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listener:
        def __init__(self, *_place: object) -> None: ...

        async def __aenter__(self) -> "Listener":
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def exchange(self, message: bytes) -> bytes:
            if message.startswith(b"MSH|^~\\&|silent"):
                raise TimeoutError
            return b"MSH|^~\\&\rMSA|AR|\rERR||||E||||Too large.\r" if b"big" in message else b"MSH|^~\\&\rMSA|AA|1\r"

    monkeypatch.setattr("service.cli.mllp_client.Connection", Listener)
    for name in ("a", "big", "silent", "z"):
        (tmp_path / f"{name}.hl7").write_bytes(b"MSH|^~\\&|" + name.encode() + b"\r")
    files = [str(tmp_path / f"{name}.hl7") for name in ("a", "big", "silent", "z")]
    code, said, trouble = enlace("send", *files)
    assert (code, said.splitlines()) == (1, ["AA  a.hl7", "AR  big.hl7  Too large."])
    assert trouble.startswith("silent.hl7: no answer within 30 s") and trouble.endswith("2 of 4 were answered.")
