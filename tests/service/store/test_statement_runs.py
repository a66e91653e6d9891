"""Statements of a group: those of a Change in its order, in few round trips, none beside what it may depend on."""

from typing import Any

import pytest

from service.store import statement_runs
from service.store.change import Change, Committed, Statement
from service.store.engine import Store
from service.store.statement_runs import sent
from service.store.steps import DeleteIn, Insert, Run, Together
from tests.service.store.test_commit import gathered

META = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
TERM = "INSERT INTO inbox_term (term, inbox_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
NUMBER = "INSERT INTO stay_number (number, stay) VALUES (?, ?) ON CONFLICT DO NOTHING"
ENDED = "UPDATE inbox SET state = ? WHERE id = ?"
GONE = "DELETE FROM outbox WHERE vid = ?"
COPY = "INSERT INTO stay_number (number, stay) SELECT name, value FROM meta WHERE name = ?"


def shape(*changes: list[Statement]) -> list[Any]:
    """Tables that each step names, with a number behind those of many rows; what goes together is a list."""
    return [
        [_name(part) for part in step.parts] if isinstance(step, Together) else _name(step) for step in sent(changes)
    ]


def _name(part: Any) -> str:
    if isinstance(part, Insert):
        return f"{part.table} {len(part.rows)}"
    if isinstance(part, DeleteIn):
        return f"{part.table} without {part.values}"
    assert isinstance(part, Run)
    table = next(word for word in part.sql.split() if word in ("meta", "inbox_term", "stay_number", "inbox"))
    return table if len(part.rows) == 1 else f"{table} x {len(part.rows)}"


def test_given_rows_of_other_tables_go_with_what_is_before_them() -> None:
    terms = [Statement(TERM, (n, 1)) for n in range(3)]
    ended = Statement(ENDED, ("applied", 1))
    number, meta = Statement(NUMBER, ("n", "s")), Statement(META, ("a", "b"))
    assert shape([ended, *terms, number, meta]) == [["inbox", "inbox_term 3", "stay_number", "meta"]]
    assert shape([meta, number, ended, *terms]) == [["meta", "stay_number"], ["inbox", "inbox_term 3"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Statement(META, ("a", "b")), Statement(META, ("a", "c"))),
        (Statement(META, ("a", "b")), Statement(ENDED, ("applied", 1))),  # its snapshot must be of after the first
        (Statement(META, ("a", "b")), Statement(COPY, ("a",))),
        (Statement(COPY, ("a",)), Statement(META, ("a", "b"))),
        (Statement(NUMBER, ("a", "b")), Statement("DELETE FROM stay_number WHERE number = ?", ("a",))),
    ],
)
def test_what_may_depend_on_another_does_not_go_with_it(first: Statement, second: Statement) -> None:
    steps = list(sent([[first, second]]))
    assert not any(isinstance(step, Together) and len(step.parts) > 1 for step in steps)


def test_what_goes_by_its_number_goes_at_once() -> None:
    gone = [Statement(GONE, (n,)) for n in (3, 1, 2, 3)]
    assert shape(gone) == [["outbox without [1, 2, 3]"]]
    assert shape(*([one] for one in gone)) == ["outbox without [1, 2, 3]"]
    named = [Statement("DELETE FROM stay_number WHERE number = ?", (name,)) for name in "ab"]
    assert shape(named) == ["stay_number x 2"]


def test_a_wrong_count_of_parameters_goes_alone() -> None:
    """Beside another statement its parameters would be taken for those of the other."""
    steps = list(sent([[Statement(META, ("a",)), Statement(TERM, (1, 2, 3)), Statement(TERM, (1, 2))]]))
    assert [type(step) for step in steps] == [Run, Run]


def test_of_many_changes_the_same_statements_go_together() -> None:
    changes = [[Statement(NUMBER, (str(n), "s")), Statement(ENDED, ("applied", n))] for n in range(5)]
    assert shape(*changes) == ["stay_number 5", "inbox x 5"]
    assert shape(*changes[: statement_runs.FEW]) == [["stay_number"], ["inbox"]] * statement_runs.FEW


@pytest.mark.parametrize("changes", [1, statement_runs.FEW, statement_runs.FEW + 3])
async def test_all_of_it_happens_however_it_is_sent(store: Store, changes: int) -> None:
    def change(n: int) -> Change:
        terms = [Statement(TERM, (term, n)) for term in (1, 2, 2, 3)]
        more = "UPDATE meta SET value = value || ? WHERE name = ?"
        return Change(
            statements=[
                *terms,
                Statement(META, (f"run-{n}", "a")),
                Statement(NUMBER, (f"n{n}", "s")),
                Statement(NUMBER, (f"n{n}", "t")),
                Statement(more, ("b", f"run-{n}")),
                Statement(COPY, (f"run-{n}",)),
                Statement(more, ("c", f"run-{n}")),
                Statement(TERM, (4, n)),
                *(Statement("INSERT INTO outbox (vid) VALUES (?)", (10 * n + k,)) for k in (1, 2, 3)),
                *(Statement(GONE, (10 * n + k,)) for k in (3, 1)),
            ]
        )

    outcomes = await gathered(store, *(change(n) for n in range(changes)))
    assert [type(outcome) for outcome in outcomes] == [Committed] * changes
    numbers = range(changes)
    rows = await store.fetch("SELECT inbox_id, term FROM inbox_term ORDER BY inbox_id, term")
    assert [tuple(row) for row in rows] == [(n, term) for n in numbers for term in (1, 2, 3, 4)]
    rows = await store.fetch("SELECT number, stay FROM stay_number")
    made = [(f"n{n}", "s") for n in numbers] + [(f"n{n}", "t") for n in numbers]
    assert sorted(tuple(row) for row in rows) == sorted(made + [(f"run-{n}", "ab") for n in numbers])
    rows = await store.fetch("SELECT vid FROM outbox ORDER BY vid")
    assert [row[0] for row in rows] == [10 * n + 2 for n in numbers]
    rows = await store.fetch("SELECT name, value FROM meta WHERE name LIKE 'run-%' ORDER BY name")
    assert [tuple(row) for row in rows] == [(f"run-{n}", "abc") for n in numbers]
