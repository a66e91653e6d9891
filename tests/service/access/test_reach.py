"""What the scopes of a token leave, as alternatives of clauses: made once per scope text, without a database."""

from typing import Any

import pytest

from service.access.scoping import out_of_reach, reached, scoped
from service.auth.scopes import compile_allows
from service.caller import Caller, Reached, Rights, Role
from service.errors import Category
from service.search.criteria import HasEdge, HasKey
from service.search.index_rows import IndexRows
from service.search.keys import Keys, edge
from service.search.restriction import Reach, Restriction, See

KEYS = Keys(b"secret")
SEEN = Restriction((7,), (7,), {"Observation": See.PANEL}, 5)
MEMBER = KEYS.resource("Patient/a")
LAB, VITAL, FINAL = "category=laboratory", "category=vital-signs", "status=final"


def narrowed(text: str, letters: str, patient: str | None = None) -> Any:
    rights = compile_allows(text, launched=patient is not None)
    caller = Caller("c", Role.LCM, "Organization/o", allows=rights, patient=patient)
    return scoped(SEEN, caller, KEYS, letters).narrowed


def clauses_of(text: str) -> Any:
    """The clauses of one query, as a scope that has nothing else makes them."""
    return narrowed(f"system/Observation.r?{text}", "r")["Observation"][0].clauses


def test_each_query_becomes_its_own_clause() -> None:
    one, other, third = clauses_of(LAB), clauses_of(VITAL), clauses_of(FINAL)
    assert all(isinstance(made[0], HasKey) and len(made) == 1 and not made[0].negate for made in (one, other, third))
    assert len({one, other, third}) == 3
    [owner] = narrowed("system/Task.r?owner=Organization/o", "r")["Task"]
    assert owner == Reach((HasEdge((edge("Task", "owner"),), (KEYS.resource("Organization/o"),)),))


A, B, C = f"system/Observation.r?{LAB}", f"system/Observation.s?{VITAL}", f"system/Observation.rs?{FINAL}"


@pytest.mark.parametrize(
    ("text", "letters", "queries"),
    [
        (A, "r", [LAB]),
        *((A, letters, [LAB]) for letters in ("rs", "cr", "rc")),
        *((A, letters, None) for letters in ("s", "c", "")),
        (f"{A} {B}", "r", [LAB]),
        (f"{A} {B}", "s", [VITAL]),
        (f"{A} {B}", "rs", [f"{LAB}&{VITAL}"]),
        (C, "rs", [FINAL]),
        (f"{A} {C}", "r", [LAB, FINAL]),
        # Who asks more than another alternative is left out.
        (f"{A} {C}", "rs", [FINAL]),
        (f"{A} system/Observation.r?{LAB}&{FINAL}", "r", [LAB]),
        (f"system/Observation.r?{LAB}&{FINAL} {A}", "r", [LAB]),
        (f"{A} {A}", "r", [LAB]),
        (f"{A} system/Observation.r", "r", None),
        (f"{A} system/*.rs", "r", None),
        (f"{A} system/Observation.s", "rs", [LAB]),
        (f"system/Observation.s {A}", "sr", [LAB]),
        (f"{A} {B} system/Observation.s", "rs", [LAB]),
    ],
)
def test_alternatives_hold_for_all_letters_at_once(text: str, letters: str, queries: list[str] | None) -> None:
    found = narrowed(text, letters)
    if queries is None:
        assert found == {}
    else:
        assert list(found) == ["Observation"]
        assert list(found["Observation"]) == [Reach(clauses_of(one)) for one in queries]


def test_patient_scopes_are_of_one_record_but_for_the_directory() -> None:
    found = narrowed("patient/*.r", "r", "Patient/a")
    assert found["Observation"] == found["Patient"] == (Reach((), MEMBER),)
    assert "Organization" not in found and "Practitioner" not in found
    assert narrowed(f"patient/Observation.r?{LAB}", "r", "Patient/a") == {
        "Observation": (Reach(clauses_of(LAB), MEMBER),)
    }
    union = narrowed(f"patient/Observation.r user/Observation.r?{LAB}", "r", "Patient/a")
    assert union == {"Observation": (Reach((), MEMBER), Reach(clauses_of(LAB)))}
    assert narrowed("patient/Observation.r user/Observation.r", "r", "Patient/a") == {}


@pytest.mark.parametrize(
    "reach", [Reached((("nothing", "x"),)), Reached((("owner", "not a reference"),)), Reached((), patient=True)]
)
def test_what_cannot_be_asked_reaches_nothing(reach: Reached) -> None:
    rights = Rights({("r", "Task"): (reach,)})
    caller = Caller("c", Role.LCM, "Organization/o", allows=rights)
    assert scoped(SEEN, caller, KEYS, "r").narrowed == {"Task": ()}


def test_nothing_else_of_the_restriction_changes() -> None:
    service = Caller("c", Role.SYSTEM, "Organization/o", allows=lambda _letter, _type: True)
    assert scoped(SEEN, service, KEYS, "r") is SEEN
    caller = Caller("c", Role.LCM, "Organization/o", allows=compile_allows("system/*.rs"))
    assert scoped(SEEN, caller, KEYS, "r") is SEEN
    caller = Caller("c", Role.LCM, "Organization/o", allows=compile_allows(A))
    made = scoped(SEEN, caller, KEYS, "r")
    assert (made.subjects, made.own, made.types, made.now_us) == (SEEN.subjects, SEEN.own, SEEN.types, SEEN.now_us)


def test_reached_needs_the_patient_and_the_clauses_of_one_alternative() -> None:
    rows, lab = IndexRows(keys=(1,)), HasKey((1,), 0)
    other = HasKey((2,), 0)
    assert reached(None, rows, None)
    for alternatives, patient, wanted in (
        ((), 5, False),
        ((Reach(),), None, True),
        ((Reach((lab,)),), 5, True),
        ((Reach((other,)),), 5, False),
        ((Reach((lab, other)),), 5, False),
        ((Reach((other,)), Reach((lab,))), 5, True),
        ((Reach((), 5),), 5, True),
        ((Reach((), 5),), 6, False),
        ((Reach((), 5),), None, False),
        ((Reach((other,), 5),), 5, False),
        ((Reach((lab,), 6), Reach((other,), 5)), 5, False),
    ):
        assert reached(alternatives, rows, patient) is wanted, alternatives


def test_beside_the_reach_is_a_403_that_names_the_scope() -> None:
    error = out_of_reach("c", "Observation")
    assert error.category is Category.FORBIDDEN and error.reason == "scope-reach"
    assert error.headers == {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    [issue] = error.issues
    assert "Observation.c" in issue.diagnostics and (issue.expression, issue.code) == ("Observation", "forbidden")
