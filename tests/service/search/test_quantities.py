"""Quantities: with and without unit, in another unit that measures the same, with comparators, money, samples."""

from decimal import Decimal
from typing import Any

import pytest

from service.search import quantities
from service.search.syntax import Refused
from tests.service.search.memory import fits

UCUM = "http://unitsofmeasure.org"
GRAMS = {"value": Decimal("5.4"), "unit": "grams", "system": UCUM, "code": "g"}
DOLLARS = {"value": Decimal("25.45"), "currency": "USD"}


def found(asked: str, stored: dict[str, Any], datatype: str = "Quantity") -> bool:
    unit, bounds = quantities.asked(asked)
    return any(fits(bounds, low, high) for name, low, high in quantities.rows(stored, datatype) if name == unit)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("5.4", True),
        ("gt5", True),
        ("5.4||g", True),
        ("5.4||grams", True),
        ("5.4||kg", False),
        (f"5.4|{UCUM}|g", True),
        (f"5.40|{UCUM}|g", True),
        (f"5400|{UCUM}|mg", True),
        (f"0.0054|{UCUM}|kg", True),
        (f"ge5400|{UCUM}|mg", True),
        (f"gt5400|{UCUM}|mg", False),
        (f"5.4|{UCUM}|mg", False),
        ("5.4|http://example.org|g", False),
        (f"5.4|{UCUM}|G", False),
    ],
)
def test_units(asked: str, expected: bool):
    assert found(asked, GRAMS) is expected


@pytest.mark.parametrize(
    ("comparator", "asked", "expected"),
    [
        ("<", "lt5.4", True),
        ("<", "5.4", False),
        ("<", "ge5.4", False),
        ("<=", "ge5.4", True),
        (">", "gt5.4", True),
        (">", "le5.4", False),
        (">=", "le5.4", True),
        (">", f"gt1000|{UCUM}|mg", True),
    ],
)
def test_comparators_widen(comparator: str, asked: str, expected: bool):
    assert found(asked, {**GRAMS, "comparator": comparator}) is expected


def test_money_range_and_samples():
    assert found("25.45|urn:iso:std:iso:4217|USD", DOLLARS, "Money")
    assert found("25.45||USD", DOLLARS, "Money") and not found("25.45||EUR", DOLLARS, "Money")
    ages = {"low": {"value": 18, "system": UCUM, "code": "a"}}
    assert found(f"gt17|{UCUM}|a", ages, "Range") and found(f"ge216|{UCUM}|mo", ages, "Range")
    wave = {"origin": {"value": 2, "system": UCUM, "code": "mV"}, "factor": 2, "data": "-1 E 3 L"}
    assert found("ge8", wave, "SampledData") and found("le0", wave, "SampledData")
    assert not found("gt8", wave, "SampledData")


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        ({}, "Quantity"),
        ({"unit": "g"}, "Age"),
        ({"currency": "USD"}, "Money"),
        ({}, "Range"),
        ({"low": {"unit": "a"}}, "Range"),
        ({"origin": {"value": 0}, "data": "E U L"}, "SampledData"),
        ({"data": "1 2"}, "SampledData"),
    ],
)
def test_what_has_no_number_makes_no_row(value: dict[str, Any], datatype: str):
    assert quantities.rows(value, datatype) == []


def test_few_rows():
    assert len(quantities.rows({"value": 1}, "Quantity")) == 1
    assert len(quantities.rows({"value": 1, "unit": "g", "system": UCUM, "code": "g"}, "Quantity")) == 3
    assert len(quantities.rows(GRAMS, "Quantity")) == 4


@pytest.mark.parametrize("asked", ["", "5|g", "5||", f"5|{UCUM}|", f"5|{UCUM}|g|x", "|x|y", "five", "||g"])
def test_what_is_refused(asked: str):
    with pytest.raises(Refused):
        quantities.asked(asked)


def test_escapes_in_a_unit():
    assert found("5||a\\|b", {"value": 5, "unit": "a|b"})
