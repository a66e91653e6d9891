"""Scopes: the corpus, round trip, and that a grant never exceeds what was registered (security.md 1.2)."""

import os
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles.catalog import catalog
from service.auth.scope_queries import NARROWING
from service.auth.scopes import (
    MAX_TEXT,
    InvalidScope,
    Scope,
    compile_allows,
    intersect,
    is_subset,
    parse_all,
    parse_scope,
    requested,
    text_of,
)
from service.caller import WHOLE, Reached, Rights

WRONG_QUERIES = {
    "system/Patient.rs?category=x": "names one of these types",
    "system/Observation.rs?category:in=x": "equality",
    "system/*.rs?category=x": "names one of these types",
    "system/Observation.rs?": "parameter=value",
    "system/Observation.rs?category": "has a value",
    "system/Observation.rs?category=": "has a value",
    "system/Observation.rs?category=a&": "parameter=value",
    "system/Observation.rs?category=a,b": "one value",
    "system/Observation.rs?category=a%2Cb": "one value",
    "system/Observation.rs?category=a&category=a": "once",
    "system/Observation.rs?category=a%20b": "no spaces",
    "system/Observation.rs?category=%FF": "UTF-8",
    "system/Observation.rs?category=a%07b": "no spaces",
    "system/Observation.rs?category=a|b|c": "system|code",
    "system/Observation.rs?category=http://x|": "system|code",
    "system/Observation.rs?subject.name=x": "no chains",
    "system/Observation.rs?_has:Task:focus:status=x": "begins with _",
    "system/Observation.rs?_filter=status+eq+final": "begins with _",
    "system/Observation.rs?_include=Observation:subject": "begins with _",
    "system/Observation.rs?_id=x": "begins with _",
    "system/Observation.rs?value-quantity=5": "category, code, status only",
    "system/Observation.rs?Category=x": "reads",
    "system/Observation.read?category=x": "letters of c r u d s",
    "system/Task.rs?owner=cbo-1": "Type/id",
    "system/Task.rs?owner=https://x.example/Organization/1": "Type/id",
    "system/Organization.rs?type=prov": "names one of these types",
    "system/AuditEvent.rs?type=rest": "names one of these types",
    "system/Observation.rs?category=" + "x" * 500: "at most 500",
}
GOOD = {
    "system/Patient.r": ("system", "Patient", "r"),
    "system/Patient.s": ("system", "Patient", "s"),
    "system/Patient.rs": ("system", "Patient", "rs"),
    "system/Task.c": ("system", "Task", "c"),
    "system/Task.u": ("system", "Task", "u"),
    "system/Task.d": ("system", "Task", "d"),
    "system/Task.cr": ("system", "Task", "cr"),
    "system/Task.cud": ("system", "Task", "cud"),
    "system/Task.cruds": ("system", "Task", "cruds"),
    "system/Task.ruds": ("system", "Task", "ruds"),
    "system/Task.crus": ("system", "Task", "crus"),
    "system/Task.us": ("system", "Task", "us"),
    "system/Task.ds": ("system", "Task", "ds"),
    "system/*.rs": ("system", "*", "rs"),
    "system/*.cruds": ("system", "*", "cruds"),
    "system/*.c": ("system", "*", "c"),
    "user/CarePlan.cruds": ("user", "CarePlan", "cruds"),
    "user/*.rs": ("user", "*", "rs"),
    "user/Observation.s": ("user", "Observation", "s"),
    "patient/Condition.rs": ("patient", "Condition", "rs"),
    "patient/*.rs": ("patient", "*", "rs"),
    "system/Patient.read": ("system", "Patient", "rs"),
    "system/Patient.write": ("system", "Patient", "cud"),
    "system/Observation.rs?category=laboratory": ("system", "Observation", "rs"),
    "user/Task.ruds?status=requested&owner=Organization/cbo-1": ("user", "Task", "ruds"),
    "system/*.read": ("system", "*", "rs"),
    "patient/Condition.rs?category=http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern": (
        "patient",
        "Condition",
        "rs",
    ),
    "system/*.*": ("system", "*", "cruds"),
    "user/Task.read": ("user", "Task", "rs"),
    "patient/Goal.write": ("patient", "Goal", "cud"),
}
BAD = [
    "",
    "system",
    "system/Patient",
    "system/Patient.",
    "system/.rs",
    "/Patient.rs",
    "Patient.rs",
    "system/Patient.dus",
    "system/Patient.sr",
    "system/Patient.rr",
    "system/Patient.crudsx",
    "system/Patient.x",
    "system/Patient.Read",
    "system/Patient.READ",
    "system/Patient.reads",
    "system/Patient.r,s",
    "system/patient.rs",
    "System/Patient.rs",
    "admin/Patient.rs",
    "system/Patient/1.rs",
    "system/Pati*.rs",
    "system/**.rs",
    "system/*.**",
    "system/Patient.rs ",
    "system/Patient.rs\n",
    "system/Pat\u0456ent.rs",
    *tuple(WRONG_QUERIES)[:2],
    "launch/patient",
    "openid",
]


