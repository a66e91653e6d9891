"""`enlace adt match`: what waits is listed without a value, looked at with an audit row, and decided by one or two."""

import json

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.change import Change
from service.store.engine import Store
from service.workflow import match_reviews
from service.workflow.member_match import Match, Ranked
from tests.scenarios.harness import look
from tests.service.workflow.match_world import CIN, STAY, context, keep, member, said

POSTGRESQL_IN_DEEP = True
RANKED = (Ranked("Patient/rosa", 9.0, ("family=agree",)),)


def enlace(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["adt", "match", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, database_url: str) -> str:
    """A stay that contradicts Rosa's record, and one that is hers."""
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def write(store: Store) -> None:
        rosa = await member(store)
        await keep(store, said(birth_date="1950-01-01"), 1)
        await keep(store, said(cins=(CIN,)), 2, rosa, "stay-hers")
        found = Match(None, "", "mrn-conflict", ("birth-date=differ",), 9.0, RANKED)
        opened = match_reviews.opened(context(store), STAY, 1, "mercy", found)
        await store.commit(Change(statements=opened))

    look(database_url, write)
    return database_url


async def _audits(store: Store) -> list[str]:
    rows = await store.fetch("SELECT kind FROM audit WHERE kind LIKE 'match-%' ORDER BY slot, seq")
    return [str(row[0]) for row in rows]


def test_two_persons_link_a_stay(url: str) -> None:
    [row] = json.loads(enlace("list", "--json")[1])
    listed = enlace("list")[1]
    assert "mrn-conflict" in listed and "Patient/rosa (+9)" in listed
    assert not {"Quillfeather", "1950-01-01", "1980-05-17", CIN} & set(listed.split())
    shown = enlace("show", str(row["review"]))[1]
    assert "1950-01-01" in shown and "1980-05-17" in shown and CIN in shown
    [born] = [one for one in json.loads(enlace("show", STAY, "--json")[1])["compared"] if one["fact"] == "born"]
    assert born == {"fact": "born", "message": "1950-01-01", "Patient/rosa": "1980-05-17"}
    code, said_, _ = enlace("link", str(row["review"]), "rosa", "--by", "pat")
    assert (code, said_.split(".")[0]) == (0, "Proposed")
    code, _, refused = enlace("second", str(row["review"]), "--by", "pat")
    assert code == 1 and "another person must agree" in refused
    assert enlace("second", STAY, "--by", "sam")[:2] == (0, "Decided: linked.")
    assert enlace("list")[1] == "No reviews."
    assert [one["second"] for one in json.loads(enlace("list", "--state", "linked", "--json")[1])] == ["sam"]
    assert look(url, _audits) == ["match-read", "match-read", "match-proposed", "match-decided"]


def test_unlink_is_proposed_and_agreed_and_nobody_is_said(url: str) -> None:
    assert enlace("unlink", "stay-hers", "--by", "pat")[1].startswith("Proposed")
    assert enlace("second", "stay-hers", "--by", "sam")[1] == "Decided: unlinked."
    assert enlace("nobody", STAY, "--by", "pat")[1].startswith("Proposed")
    assert enlace("nobody", STAY, "--by", "sam", "--note", "neighbour")[1] == "Decided: nobody."


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("list", "--state", "lost"), 2, "--state is one of"),
        (("show", "7"), 1, "no review 7"),
        (("link", "7", "rosa", "--by", "pat"), 1, "no review 7"),
        (("nobody", "stay-none", "--by", "pat"), 1, "no stay stay-none"),
        (("second", "stay-none", "--by", "pat"), 1, "no review stay-none"),
        (("second", STAY, "--by", "pat"), 1, "Nothing is proposed"),
    ],
)
def test_what_cannot_be_is_a_sentence(url: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, _, told = enlace(*arguments)
    assert found == code and words in told
