"""What index rows say of a clause, and that nothing is guessed of clauses that they cannot answer."""

import pytest

from service.search.criteria import AllOf, AnyOf, Clause, HasEdge, HasId, HasKey, HasString, Not
from service.search.fits import fits
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
    ],
)
def test_each_clause(clause: Clause, expected: bool) -> None:
    assert fits((clause,), ROWS) is expected


def test_all_clauses_hold_together() -> None:
    assert fits((), ROWS) and fits((YES, YES), ROWS) and not fits((YES, NO), ROWS)