def test_the_corpus_has_sixty_strings() -> None:
    assert len(GOOD) == len(set(BAD)) == 30


@pytest.mark.parametrize("text", GOOD)
def test_good_scopes_mean_what_they_say_and_print_as_they_came(text: str) -> None:
    scope = parse_scope(text)
    assert (scope.context, scope.rtype, scope.letters) == GOOD[text]
    assert str(scope) == text


@pytest.mark.parametrize("text", BAD)
def test_bad_scopes_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(InvalidScope) as caught:
        parse_scope(text)
    assert len(text) < 10 or text not in str(caught.value)


def test_a_request_drops_what_is_foreign_but_refuses_a_wrong_query() -> None:
    assert text_of(requested("openid fhirUser system/Task.dus system/Task.rs launch/patient")) == "system/Task.rs"
    with pytest.raises(InvalidScope, match="no chains"):
        requested("system/Task.rs system/Task.rs?owner.name=x")
    with pytest.raises(InvalidScope, match="4096"):
        requested("x" * (MAX_TEXT + 1))


TWO = "system/Task.r?status=a system/Task.rs?status=a&intent=b"


@pytest.mark.parametrize(
    ("asked", "registered", "granted"),
    [
        ("system/Task.rs", "system/Task.cruds", "system/Task.rs"),
        ("system/Task.cruds", "system/Task.rs", "system/Task.rs"),
        ("system/Task.read", "system/*.cruds", "system/Task.read"),
        ("system/Task.read", "system/Task.r", "system/Task.r"),
        ("system/Task.*", "system/*.cud", "system/Task.write"),
        ("system/Task.cruds", "system/*.rs system/Task.u", "system/Task.rus"),
        ("system/*.cruds", "system/*.rs", "system/*.rs"),
        ("system/*.rs", "system/Task.cruds system/Goal.s", "system/Task.rs system/Goal.s"),
        ("system/*.cruds", "system/*.rs system/Task.c", "system/*.rs system/Task.crs"),
        ("system/*.read", "system/Task.cruds", "system/Task.read"),
        ("system/Task.rs system/Task.rs", "system/Task.rs", "system/Task.rs"),
        ("user/Task.rs", "system/Task.rs", ""),
        ("system/Goal.rs", "system/Task.rs", ""),
        ("system/Task.cud", "system/Task.rs", ""),
        ("system/Task.rs?status=requested", "system/Task.cruds", "system/Task.rs?status=requested"),
        ("system/Task.cruds", "system/Task.rs?status=requested", "system/Task.rs?status=requested"),
        ("system/Task.read", "system/Task.rs?status=requested", "system/Task.rs?status=requested"),
        ("system/*.rs", "system/Task.rs?status=requested", "system/Task.rs?status=requested"),
        ("system/*.rs", "system/*.r system/Task.s?status=a", "system/*.r system/Task.rs?status=a"),
        ("system/Task.rs?status=a", "system/Task.rs?status=a", "system/Task.rs?status=a"),
        ("system/Task.rs?status=a", "system/Task.rs?intent=order", "system/Task.rs?status=a&intent=order"),
        ("system/Task.rs?status=a", "system/*.r system/Task.s?intent=b", TWO),
        ("system/Task.rs?code=x%7Cy", "system/Task.rs?code=x|y", "system/Task.rs?code=x%7Cy"),
        ("system/Task.rs?status=a", "system/Task.rs system/Task.rs?intent=b", "system/Task.rs?status=a"),
        ("system/Task.rs", "system/Task.rs?status=a system/Task.rs", "system/Task.rs"),
        ("user/Task.rs?status=a", "system/Task.rs?status=a", ""),
        ("system/*.read", "system/*.r", "system/*.r"),
        (
            "system/Task.rs?owner=Organization/a",
            "system/Task.rs?requester=Organization/a",
            "system/Task.rs?owner=Organization/a&requester=Organization/a",
        ),
        ("system/*.rs", "system/*.rs system/Task.rs?status=a", "system/*.rs"),
        ("system/*.rs", "system/*.rs user/Task.rs system/Task.rs", "system/*.rs"),
        ("system/*.rs", "system/Task.rs system/Task.rs?status=a", "system/Task.rs"),
        ("system/*.rs", "user/Task.rs system/Goal.rs", "system/Goal.rs"),
        ("system/Task.rs", "user/Task.rs?status=a system/Task.r", "system/Task.r"),
    ],
)
def test_granted_is_requested_and_registered(asked: str, registered: str, granted: str) -> None:
    assert text_of(intersect(parse_all(asked), parse_all(registered))) == granted


