"""The contract of every verb of `enlace`: help with an example, exit codes 0, 1 and 2, sentences, JSON."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service import cli
from service.cli import app
from tests.postgres_server import free_port
from tests.scenarios.harness import ROOT, look, put
from tests.service.auth.smart_client import jwks_text
from tests.service.world import make

POSTGRESQL_IN_DEEP = True


def verbs(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as words."""
    children: dict[str, object] = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in children.items():
        yield from verbs(child, (*path, name))


VERBS = sorted(verbs(typer.main.get_command(app)))
CONTRACT = {
    ("serve",), ("worker",), ("adt-listener",), ("demo",), ("migrate",), ("seed",), ("token",), ("openapi",),
    ("client", "add"), ("client", "list"), ("client", "revoke"),
    ("adt", "send"), ("adt", "simulate"), ("adt", "inbox"), ("adt", "show"), ("adt", "replay"),
    ("adt", "source", "add"), ("adt", "source", "list"), ("adt", "source", "edit"),
    ("files", "import"),
    ("backup",), ("restore",), ("doctor",), ("health",), ("settings",),
    ("sandbox", "admit"), ("sandbox", "discharge"), ("sandbox", "accept"), ("sandbox", "complete"),
}  # fmt: skip
"""Names on which users rely; contract.md "The enlace command", as far as it goes so far."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> str:
    for name in [name for name in os.environ if name.startswith("ENLACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_SECRET_KEY_FILE", str(tmp_path / "secret.key"))
    monkeypatch.setenv("ENLACE_MLLP_PORT", str(free_port()))
    return database_url


def enlace(*arguments: str) -> tuple[int, str, str]:
    """(exit code, output, errors); an exception that no verb expects fails the test."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def fails(*arguments: str) -> str:
    """The one sentence with which it fails."""
    code, out, problem = enlace(*arguments)
    lines = problem.strip().splitlines()
    assert (code, out, len(lines)) == (1, "", 1), (code, out, problem)
    assert lines[0].endswith((".", "?"))
    return lines[0]


def test_the_verbs_of_the_contract_are_there() -> None:
    assert set(VERBS) >= CONTRACT


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_shows_an_example(verb: tuple[str, ...]) -> None:
    code, out, _ = enlace(*verb, "--help")
    assert code == 0
    assert "Example: " in out
    example = out.split("Example: ", 1)[1]
    assert " ".join(("enlace", *verb[:-1])) in " ".join(example.split()), "the example shows another verb"


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_wrong_use_is_exit_2(verb: tuple[str, ...]) -> None:
    code, _, problem = enlace(*verb, "--no-such-option")
    assert code == 2
    assert "--no-such-option" in problem.replace("│", "")


