"""Sort keys: where the values of each kind stand, in the order of a value set, and what has no order."""

import pytest

from fhir_profiles.catalog import catalog
from service.search.criteria import Sort
from service.search.keys import Keys, edge
from service.search.sorting import sort_of
from service.search.syntax import Refused
from service.search.values import index_rows

KEYS = Keys(b"k")


def sort(rtype: str, code: str, down: bool = False) -> Sort:
    return sort_of(catalog().types[rtype].search[code], rtype, KEYS, down)


@pytest.mark.parametrize(
    ("rtype", "code", "by", "name"),
    [
        ("Task", "authored-on", "date", "authored-on"),
        ("Patient", "family", "string", "family"),
        ("Questionnaire", "url", "string", "url"),
        ("RiskAssessment", "probability", "number", "probability"),
        ("Observation", "value-quantity", "number", "value-quantity"),
        ("Task", "code", "string", "code:text"),
        ("Encounter", "class", "string", "class:text"),
        ("Patient", "identifier", "string", "identifier"),
        ("Patient", "phone", "string", "phone"),
        ("Group", "value", "string", "value:text"),
        ("DocumentReference", "language", "string", "language"),
    ],
)
def test_where_values_stand(rtype: str, code: str, by: str, name: str):
    assert sort(rtype, code, down=True) == Sort(by, True, (KEYS.values(rtype, name),))


def test_the_head_and_references():
    assert sort("Task", "_id", down=True) == Sort("_id", True)
    assert sort("Task", "_lastUpdated") == Sort("_lastUpdated")
    assert sort("Task", "owner") == Sort("reference", False, (edge("Task", "owner"),))
    assert sort("Task", "patient") == Sort("reference", False, (edge("Task", "subject"),))


def test_codes_come_in_the_order_of_their_value_set():
    order = ["draft", "requested", "received", "accepted"]
    assert sort("Task", "status").keys[:4] == tuple(KEYS.token("Task", "status", None, code) for code in order)
    for code in ("active", "deceased"):
        wanted = tuple(KEYS.token("Patient", code, None, word) for word in ("false", "true"))
        assert sort("Patient", code) == Sort("code", False, wanted)


def test_a_code_without_words_has_a_place_and_words_come_first():
    def texts(code: dict) -> set[str]:
        rows = index_rows({"resourceType": "Task", "id": "t", "code": code}, "Task", KEYS)
        return {text for key, text in rows.strings if key == KEYS.values("Task", "code:text")}

    assert texts({"coding": [{"code": "abc"}]}) == {"abc"}
    assert texts({"coding": [{"code": "abc", "display": "words"}]}) == {"words"}
    assert texts({"coding": [{"code": "abc"}], "text": "said"}) == {"said"}
    assert texts({}) == set()


@pytest.mark.parametrize(
    ("rtype", "code"),
    [("Location", "near"), ("Observation", "code-value-quantity"), ("Observation", "combo-code")],
)
def test_what_has_no_order(rtype: str, code: str):
    with pytest.raises(Refused, match=f"'{code}'"):
        sort(rtype, code)