queries = st.lists(
    st.sampled_from([("status", "a"), ("status", "b"), ("intent", "order"), ("code", "s|c"), ("code", "s%7Cc")]),
    max_size=2,
    unique_by=lambda pair: (pair[0], pair[1].replace("%7C", "|")),
).map(tuple)
scopes = st.builds(
    Scope,
    st.sampled_from(["system", "user"]),
    st.sampled_from(["*", "Patient", "Task", "Goal"]),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda found: "".join(x for x in "cruds" if x in found)),
).flatmap(
    lambda s: (
        st.builds(lambda query: replace(s, query=query), queries)
        if s.rtype == "Task"
        else st.just(s)
        if s.letters not in ("rs", "cud", "cruds")
        else st.sampled_from([s, _v1(s)])
    )
)
many = st.lists(scopes, max_size=5).map(tuple)
COUNT = 10_000 if os.environ.get("ENLACE_TEST_DEEP") else 150


def _v1(scope: Scope) -> Scope:
    return Scope(scope.context, scope.rtype, scope.letters, v1=True)


FACTS = [
    {("status", "a")},
    {("status", "a"), ("status", "b"), ("intent", "order")},
    {("status", "b"), ("intent", "order"), ("code", "s|c")},
    set(),
]


def _fits(rights: Rights, letter: str, rtype: str, facts: set[tuple[str, str]]) -> bool:
    """Whether the rights reach a resource of which these pairs are true."""
    return any(set(one.query) <= facts for one in rights.reaches(letter, rtype))


@settings(max_examples=COUNT, deadline=None)
@given(scopes)
def test_parse_and_print_round_trip(scope: Scope) -> None:
    assert parse_scope(str(scope)) == scope


@settings(max_examples=COUNT, deadline=None)
@given(many, many)
def test_a_grant_is_within_both_and_holds_all_that_both_hold(asked: tuple[Scope, ...], held: tuple[Scope, ...]) -> None:
    granted = intersect(asked, held)
    assert is_subset(granted, asked) and is_subset(granted, held)
    for context in ("system", "user"):
        texts = [text_of(s for s in one if s.context == context) for one in (granted, asked, held)]
        got, wanted, had = (compile_allows(text) for text in texts)
        for rtype in ("Patient", "Task", "Goal", "Consent"):
            for letter in "cruds":
                for facts in FACTS:
                    both = _fits(wanted, letter, rtype, facts) and _fits(had, letter, rtype, facts)
                    assert _fits(got, letter, rtype, facts) == both


