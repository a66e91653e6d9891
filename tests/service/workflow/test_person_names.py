"""Names of people compared: families, first names, suffixes, and names that are none."""

import pytest

from service.workflow.match_evidence import digits
from service.workflow.person_names import family_keys, newborn_name, plain, same_family, same_given, suffix_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GARCIA-LOPEZ", "Garcia Lopez", True), ("GARCIA-LOPEZ", "García", True), ("O'Brien", "OBRIEN", True),
        ("De la Cruz", "DELACRUZ", True), ("De la Cruz", "De la Torre", False), ("Nguyen", "Nguyên", True),
        ("Smith Jr", "SMITH", True), ("Kim", "Kimura", False), ("O\u2019Neil", "ONEIL", True),
    ],
)  # fmt: skip
def test_family_names(one: str, other: str, same: bool) -> None:
    assert same_family(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["Jose", "Luis"], ["José Luis"], True), (["Jose", "Luis"], ["Jose", "Maria"], False),
        (["Maria", "E"], ["Maria", "Elena"], True), (["Maria"], ["Maria", "Elena"], True),
        (["Bill"], ["William"], True), (["M"], ["Maria"], False), (["Ana"], ["Anabel"], False), ([], ["Ana"], False),
    ],
)  # fmt: skip
def test_given_names(one: list[str], other: list[str], same: bool) -> None:
    assert same_given(one, other) is same


def test_small_rules_of_names_and_numbers() -> None:
    assert suffix_of("Lopez Jr.", "") == suffix_of("Lopez", "II") == "2"
    assert suffix_of("Ii", "") == ""
    assert family_keys("-- '") == frozenset()
    assert newborn_name(("BABY", "BOY A")) and newborn_name(("Girl B",)) and not newborn_name(("Babette",))
    assert plain("  Núñez-D'Arcy ") == "nunez darcy"
    assert (digits("+1 (916) 555-0142"), digits("0000000000"), digits("555")) == ("9165550142", "", "")
