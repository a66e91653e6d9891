"""Scopes: the corpus, round trip, and that a grant never exceeds what was registered (security.md 1.2)."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

GOOD = {
    "system/Patient.r": ("system", "Patient", "r"),
    "system/Patient.s": ("system", "Patient", "s"),
    "system/Patient.rs": ("system", "Patient", "rs"),
    "system/Task.c": ("system", "Task", "c"),
    "system/Task.u": ("system", "Task", "u"),
    "system/Task.d": ("system", "Task", "d"),
    "system/Task.cr": ("system", "Task", "cr"),
    "system/Task.cu": ("system", "Task", "cu"),
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
    "system/Patient.*": ("system", "Patient", "cruds"),
    "system/*.read": ("system", "*", "rs"),
    "system/*.write": ("system", "*", "cud"),
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
    "system/Patient.rs?category=x",
    "system/Observation.rs?category=laboratory&status=final",
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


def test_a_request_drops_what_is_foreign_but_refuses_a_restriction() -> None:
    assert text_of(requested("openid fhirUser system/Task.dus system/Task.rs launch/patient")) == "system/Task.rs"
    with pytest.raises(InvalidScope, match="restriction"):
        requested("system/Task.rs system/Task.rs?status=requested")
    with pytest.raises(InvalidScope, match="4096"):
        requested("x" * (MAX_TEXT + 1))


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
    ],
)
def test_granted_is_requested_and_registered(asked: str, registered: str, granted: str) -> None:
    assert text_of(intersect(parse_all(asked), parse_all(registered))) == granted


scopes = st.builds(
    Scope,
    st.sampled_from(["system", "user"]),
    st.sampled_from(["*", "Patient", "Task", "Goal"]),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda found: "".join(x for x in "cruds" if x in found)),
).flatmap(lambda s: st.just(s) if s.letters not in ("rs", "cud", "cruds") else st.sampled_from([s, _v1(s)]))
many = st.lists(scopes, max_size=5).map(tuple)
COUNT = 10_000 if os.environ.get("ENLACE_TEST_DEEP") else 500


def _v1(scope: Scope) -> Scope:
    return Scope(scope.context, scope.rtype, scope.letters, v1=True)


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
                assert got(letter, rtype) == (wanted(letter, rtype) and had(letter, rtype))


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
    assert not compile_allows("nonsense system/Task.rs?status=x")("r", "Task")


def test_patient_scopes_allow_nothing_while_nothing_narrows_them() -> None:
    assert not compile_allows("patient/*.cruds")("r", "Patient")