def test_no_verb_prints_help() -> None:
    code, out, problem = enlace()
    assert code == 2 and "serve" in out + problem
    assert enlace("nonsense")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "abc"), ("worker", "--concurrency", "x"), ("seed", "--members", "0"), ("token",),
        ("token", "--role", "lcm", "--ttl", "soon"), ("client", "add", "x"), ("client", "revoke"), ("adt", "send"),
        ("adt", "simulate", "--rate", "0"), ("adt", "inbox", "--state", "lost"), ("adt", "show"), ("adt", "replay"),
        ("adt", "show", "abc"), ("adt", "inbox", "--limit", "0"), ("files", "import", "member-information"),
        ("files", "import", "gossip", __file__, "--plan", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_bad_value_is_exit_2(environment: str, arguments: tuple[str, ...]) -> None:
    code, _, problem = enlace(*arguments)
    assert code == 2 and problem


NEEDS_DATABASE = [
    ("token", "--role", "lcm"), ("client", "list"), ("client", "revoke", "x"), ("adt", "inbox"), ("adt", "show", "1"),
    ("adt", "replay", "1"), ("adt", "source", "list"), ("adt", "simulate", "--seconds", "0.1"),
    ("files", "import", "member-information", __file__, "--plan", "x"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", NEEDS_DATABASE, ids=lambda a: " ".join(a[:2]))
def test_no_database_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ENLACE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    assert "enlace migrate" in fails(*arguments)


def test_what_does_not_exist_is_one_sentence(environment: str, tmp_path: Path) -> None:
    members, message = tmp_path / "members.csv", tmp_path / "a01.hl7"
    members.write_text("Member CIN\n90000001A\n")
    message.write_bytes(b"MSH|^~\\&|EPIC|MERCY|||20260101||ADT^A01|1|P|2.5.1\r")
    assert "No such plan" in fails("files", "import", "member-information", str(members), "--plan", "nobody")
    assert "enlace client list" in fails("client", "revoke", "nobody")
    assert "enlace client list" in fails("token", "--role", "lcm", "--client", "nobody")
    assert "enlace adt inbox" in fails("adt", "show", "12345")
    assert "Nothing was sent" in fails("adt", "send", str(message))
    assert "cannot be read" in fails("adt", "send", str(tmp_path / "absent.hl7"))
    assert "enlace seed" in fails("adt", "simulate", "--seconds", "0.1")
    keys = ["--jwks", str(members), "--scope", "system/Task.rs", "--organization", "Organization/x"]
    keys += ["--purpose", "TREAT"]
    fails("client", "add", "x", "--role", "cbo", *keys)


def test_bad_settings_are_sentences(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    monkeypatch.setenv("ENLACE_HTTP_PROT", "1")
    assert "did you mean ENLACE_HTTP_PORT" in fails("client", "list")


def test_json_is_json(environment: str, tmp_path: Path) -> None:
    keys, members = tmp_path / "keys.json", tmp_path / "members.csv"
    keys.write_text(jwks_text())
    members.write_text("Member CIN,Last Name\n90000001A,Made\n")
    plan = {"system": "https://enlace.example.org/fhir/sid/plan", "value": "made-up-plan"}
    look(environment, lambda store: put(store, make("Organization/plan", identifier=[plan])))
    facts = ["--organization", "Organization/cbo", "--role", "cbo", "--jwks", str(keys), "--scope", "system/Task.rs"]
    facts += ["--purpose", "TREAT"]
    source = ["--application", "EPIC", "--facility", "MERCY", "--organization", "Organization/mercy"]
    look(environment, lambda store: put(store, make("Organization/cbo"), make("Organization/mercy")))
    assert enlace("adt", "source", "add", "mercy", *source)[0] == 0

    def parsed(*arguments: str) -> object:
        code, out, problem = enlace(*arguments, "--json")
        assert (code in (0, 1), problem) == (True, ""), (arguments, code, problem)
        return json.loads(out)

    added = parsed("client", "add", "Made-up CBO", *facts)
    assert parsed("client", "list") == [added]
    assert isinstance(parsed("token", "--role", "cbo"), dict)
    assert parsed("client", "revoke", "Made-up CBO") == {**added, "active": False}  # type: ignore[dict-item]
    assert isinstance(parsed("adt", "source", "list"), list)
    imported = parsed("files", "import", "member-information", str(members), "--plan", "made-up-plan")
    assert isinstance(imported, dict) and "counts" in imported
    assert parsed("adt", "inbox") == []
    assert enlace("adt", "inbox")[1].strip() == "No messages."


def test_as_a_process(sqlite_url: str, tmp_path: Path) -> None:
    """The real entry: no traceback for what no verb expects, nothing of PHI either."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")}

    def run(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=env | {"ENLACE_DATABASE_URL": url}, cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database, it belongs to Zyxwvutsrq" * 100)
    done = run(f"sqlite:///{broken}", "client", "list")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Zyxwvutsrq" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.strip().endswith("."), done.stderr
    done = run(sqlite_url, "client", "list", "--json")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")
    first = run(f"sqlite:///{tmp_path}/new/enlace.db", "migrate")
    again = run(f"sqlite:///{tmp_path}/new/enlace.db", "migrate")
    assert (first.returncode, again.returncode, first.stdout) == (0, 0, again.stdout)


def test_the_version_is_said() -> None:
    code, out, _ = enlace("--version")
    assert code == 0 and re.fullmatch(r"Enlace \d\S*", out.strip())


@pytest.mark.parametrize(
    ("missing", "words"),
    [("service.store.gone", "this checkout is incomplete: see `git status`"), ("orjson", "package orjson")],
)
def test_code_that_cannot_be_loaded_blames_no_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, words: str
) -> None:
    def broken() -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert words in said and "DATABASE" not in said
