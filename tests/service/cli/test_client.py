"""`enlace client` and `enlace token` as a person types them, on an embedded database."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service.cli import client, token
from tests.scenarios.harness import look
from tests.service.auth.smart_client import jwks_text
from tests.service.world import make, put

app = typer.Typer()
app.add_typer(client.app, name="client")
app.command("token")(token.token)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setenv("ENLACE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ENLACE_ENV", "sandbox")
    look(sqlite_url, lambda store: put(store, make("Organization/cbo-1")))


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(jwks_text())
    return str(path)


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


def add(keys: str, *more: str) -> tuple[int, str, str]:
    facts = ["--organization", "Organization/cbo-1", "--role", "cbo", "--scope", "system/Task.cruds", "--jwks", keys]
    facts += ["--purpose", "TREAT"]
    return run("client", "add", "Made-up CBO", *facts, *more)


def test_add_list_token_revoke(keys: str) -> None:
    code, client_id, _ = add(keys)
    assert code == 0 and len(client_id) == 36
    (row,) = json.loads(run("client", "list", "--json")[1])
    assert (row["id"], row["role"], row["keys"], row["active"]) == (client_id, "cbo", "inline", True)
    assert client_id in run("client", "list")[1]
    code, text, _ = run("token", "--role", "cbo", "--client", "Made-up CBO", "--ttl", "30m", "--json")
    assert code == 0 and json.loads(text)["expires_in"] == 1800
    assert len(run("token", "--role", "cbo")[1]) == 43
    assert run("client", "revoke", "Made-up CBO")[:2] == (0, f"Revoked {client_id}.")
    assert "(revoked)" in run("client", "list")[1]
    code, _, problem = run("token", "--role", "cbo")
    assert code == 1 and "enlace client list" in problem
    code, _, problem = run("client", "revoke", client_id)
    assert code == 1 and problem.endswith(".")


def test_suspend_show_resume_revoke(keys: str) -> None:
    client_id = add(keys)[1]
    assert run("client", "suspend", "Made-up CBO")[:2] == (0, f"Suspended {client_id}.")
    shown = json.loads(run("client", "show", client_id)[1])
    assert (shown["active"], shown["suspended"], shown["kind"]) == (False, True, "backend")
    assert "(suspended)" in run("client", "list")[1]
    assert run("token", "--role", "cbo")[0] == 1
    assert json.loads(run("client", "resume", client_id, "--json")[1])["active"] is True
    assert run("token", "--role", "cbo")[0] == 0
    run("client", "suspend", client_id)
    assert run("client", "revoke", client_id)[0] == 0
    for verb in ("suspend", "resume", "show"):
        code, _, problem = run("client", verb, client_id)
        assert code == 1 and "enlace client list" in problem


def test_an_app_is_added_with_its_redirects() -> None:
    facts = ["--organization", "Organization/cbo-1", "--purpose", "TREAT", "--scope", "launch/patient patient/*.rs"]
    app_facts = ["--kind", "public", "--redirect-uri", "https://app.example.org/cb", "--redirect-uri"]
    code, text, _ = run("client", "add", "Made-up app", *facts, *app_facts, "http://127.0.0.1:9/cb", "--json")
    shown = json.loads(text)
    assert code == 0 and (shown["kind"], shown["role"], shown["keys"]) == ("public", "app", "none")
    assert shown["redirect_uris"] == ["https://app.example.org/cb", "http://127.0.0.1:9/cb"]
    code, _, problem = run("client", "add", "Made-up app 2", *facts, "--kind", "public")
    assert code == 1 and "at least one redirect URI" in problem


def test_purpose_and_organization_are_mandatory(keys: str) -> None:
    facts = ["--role", "cbo", "--scope", "system/Task.cruds", "--jwks", keys]
    for given in (["--purpose", "TREAT"], ["--organization", "Organization/cbo-1"]):
        assert run("client", "add", "Made-up CBO", *facts, *given)[0] == 2


def test_add_by_url_prints_json() -> None:
    code, text, _ = add("https://cbo.example.org/jwks.json", "--json")
    assert code == 0 and json.loads(text)["keys"] == "https://cbo.example.org/jwks.json"


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_url"))
        monkeypatch.setenv("ENLACE_DATABASE_URL", url)
        look(url, lambda store: put(store, make("Organization/cbo-1")))


def test_refusals_of_add_name_the_way(keys: str, either: None) -> None:
    facts = ["--role", "cbo", "--scope", "system/Task.cruds", "--jwks", keys, "--purpose", "TREAT"]
    code, out, problem = run("client", "add", "Made-up CBO", "--organization", "Organization/nope", *facts)
    assert (code, out, problem) == (1, "", "There is no Organization/nope: write it first.")
    assert run("client", "list")[1] == "No clients."
    assert add(keys)[0] == 0
    code, out, problem = add(keys)
    assert (code, out) == (1, "") and '`enlace client revoke "Made-up CBO"`' in problem
    assert run("client", "revoke", "Made-up CBO")[0] == 0
    assert add(keys)[0] == 0, "the way that the sentence names"
    heading, *lines = run("client", "list")[1].splitlines()
    assert heading.split() == ["NAME", "ROLE", "ORGANIZATION", "CLIENT", "ID"]
    assert {line.index("Organization/") for line in lines} == {heading.index("ORGANIZATION")} and len(lines) == 2
    assert sorted(line.startswith("Made-up CBO (revoked)") for line in lines) == [False, True]


@pytest.mark.parametrize("jwks", ["/no/such/file", "http://cbo.example.org/jwks.json", __file__])
def test_bad_keys_are_one_sentence_and_exit_1(jwks: str) -> None:
    code, out, problem = add(jwks)
    assert (code, out) == (1, "") and problem.endswith(".") and "\n" not in problem


def test_wrong_use_is_exit_2() -> None:
    assert run("client", "add", "x")[0] == 2
    assert run("token")[0] == 2
    for ttl in ("8", "h", "0h", "1d", "-1h", "8 h"):
        assert run("token", "--role", "admin", "--ttl", ttl)[0] == 2


def test_a_missing_database_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENLACE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    code, _, problem = run("token", "--role", "admin")
    assert code == 1 and "enlace migrate" in problem


def test_production_issues_no_sandbox_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENLACE_ENV", "production")
    code, out, problem = run("token", "--role", "admin")
    assert (code, out) == (1, "") and "sandbox" in problem


@pytest.mark.parametrize("verb", [["client", "add"], ["client", "list"], ["client", "revoke"], ["token"]])
def test_every_verb_has_help_with_an_example(verb: list[str]) -> None:
    assert "Example: " in run(*verb, "--help")[1]


def test_endpoints(keys: str) -> None:
    code, client_id, _ = add(keys, "--endpoint", "hooks.example.org", "--endpoint", "@example.org")
    assert code == 0
    assert run("client", "endpoints", "Made-up CBO")[1].split() == ["hooks.example.org", "@example.org"]
    assert run("client", "endpoints", client_id, "b.example.org")[1] == "b.example.org"
    code, _, problem = run("client", "endpoints", client_id, "http://b.example.org")
    assert code == 1 and "hooks.example.org" in problem
    assert json.loads(run("client", "show", client_id)[1])["endpoints"] == ["b.example.org"]
    assert run("client", "endpoints", client_id, "--none")[1] == ""
