"""JSON Patch: the examples of RFC 6902, what it refuses, and all faults at once."""

import copy
from typing import Any

import pytest

from service.errors import Category, FhirError
from service.patching import json_patch
from service.patching.work import Work, same
from tests.service.patching.samples import PATIENT, patched, refused

# Appendix A of RFC 6902: (document, patch, result).
EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo", "foo": "bar"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~1", "value": 9}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}], {"foo": ["bar", ["abc", "def"]]}),
    ({"a": 1}, [{"op": "add", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/a/c"}], {"a": {"b": 1, "c": {"b": 1}}}),
    ({"a": None}, [{"op": "test", "path": "/a", "value": None}], {"a": None}),
    (
        {"a": [1]},
        [{"op": "replace", "path": "/a/0", "value": 2}, {"op": "move", "from": "/a", "path": "/a"}],
        {"a": [2]},
    ),
]


@pytest.mark.parametrize(("document", "patch", "result"), EXAMPLES)
def test_examples_of_the_rfc(document: Any, patch: Any, result: Any) -> None:
    assert json_patch.apply(copy.deepcopy(document), json_patch.read(patch), Work()) == result


@pytest.mark.parametrize(
    "row",
    [
        {"op": "remove", "path": "/nope"},
        {"op": "replace", "path": "/nope", "value": 1},
        {"op": "test", "path": "/nope", "value": 1},
        {"op": "test", "path": "/gender", "value": "male"},
        {"op": "test", "path": "/active", "value": 1},
        {"op": "add", "path": "/nope/x", "value": 1},
        {"op": "add", "path": "/gender/x", "value": 1},
        {"op": "add", "path": "/name/3", "value": {}},
        {"op": "add", "path": "/name/01", "value": {}},
        {"op": "add", "path": "/name/x", "value": {}},
        {"op": "add", "path": "/name/-1", "value": {}},
        {"op": "replace", "path": "/name/-", "value": {}},
        {"op": "remove", "path": "/name/2"},
        {"op": "remove", "path": ""},
        {"op": "move", "from": "/nope", "path": "/gender"},
        {"op": "copy", "from": "/name/9", "path": "/name/-"},
        {"op": "test", "path": "/name/99999999999999999999", "value": 1},
    ],
)
def test_what_cannot_be_done_is_422_with_its_index(row: Any) -> None:
    with pytest.raises(FhirError) as caught:
        patched([{"op": "test", "path": "/active", "value": True}, row])
    assert caught.value.category is Category.RULE
    assert [text.split(":")[0] for text in refused(caught.value)] == [f"operation[1] ({row['op']})"]


def test_what_has_no_form_is_400_and_all_of_it_is_said() -> None:
    rows: list[Any] = [
        5,
        {"op": "rename", "path": "/a"},
        {"op": ["add"], "path": "/a"},
        {"op": "add", "path": "/a"},
        {"op": "move", "path": "/a"},
        {"op": "remove", "path": "a"},
        {"op": "remove", "path": 3},
        {"op": "remove", "path": "/a~2"},
        {"op": "remove", "path": "/a~"},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"path": "/a"},
        {"op": "remove", "path": "/gender"},
    ]
    with pytest.raises(FhirError) as caught:
        patched(rows)
    assert caught.value.category is Category.MALFORMED
    places = [text.partition(" ")[0].rstrip(":") for text in refused(caught.value)]
    assert places == [f"operation[{n}]" for n in range(11)]


def test_independent_faults_come_together_and_what_follows_from_one_does_not() -> None:
    rows = [
        {"op": "remove", "path": "/nope/0"},
        {"op": "add", "path": "/nope/0/x", "value": 1},
        {"op": "test", "path": "/gender", "value": "male"},
        {"op": "test", "path": "/gender", "value": "other"},
        {"op": "remove", "path": "/name/7"},
        {"op": "copy", "from": "/name/7", "path": "/photo"},
        {"op": "remove", "path": "/photo"},
        {"op": "replace", "path": "/birthDate", "value": "1980-02-04"},
    ]
    with pytest.raises(FhirError) as caught:
        patched(rows)
    assert [text.split(" ")[0] for text in refused(caught.value)] == [f"operation[{n}]" for n in (0, 2, 3, 4)]
    assert [issue.expression for issue in caught.value.issues][1:] == ["Patient.gender"] * 2 + ["Patient.name[7]"]


def test_no_value_of_a_path_or_resource_is_repeated() -> None:
    rows = [{"op": "test", "path": "/gender", "value": "secret-a"}, {"op": "remove", "path": "/Secret Name b/0"}]
    with pytest.raises(FhirError) as caught:
        patched(rows)
    assert "ecret" not in str([(i.diagnostics, i.expression) for i in caught.value.issues])
    assert "female" not in str(refused(caught.value))


def test_equality_is_that_of_json() -> None:
    from decimal import Decimal

    assert same({"a": [1, Decimal("2.0")]}, {"a": [Decimal("1.0"), 2]})
    assert not same(True, 1) and not same(0, False) and not same([1], [1, 2]) and not same({"a": 1}, {"b": 1})
    assert not same("1", 1) and same(None, None) and not same(None, False) and not same([], {})


def test_digits_of_decimals_and_the_order_of_elements_stay() -> None:
    from decimal import Decimal

    result = patched([{"op": "add", "path": "/multipleBirthInteger", "value": Decimal("2.00")}])
    assert str(result["multipleBirthInteger"]) == "2.00"
    assert [*result] == [*PATIENT, "multipleBirthInteger"]
