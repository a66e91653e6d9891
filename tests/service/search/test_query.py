"""Query strings: each form of each kind, each refusal, each limit at its edge; no value ever in a sentence."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError
from service.search.asking import May
from service.search.criteria import Criteria, HasEdge, HasId, HasKey, HasString, Include, Sort
from service.search.keys import Keys, edge
from service.search.query import parse
from service.search.values import index_rows
from tests.service.search.memory import matches
from tests.service.search.samples import HAND_WRITTEN

BASE = "https://enlace.test/fhir"
KEYS = Keys(b"k")
SECRET = "Zebedee-Secret"


ALL = May(search=lambda _t: True, read=lambda _t: True, labels=True)


def query(rtype: str, *params: tuple[str, str], strict: bool = True, may: May = ALL) -> Criteria:
    return parse(rtype, list(params), KEYS, strict=strict, now_us=1_790_000_000_000_000, base_url=BASE, may=may)


def refused(rtype: str, *params: tuple[str, str], strict: bool = True, may: May = ALL) -> list[str]:
    with pytest.raises(FhirError) as caught:
        query(rtype, *params, strict=strict, may=may)
    assert caught.value.category is Category.MALFORMED
    assert all(issue.expression is None for issue in caught.value.issues)
    return [issue.diagnostics for issue in caught.value.issues]


def finds(resource: dict, *params: tuple[str, str]) -> bool:
    rtype = resource["resourceType"]
    return matches(query(rtype, *params), index_rows(resource, rtype, KEYS, BASE), resource["id"], 0)


PATIENT, TASK, ENCOUNTER = HAND_WRITTEN[:3]


@pytest.mark.parametrize(
    ("resource", "name", "value", "found"),
    [
        (TASK, "status", "requested", True),
        (TASK, "status", "REQUESTED", True),
        (TASK, "status", "http://hl7.org/fhir/task-status|requested", True),
        (TASK, "status", "http://example.org/other|requested", False),
        (TASK, "status", "http://hl7.org/fhir/task-status|", True),
        (TASK, "status", "draft,requested", True),
        (TASK, "status", "draft,accepted", False),
        (TASK, "status:not", "draft,accepted", True),
        (TASK, "status:not", "draft,requested", False),
        (TASK, "intent", "http://hl7.org/fhir/request-intent|order", True),
        (TASK, "business-status", "http://example.org/bs|new", True),
        (TASK, "business-status", "|new", False),
        (TASK, "code:not", "anything", True),
        (TASK, "identifier", "http://example.org/tasks|T\\,1", True),
        (TASK, "identifier", "t\\,1", False),
        (TASK, "identifier", "T,1", False),
        (PATIENT, "identifier", "|no-system", True),
        (PATIENT, "identifier", "|91234567A", False),
        (PATIENT, "identifier", "91234567A", True),
        (PATIENT, "identifier", "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin|", True),
        (PATIENT, "active", "true", True),
        (PATIENT, "active", "false", False),
        (PATIENT, "deceased", "true", True),
        (TASK, "_tag", "demo", False),
        (PATIENT, "_tag", "http://example.org/tags|demo", True),
        (PATIENT, "phone", "+1 916 555 0100", True),
        (PATIENT, "phone", "555-0100", False),
        (PATIENT, "email", "ana@example.org", True),
        (PATIENT, "phone", "ana@example.org", False),
        (PATIENT, "telecom", "ana@example.org", True),
        (PATIENT, "_profile", "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient", True),
        (PATIENT, "_profile", "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|7.0.0", True),
        (PATIENT, "_profile", "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|6.0.0", False),
        (PATIENT, "family", "nun", True),
        (PATIENT, "family", "uñez", False),
        (PATIENT, "family:exact", "Núñez", True),
        (PATIENT, "family:exact", "núñez", False),
        (PATIENT, "family:exact", "Núñ", False),
        (PATIENT, "name", "ANITA", True),
        (PATIENT, "address", "apt", True),
        (PATIENT, "birthdate", "1980-02-03", True),
        (PATIENT, "birthdate", "1980-02", True),
        (PATIENT, "birthdate", "ne1980", False),
        (PATIENT, "_id", "p0,p1", True),
        (PATIENT, "_id", "P1", False),
        (TASK, "patient", "p1", True),
        (TASK, "patient", "Patient/p1", True),
        (TASK, "patient:Patient", "p1", True),
        (TASK, "patient", BASE + "/Patient/p1", True),
        (TASK, "patient", "http://elsewhere.test/fhir/Patient/p1", False),
        (TASK, "subject", "p1", True),
        (TASK, "subject:Group", "p1", False),
        (TASK, "patient:missing", "false", True),
        (TASK, "encounter:missing", "true", True),
        (TASK, "owner", "http://elsewhere.test/fhir/Organization/o9", True),
        (TASK, "owner", "Organization/o9", False),
        (TASK, "requester:identifier", "http://hl7.org/fhir/sid/us-npi|1234567893", True),
        (TASK, "requester:identifier", "1234567893", True),
        (TASK, "requester:identifier", "http://example.org|1234567893", False),
        (TASK, "requester:missing", "false", True),
        (TASK, "focus", "ServiceRequest/sr1", True),
        (TASK, "authored-on", "2026-03-08T01:30:00 -08:00".replace(" ", ""), True),
        (TASK, "authored-on", "2026-03-08T17:30:00 08:00", True),
        (ENCOUNTER, "patient", "g1", False),
        (ENCOUNTER, "patient:missing", "true", True),
        (ENCOUNTER, "subject", "Group/g1", True),
        (ENCOUNTER, "practitioner", "pr1", True),
        (ENCOUNTER, "practitioner", "pr2", False),
        (ENCOUNTER, "participant", "pr2", True),
        (ENCOUNTER, "discharge-disposition", "|home", True),
        (ENCOUNTER, "date", "ge2026-03-03", True),
        (ENCOUNTER, "date", "ge2026-03-04", True),  # the stay reaches into that day: prefixes.between says why
        (ENCOUNTER, "date", "sa2026-03-04", False),
        (HAND_WRITTEN[7], "questionnaire", BASE + "/Questionnaire/q1", True),
        (HAND_WRITTEN[7], "questionnaire", BASE + "/Questionnaire/q1|2.0", True),
        (HAND_WRITTEN[7], "questionnaire", BASE + "/Questionnaire/q1|3.0", False),
        (HAND_WRITTEN[6], "patient", "p1", True),
    ],
)
def test_forms(resource: dict, name: str, value: str, found: bool):
    assert finds(resource, (name, value)) is found


def test_repeated_parameters_hold_together():
    assert finds(ENCOUNTER, ("participant", "pr1"), ("participant", "pr2"))
    assert not finds(ENCOUNTER, ("participant", "pr1"), ("participant", "pr3"))


def test_rare_keys_come_with_low_ranks():
    def rank(rtype: str, name: str) -> int:
        clause = query(rtype, (name, "x")).clauses[0]
        assert isinstance(clause, HasKey)
        return clause.rank

    assert rank("Patient", "identifier") < rank("Task", "code") < rank("Task", "status")


def test_the_criteria_of_a_work_queue():
    params = (
        ("owner", "Organization/x"),
        ("status", "requested,accepted"),
        ("_sort", "-_lastUpdated"),
        ("_count", "20"),
    )
    criteria = query("Task", *params)
    assert criteria == Criteria(
        "Task",
        (
            HasEdge((edge("Task", "owner"),), (KEYS.resource("Organization/x"),)),
            HasKey(
                (KEYS.token("Task", "status", None, "requested"), KEYS.token("Task", "status", None, "accepted")), 7
            ),
        ),
        count=20,
        used=params,
    )


@pytest.mark.parametrize("sort", ["_lastUpdated", "-_lastUpdated", "_id", "-_id"])
def test_sort(sort: str):
    assert query("Task", ("_sort", sort)).sort == (Sort(sort.removeprefix("-"), sort.startswith("-")),)


def test_count_and_total():
    assert query("Task").count == 50
    assert query("Task", ("_count", "200")).count == 200
    lowered = query("Task", ("_count", "201"))
    assert (lowered.count, lowered.used) == (200, (("_count", "200"),))
    assert query("Task", ("_count", "0")).total == "count"
    assert query("Task", ("_summary", "count"), ("_total", "none")).total == "count"
    assert query("Task", ("_summary", "false")).total == "none"
    assert [query("Task", ("_total", t)).total for t in ("none", "accurate", "estimate")] == [
        "none",
        "accurate",
        "estimate",
    ]
    assert query("Task", ("_format", "json"), ("_pretty", "true")).clauses == ()


def test_includes_follow_what_is_stored():
    criteria = query("Task", ("_include", "Task:patient"), ("_include", "Task:focus:ServiceRequest"))
    assert criteria.includes == (Include("Task", "subject", "Patient"), Include("Task", "focus", "ServiceRequest"))
    back = query("Patient", ("_revinclude", "Task:patient"), ("_revinclude", "Provenance:target:Patient"))
    assert back.includes == (Include("Task", "subject", reverse=True), Include("Provenance", "target", reverse=True))


@pytest.mark.parametrize(
    ("rtype", "name", "value", "sentence"),
    [
        ("Task", "status:in", SECRET, "canonical of a ValueSet that is held here"),
        ("Task", "status:text", SECRET, "takes the modifiers :not, :in, :not-in, :above, :below, :missing"),
        ("Task", "code:above", SECRET, "of a CodeSystem below"),
        ("Task", "identifier:of-type", SECRET, "system|code|value"),
        ("Task", "status:", "requested", "no modifier behind its colon"),
        ("Task", "status", "", "empty value"),
        ("Task", "status", "a,,b", "empty value"),
        ("Task", "status", "|", "system|code"),
        ("Task", "status", "a|b|" + SECRET, "system|code"),
        ("Task", "status:missing", "yes", "true or false"),
        ("Task", "status:missing", "true,false", "true or false"),
        ("Patient", "active", SECRET, "true or false"),
        ("Patient", "deceased", SECRET, "true or false"),
        ("Patient", "phone", "phone|" + SECRET, "without a system"),
        ("Task", "owner", "Organization/" + "x" * 65, "Type/id"),
        ("Task", "owner", f"Organization/{SECRET} x", "Type/id"),
        ("Task", "owner", "#" + SECRET, "Type/id"),
        ("Task", "owner", "urn:uuid:" + SECRET, "Type/id"),
        ("Task", "owner:Medication", SECRET, "to which it cannot lead"),
        ("Task", "owner:exact", SECRET, ":identifier"),
        ("Task", "owner:not", SECRET, ":identifier"),
        ("Task", "authored-on", SECRET, "prefixes"),
        ("Task", "authored-on", "2026-02-30", "YYYY"),
        ("Task", "authored-on", "gt", "YYYY"),
        ("Task", "authored-on", "xx2026", "prefixes"),
        ("Task", "authored-on:exact", "2026", "modifiers"),
        ("Patient", "family:text", SECRET, "modifiers"),
        ("Patient", "family", "\u0301", "letters or digits"),
        ("Patient", "family", SECRET + "x" * 200, "200 characters"),
        ("Patient", "family", SECRET + "\x00", "NUL"),
        ("Patient", "family", SECRET + "\ud800", "surrogate"),
        ("Patient", "family", "x" * 1001, "1000 characters"),
        ("Questionnaire", "url:below", "urn:oid:1.2", "takes URLs"),
        ("Questionnaire", "url:contains", "http://x", "modifiers"),
        ("Task", "_id", "Task/" + SECRET, "ids"),
        ("Task", "_id:exact", "x", "modifier :not"),
        ("Task", "_lastUpdated", "yesterday", "prefixes"),
        ("Task", "_lastUpdated:missing", "true", "modifier"),
        ("Task", "_count", "-1", "whole number"),
        ("Task", "_count", "many", "whole number"),
        ("Task", "_count", "9" * 10, "whole number"),
        ("Task", "_count:x", "1", "no modifier"),
        ("Task", "_sort", "unheard", "authored-on, based-on"),
        ("Task", "_sort", "-_id,", "takes these"),
        ("Task", "_sort", "_id,_lastUpdated,status,code,intent,owner", "at most 5 keys"),
        ("Task", "_total", "all", "estimate"),
        ("Task", "_summary", "all", "true, text, data, count, false"),
        ("Task", "_elements", "status,unheard", "top-level elements"),
        ("Task", "_elements", "status,", "basedOn"),
        ("Task", "_type", "Task", "the path names the type"),
        ("Task", "_text", SECRET, "not served"),
        ("Task", "_content", SECRET, "not served"),
        ("Task", "_contained", "true", "never alone"),
        ("Task", "_containedType", "container", "never alone"),
        ("Task", "_query", SECRET, "named queries"),
        ("Task", "_list", "$current-problems", "functional lists"),
        ("Task", "_list", "List/" + SECRET, "takes ids of Lists"),
        ("Task", "_list:not", SECRET, "takes no modifier"),
        ("Task", "_include:exact", "Task:focus", ":iterate and :recurse"),
        ("Task", "_include:iterate", "*", "takes Type:parameter"),
        ("Task", "_include", "*:*", "takes Type:parameter"),
        ("Task", "_include", "Task:*:Patient", "takes Type:parameter"),
        ("Task", "_include", "Patient:link", "starts at a type"),
        ("Task", "_include", "Patient:*", "starts at a type"),
        ("Task", "_revinclude", "Patient:*", "of which nothing leads here"),
        ("Task", "_include", "Task:status", "do not serve"),
        ("Task", "_include", "Nothing:status", "do not serve"),
        ("Task", "_include", "Task:patient:Group", "cannot lead"),
        ("QuestionnaireResponse", "_include", "QuestionnaireResponse:questionnaire", "cannot be included"),
        ("Organization", "_revinclude", "Task:patient", "does not lead here"),
        ("Patient", "_revinclude", "Task:patient:Group", "does not lead here"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_refusals(rtype: str, name: str, value: str, sentence: str, strict: bool):
    (diagnostics,) = refused(rtype, (name, value), strict=strict)
    assert sentence in diagnostics
    assert f"'{name}'" in diagnostics
    assert SECRET not in diagnostics


def test_all_that_is_wrong_is_said_at_once():
    bad = [("status:in", "x"), ("authored-on", "x"), ("patient.name", "x"), ("unheard", "x"), ("status", "draft")]
    bad[2] = ("patient.unheard", "x")
    assert len(refused("Task", *bad)) == 4
    assert len(refused("Task", *bad, strict=False)) == 3


def test_a_result_parameter_stands_once():
    assert "may stand once" in refused("Task", ("_count", "1"), ("_count", "2"))[0]


@pytest.mark.parametrize("name", ["unheard", "_totalMethod", "unheard.name", "near", "status2", "unheard:not"])
def test_unknown_parameters_are_never_silently_ignored(name: str):
    criteria = query("Task", (name, SECRET), ("status", "draft"), strict=False)
    (warning,) = criteria.warnings
    assert f"'{name}' is not known for Task" in warning
    assert "business-status" in warning
    assert SECRET not in warning
    assert criteria.used == (("status", "draft"),)
    assert refused("Task", (name, SECRET), strict=True) == [warning]


def test_an_unreadable_name_is_not_repeated():
    (warning,) = query("Task", (SECRET + " <b>", "x"), strict=False).warnings
    assert SECRET not in warning


def test_a_reference_to_another_type_finds_nothing_and_says_so():
    criteria = query("Task", ("patient", "Organization/1"))
    assert "'patient'" in criteria.warnings[0]
    assert not matches(criteria, index_rows(TASK, "Task", KEYS, BASE), "t1", 0)
    assert finds(TASK, ("patient", "Organization/1,Patient/p1"))


def test_a_type_that_is_not_served():
    with pytest.raises(FhirError) as caught:
        query("Medication")
    assert caught.value.category is Category.NOT_FOUND


def test_limits_at_their_edge():
    assert len(query("Task", *[("status", "draft")] * 50).clauses) == 50
    assert "50 parameters" in refused("Task", *[("status", "draft")] * 51)[0]
    many = ",".join(f"s{i}" for i in range(500))
    (clause,) = query("Task", ("status", many)).clauses
    assert isinstance(clause, HasKey)
    assert len(clause.keys) == 500
    assert "500 values" in refused("Task", ("status", many + ",x"))[0]
    assert "500 values" in refused("Task", ("status", many), ("status", "x"))[0]
    assert query("Patient", ("family", "x" * 200)).clauses == (
        HasString(KEYS.values("Patient", "family"), ("x" * 200,)),
    )
    refused("Patient", ("family", "x" * 201))
    assert query("Patient", ("family:exact", "x" * 1000)).clauses
    assert query("Task", ("_id", ",".join(["a"] * 500))).clauses == (HasId(("a",)),)
    many_includes = [("_include", "Task:focus"), ("_include", "Task:owner")] * 4
    assert len(query("Task", *many_includes).includes) == 2
    assert "at most 8" in refused("Task", *many_includes, ("_include", "Task:requester"))[0]


def test_untyped_ids_are_bounded():
    width = len(catalog().types)
    fits = ",".join(f"i{i}" for i in range(2_000 // width))
    assert query("Task", ("focus", fits)).clauses
    assert "Type/id" in refused("Task", ("focus", fits + ",more"))[0]
    assert query("Task", ("focus", ",".join(f"Patient/i{i}" for i in range(500)))).clauses


def test_what_is_too_much_is_refused_at_once():
    started = time.perf_counter()
    refused("Task", ("status", "x," * 1_000_000))
    refused("Patient", ("family", "x" * 1_000_000))
    assert time.perf_counter() - started < 0.1


names = st.sampled_from(
    [*catalog().types["Task"].search, *catalog().types["Patient"].search, "_count", "_sort", "_include", "_revinclude"]
)
modifiers = st.sampled_from(
    ["", ":not", ":missing", ":exact", ":identifier", ":Patient", ":contains", ":x", ".name", ":", ":Patient.name:x"]
)
values = st.one_of(
    st.text(max_size=40),
    st.text("0123456789-T:Z+.geltapqn ", max_size=30),
    st.text("ab|,\\$/", max_size=12),
    st.sampled_from(["true", "Patient/p1", "Task:patient", BASE + "/Patient/p1", BASE + "/", "http://", "://", "/"]),
)


@given(st.sampled_from(["Task", "Patient", "Encounter"]), st.lists(st.tuples(names, modifiers, values), max_size=4))
def test_whatever_comes_is_executed_or_refused_without_its_values(rtype: str, parts: list[tuple[str, str, str]]):
    params = [(name + modifier, SECRET + value) for name, modifier, value in parts]
    for candidate in (params, [(name + modifier, value) for name, modifier, value in parts]):
        try:
            criteria = query(rtype, *candidate, strict=False)
        except FhirError as error:
            said = [issue.diagnostics for issue in error.issues]
        else:
            said = list(criteria.warnings)
            for resource in (PATIENT, TASK, ENCOUNTER):
                if resource["resourceType"] == rtype:
                    matches(criteria, index_rows(resource, rtype, KEYS, BASE), resource["id"], 0)
        assert not any(SECRET in sentence for sentence in said)
