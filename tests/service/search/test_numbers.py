"""Numbers: R4's own examples of precision, each prefix against each kind of stored range, and what is too great."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search import numbers
from service.search.syntax import Refused
from tests.service.search.memory import fits


def found(asked: str, stored: object, datatype: str = "decimal") -> bool:
    span = numbers.stored(stored, datatype)
    assert span is not None
    return fits(numbers.within(*numbers.prefix_and_number(asked)), *span)


@pytest.mark.parametrize(
    ("asked", "stored", "expected"),
    [
        ("100", "99.5", True),
        ("100", "99.49", False),
        ("100", "100.49", True),
        ("100", "100.5", False),
        ("100.00", "99.995", True),
        ("100.00", "100.005", False),
        ("1e2", "95", True),
        ("1e2", "105", False),
        ("1e2", "94.9", False),
        ("5.40e-3", "0.005395", True),
        ("5.40e-3", "0.005405", False),
        ("0.27", "0.27", True),
        ("-5", "-5.4", True),
        ("ne100", "100.2", False),
        ("ne100", "101", True),
        ("lt100", "99.9", True),
        ("lt100", "100", False),
        ("le100", "100", True),
        ("le100", "100.1", False),
        ("gt100", "100", False),
        ("gt100", "100.1", True),
        ("ge100", "100", True),
        ("ge100", "99.9", False),
        ("sa100", "100", False),
        ("sa100", "100.1", True),
        ("eb100", "100", False),
        ("eb100", "99.9", True),
        ("ap100", "90", True),
        ("ap100", "110", True),
        ("ap100", "89.9", False),
        ("ap0", "0", True),
        ("ap-100", "-109", True),
    ],
)
def test_prefixes_and_precision(asked: str, stored: str, expected: bool):
    assert found(asked, Decimal(stored)) is expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("18", False),
        ("ge18", True),
        ("le65", True),
        ("gt65", False),
        ("lt18", False),
        ("sa17", True),
        ("eb66", True),
        ("ap20", True),
        ("ap80", False),
        ("ne18", True),
    ],
)
def test_a_range_is_compared_by_its_ends(asked: str, expected: bool):
    assert found(asked, {"low": {"value": 18}, "high": {"value": 65}}, "Range") is expected


def test_an_open_range_goes_on_for_ever():
    assert found("gt1000000", {"low": {"value": 18}}, "Range")
    assert found("lt-1000000", {"high": {"value": 18}}, "Range")
    assert numbers.stored({}, "Range") is None
    assert numbers.stored({"low": {"value": 9}, "high": {"value": 3}}, "Range") is None


@pytest.mark.parametrize("stored", [True, "5", None, float("nan"), float("inf"), Decimal("NaN"), {}, []])
def test_what_is_no_number_makes_no_row(stored: object):
    assert numbers.stored(stored, "decimal") is None


@pytest.mark.parametrize("stored", ["1e400", "-1e400", "1e999999", "1e-999999", "9" * 60])
def test_numbers_beyond_the_scale_stay_comparable(stored: str):
    low, high = numbers.stored(Decimal(stored), "decimal") or (1.0, 0.0)
    assert -numbers.BIG <= low == high <= numbers.BIG


@pytest.mark.parametrize(
    "asked", ["", "x", "1,5", "1.", ".5", "0x10", "1e9999", "9" * 41, "xx5", "nan", "inf", "gt", "٣", "5 "]
)
def test_what_is_refused(asked: str):
    with pytest.raises(Refused) as refused:
        numbers.prefix_and_number(asked)
    assert asked == "" or asked not in refused.value.sentence.split()


values = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)


@given(values, values)
def test_exactly_one_of_less_equal_and_greater(asked: Decimal, stored: Decimal):
    assert [found(f"{prefix}{asked:f}", stored) for prefix in ("lt", "gt")].count(True) == (asked != stored)
    assert found(f"ge{asked:f}", stored) == (not found(f"lt{asked:f}", stored))
    assert found(f"le{asked:f}", stored) == (not found(f"gt{asked:f}", stored))
    assert found(f"{asked:f}", stored) != found(f"ne{asked:f}", stored)
    assert found(f"{asked:f}", asked)
