"""What index rows say of a clause, and that nothing is guessed of clauses that they cannot answer."""

import pytest

from service.search.criteria import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasString,
    Not,
    Updated,
)
from service.search.fits import Head, fits
from service.search.index_rows import IndexRows

ROWS = IndexRows(keys=(1, 2), edges=((10, 100), (11, 101)))
YES, NO, UNKNOWN = HasKey((1, 9), 0), HasKey((8, 9), 0), HasId(("x",))


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (YES, True),
        (NO, False),
        (HasKey((1,), 0, negate=True), False),
        (HasKey((9,), 0, negate=True), True),
        (HasEdge((10, 11), (101,)), True),
        (HasEdge((10,), (101,)), False),
        (HasEdge((10,), (101,), negate=True), True),
        (AllOf((YES, HasEdge((10,), (100,)))), True),
        (AllOf((YES, NO)), False),
        (AnyOf((NO, YES)), True),
        (AnyOf(()), False),
        (Not(NO), True),
        (UNKNOWN, False),
        (HasString(1, ("a",)), False),
        (Not(UNKNOWN), False),
        (AnyOf((UNKNOWN, YES)), True),
        (Not(AnyOf((UNKNOWN, NO))), False),
        (Not(AllOf((UNKNOWN, YES))), False),
        (Not(AllOf((UNKNOWN, NO))), True),
        (Not(AnyOf((NO, NO))), True),
        (Not(Not(AnyOf((UNKNOWN, NO)))), False),
        (AllOf((UNKNOWN, YES)), False),
    ],
)
def test_each_clause(clause: Clause, expected: bool) -> None:
    assert fits((clause,), ROWS) is expected


def test_all_clauses_hold_together() -> None:
    assert fits((), ROWS) and fits((YES, YES), ROWS) and not fits((YES, NO), ROWS)


DATED = IndexRows(dates=((5, 100, 200), (6, 700, 800)))


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (Between(lo_ge=100, hi_le=200), True),
        (Between(lo_ge=101, hi_le=200), False),
        (Between(lo_ge=100, hi_le=199), False),
        (Between(hi_gt=199), True),
        (Between(hi_gt=200), False),
        (Between(lo_lt=101), True),
        (Between(lo_lt=100), False),
        (Between(lo_ge=100, hi_le=200, negate=True), False),
        (Between(lo_ge=0, hi_le=50, negate=True), True),
    ],
)
def test_dates(bound: Between, expected: bool) -> None:
    assert fits((HasDate(5, (bound,)),), DATED) is expected
    assert not fits((HasDate(7, (bound,)),), DATED)


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (HasId(("x", "y")), True),
        (HasId(("y",)), False),
        (Not(HasId(("y",))), True),
        (Updated(((None, 1000),)), False),
        (Updated(((1000, None),)), True),
        (Updated(((None, 1001),)), True),
        (Updated(((1001, None),)), False),
        (Updated(((None, 5), (999, 2000))), True),
    ],
)
def test_id_and_time_are_known_by_a_head_alone(clause: Clause, expected: bool) -> None:
    assert fits((clause,), ROWS, Head("x", 1000)) is expected
    assert not fits((clause,), ROWS) and not fits((Not(clause),), ROWS)
