"""Merge patch: the test cases of RFC 7396, appendix A."""

import copy
from typing import Any

import pytest

from service.patching import merge_patch
from service.patching.work import Work
from tests.service.patching.samples import patched

CASES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": "b"}, {}, {"a": "b"}),
]


@pytest.mark.parametrize(("target", "patch", "result"), CASES)
def test_cases_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch.apply(copy.deepcopy(target), merge_patch.read(patch), Work()) == result


def test_null_takes_away_and_an_array_is_replaced_whole() -> None:
    result = patched({"gender": None, "name": [{"text": "n"}], "maritalStatus": {"text": "married"}})
    assert "gender" not in result and result["name"] == [{"text": "n"}]
    assert result["maritalStatus"] == {"text": "married"} and result["birthDate"] == "1980-02-03"