@settings(max_examples=COUNT, deadline=None)
@given(many, many, many)
def test_subset_is_reflexive_and_transitive(a: tuple[Scope, ...], b: tuple[Scope, ...], c: tuple[Scope, ...]) -> None:
    assert is_subset(a, a)
    assert not (is_subset(a, b) and is_subset(b, c)) or is_subset(a, c)


def test_allows_is_by_letter_and_type_and_denies_by_default() -> None:
    allows = compile_allows("system/*.s system/Task.cu system/Patient.read")
    assert allows("s", "Goal") and not allows("r", "Goal")
    assert allows("c", "Task") and allows("s", "Task") and not allows("d", "Task")
    assert allows("r", "Patient")
    assert not compile_allows("")("r", "Patient")
    assert not compile_allows("system/Task.rs system/Task.rs?owner.name=x")("r", "Task")


def test_queries_are_alternatives_and_one_whole_scope_is_enough() -> None:
    rights = compile_allows("system/Task.rs?status=a system/Task.r?code=s%7Cc system/*.s")
    assert rights.reaches("r", "Task") == (Reached((("status", "a"),)), Reached((("code", "s|c"),)))
    assert rights.reaches("s", "Task") == (WHOLE,)
    assert rights.reaches("u", "Task") == () and rights.reaches("r", "Goal") == ()


def test_patient_scopes_count_with_a_launch_patient_only_and_never_for_what_cannot_be_narrowed() -> None:
    assert not compile_allows("patient/*.cruds")("r", "Patient")
    launched = compile_allows("patient/*.cruds", launched=True)
    assert launched.reaches("r", "Patient") == (Reached(patient=True),)
    assert not launched("r", "AuditEvent")
    assert compile_allows("patient/*.rs user/AuditEvent.rs", launched=True)("r", "AuditEvent")


def test_what_may_narrow_a_type_is_searched_by_it() -> None:
    for rtype, names in NARROWING.items():
        search = catalog().types[rtype].search
        assert {search[name].type for name in names} <= {"token", "reference"}
        # A PUT would take what lies beside the query for free, and create it.
        assert not catalog().types[rtype].update_create


@pytest.mark.parametrize("text", WRONG_QUERIES)
def test_wrong_queries_are_refused_by_their_rule(text: str) -> None:
    with pytest.raises(InvalidScope, match=re.escape(WRONG_QUERIES[text])):
        parse_scope(text)
    with pytest.raises(InvalidScope):
        requested("system/Goal.rs " + text)


def test_a_type_has_at_most_ten_queries() -> None:
    texts = [f"system/Task.rs?status=s{n}" for n in range(11)]
    assert len(parse_all(" ".join(texts[:10]))) == 10
    with pytest.raises(InvalidScope, match="at most 10"):
        parse_all(" ".join(texts))


def test_the_limit_is_of_queries_and_of_one_type_in_one_context() -> None:
    letters = [f"{a}{b}" for a in ("", "c", "r", "cr") for b in ("u", "d", "s")]
    assert len(parse_all(" ".join(f"system/Task.{one}" for one in letters))) == 12
    for other in ("user/Task", "system/Condition"):
        name = "category" if "Condition" in other else "status"
        texts = [f"system/Task.rs?status=s{n} {other}.rs?{name}=s{n}" for n in range(10)]
        assert len(parse_all(" ".join(texts))) == 20


def test_edges_of_a_scope_text() -> None:
    assert text_of(requested("launch?x=1 system/Task.rs")) == "system/Task.rs"
    assert text_of(parse_all(" system/Task.r  system/Goal.r ")) == "system/Task.r system/Goal.r"
    assert requested("x" * MAX_TEXT) == ()
    assert compile_allows("patient/*.rs user/Task.r")("r", "Task")
