"""Chains, _has and _filter as clauses: what they become, what is refused, each limit at its edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError
from service.search.asking import MAX_LINKED, May
from service.search.criteria import AllOf, AnyOf, HasDate, HasId, HasKey, HasString, Linked, Not
from service.search.filter_text import MAX_DEPTH, MAX_FILTER, MAX_TERMS
from service.search.keys import edge
from service.search.values import index_rows
from tests.service.search.memory import matches
from tests.service.search.samples import HAND_WRITTEN
from tests.service.search.test_query import BASE, KEYS, SECRET, query, refused

PATIENT, TASK, ENCOUNTER = HAND_WRITTEN[:3]
FEMALE = HasKey((KEYS.token("Patient", "gender", None, "female"),), 7)


def clause_of(rtype: str, name: str, value: str, may: May | None = None):  # type: ignore[no-untyped-def]
    (found,) = query(rtype, (name, value), **({"may": may} if may else {})).clauses
    return found


def linked(rtype: str, param: str, target: str, inner: object, *, reverse: bool = False) -> Linked:
    owner = target if reverse else rtype
    return Linked((edge(owner, param),), target, (inner,), reverse)  # type: ignore[arg-type]


# ---- chains and _has


def test_a_chain_leads_over_the_edge_that_is_stored() -> None:
    assert clause_of("Task", "patient.gender", "female") == linked("Task", "subject", "Patient", FEMALE)
    assert clause_of("Task", "subject:Patient.gender", "female") == linked("Task", "subject", "Patient", FEMALE)
    name = clause_of("Patient", "general-practitioner:Organization.name", "x")
    assert clause_of("Task", "patient.general-practitioner:Organization.name", "x") == linked(
        "Task", "subject", "Patient", name
    )


def test_a_chain_over_several_types_asks_those_that_have_the_parameter() -> None:
    found = clause_of("Task", "subject.birthdate", "1980")
    assert isinstance(found, AnyOf)
    assert {one.rtype for one in found.clauses} == {"Patient", "RelatedPerson"}
    # Only one of them can be followed over general-practitioner.
    deeper = clause_of("Task", "subject.general-practitioner.active", "true")
    assert deeper.rtype == "Patient"


def test_has_leads_backwards() -> None:
    status = HasKey((KEYS.token("Task", "status", None, "requested"),), 7)
    assert clause_of("Patient", "_has:Task:patient:status", "requested") == linked(
        "Patient", "subject", "Task", status, reverse=True
    )
    nested = clause_of("Patient", "_has:ServiceRequest:subject:_has:Task:focus:status", "requested")
    assert nested.clauses == (linked("ServiceRequest", "focus", "Task", status, reverse=True),)
    inside = clause_of("Patient", "_has:Task:patient:owner:Organization.name", "x")
    assert inside.reverse and not inside.clauses[0].reverse and inside.clauses[0].rtype == "Organization"
    behind = clause_of("Task", "patient._has:Coverage:beneficiary:status", "active")
    assert not behind.reverse and behind.clauses[0].reverse


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("patient.family:exact", "Núñez", HasString),
        ("patient._id", "a,b", HasId),
        ("patient.gender:not", "male", HasKey),
        ("patient.gender:missing", "true", HasKey),
        ("patient.birthdate", "ge1980", HasDate),
    ],
)
def test_what_may_stand_at_the_end(name: str, value: str, kind: type) -> None:
    assert isinstance(clause_of("Task", name, value).clauses[0], kind)


@pytest.mark.parametrize(
    ("rtype", "name", "value", "sentence"),
    [
        ("Task", "status.name", SECRET, "no reference of Task"),
        ("Task", "owner:Medication.name", SECRET, "it leads to CareTeam, HealthcareService, Organization"),
        ("Task", "owner:.name", SECRET, "it leads to"),
        ("Task", "patient.unheard", SECRET, "asks Patient for a parameter that is not known there; known are: _id"),
        ("Task", "owner.unheard", SECRET, "'owner' leads to CareTeam, "),
        ("Task", "patient.family:in", SECRET, "takes the modifiers"),
        ("Task", "patient.family:", SECRET, "no modifier behind its colon"),
        ("Task", "patient.birthdate", SECRET, "prefixes"),
        ("Task", "patient._id", SECRET + "/", "takes ids"),
        ("Task", "patient.", SECRET, "not known there"),
        ("Task", "patient._count", "1", "not known there"),
        ("Patient", "_has", SECRET, "_has:Type:reference:parameter"),
        ("Patient", "_has:Task:patient", SECRET, "_has:Type:reference:parameter"),
        ("Patient", "_has:Task::status", SECRET, "_has:Type:reference:parameter"),
        ("Patient", "_has:Medication:patient:status", SECRET, "these lead to Patient: CarePlan, "),
        ("Patient", "_has:AuditEvent:patient:action", SECRET, "these lead to Patient: CarePlan, "),
        ("Patient", "_has:Task:status:status", SECRET, "these do: based-on, focus, "),
        ("Patient", "_has:Task:location:status", SECRET, "these do: "),
        ("Patient", "_has:Task:patient:unheard", SECRET, "asks Task for a parameter"),
        ("QuestionnaireResponse", "questionnaire.status", SECRET, "no reference of QuestionnaireResponse"),
        ("AuditEvent", "patient.name", SECRET, "by its own parameters only"),
        ("AuditEvent", "_has:Provenance:target:agent", SECRET, "by its own parameters only"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_refusals(rtype: str, name: str, value: str, sentence: str, strict: bool) -> None:
    (said,) = refused(rtype, (name, value), strict=strict)
    assert sentence in said and f"'{name}'" in said and SECRET not in said


def test_depth_at_its_edge() -> None:
    three = "part-of:Task.part-of:Task.part-of:Task.status"
    assert clause_of("Task", three, "draft").clauses[0].clauses[0].clauses[0].keys
    assert "more than 3 references" in refused("Task", ("part-of:Task." + three, "draft"))[0]
    mixed = "_has:Task:part-of:part-of:Task._has:Task:part-of:status"
    assert clause_of("Task", mixed, "draft")
    assert "more than 3 references" in refused("Task", ("part-of:Task." + mixed, "draft"))[0]


def test_number_of_chains_at_its_edge() -> None:
    many = [("patient.gender", "female")] * MAX_LINKED
    assert len(query("Task", *many).clauses) == MAX_LINKED
    assert f"more than {MAX_LINKED} chains" in refused("Task", *many, ("patient.gender", "female"))[0]
    assert f"more than {MAX_LINKED} chains" in refused("Task", ("focus._id", "x"))[0]
    terms = " and ".join(["patient.gender eq female"] * MAX_LINKED)
    assert query("Task", ("_filter", terms)).clauses
    assert "chains" in refused("Task", ("_filter", terms + " and patient.gender eq female"))[0]


def test_types_that_are_tried_are_bounded() -> None:
    """A chain that fits nowhere is not looked for without end; the work is the same however often it stands there."""
    deep = ("subject.subject.subject.unheard", "x")
    assert "no type has" in refused("Task", deep)[0]
    assert "name a type" in refused("Task", *[deep] * 50)[-1]


def test_a_named_type_without_scope_is_forbidden_and_an_implied_one_is_no_match() -> None:
    may = May(search=lambda rtype: rtype in ("Task", "RelatedPerson"))
    for rtype, name in (
        ("Task", "patient.gender"),
        ("Task", "subject:Patient.gender"),
        ("RelatedPerson", "_has:Coverage:subscriber:status"),
    ):
        with pytest.raises(FhirError) as caught:
            query(rtype, (name, "x"), may=may)
        assert caught.value.category is Category.FORBIDDEN
        assert ".rs is needed" in caught.value.issues[0].diagnostics
    criteria = query("Task", ("subject.birthdate", "1980"), may=may)
    assert [c.rtype for c in criteria.clauses] == ["RelatedPerson"]  # type: ignore[union-attr]
    assert "not followed to Patient" in criteria.warnings[0]
    nobody = query("Task", ("subject.birthdate", "1980"), may=May())
    assert nobody.clauses == (HasKey((KEYS.of("0", "nothing"),), 0),)


@pytest.mark.parametrize(
    ("rtype", "name", "value"),
    [
        ("Task", "_security", "R"),
        ("Task", "_security:not", "R"),
        ("Task", "_security:missing", "true"),
        ("Task", "patient._security", "R"),
        ("Task", "requester._security", "R"),
        ("Patient", "_has:Condition:subject:_security", "R"),
        ("Task", "_filter", "_security eq R"),
        ("Task", "_filter", "status eq draft or not(patient._security pr true)"),
        ("Task", "_sort", "_security"),
        ("Task", "_sort", "-_id,-_security"),
    ],
)
def test_labels_are_for_operators(rtype: str, name: str, value: str) -> None:
    assert query(rtype, (name, value))
    with pytest.raises(FhirError) as caught:
        query(rtype, (name, value), ("status:wrong", "x"), may=May(search=lambda _t: True, read=lambda _t: True))
    assert caught.value.category is Category.FORBIDDEN
    # What else is wrong is said beside it, and the list of sort keys does not name the label.
    assert len(caught.value.issues) == 2
    assert "_security" not in refused("Task", ("_sort", "unheard"), may=May())[0]


def test_list_is_a_link_from_the_list() -> None:
    assert clause_of("Task", "_list", "a,b") == Linked((edge("List", "item"),), "List", (HasId(("a", "b")),), True)
    with pytest.raises(FhirError) as caught:
        query("Task", ("_list", "a"), may=May())
    assert caught.value.category is Category.FORBIDDEN


# ---- _filter


def fits(resource: dict, text: str) -> bool:  # type: ignore[type-arg]
    rtype = resource["resourceType"]
    return matches(query(rtype, ("_filter", text)), index_rows(resource, rtype, KEYS, BASE), resource["id"], 0)


@pytest.mark.parametrize(
    ("resource", "text", "found"),
    [
        (TASK, "status eq requested", True),
        (TASK, 'status eq "requested"', True),
        (TASK, "status ne requested", False),
        (TASK, "status ne draft", True),
        (TASK, "status eq http://hl7.org/fhir/task-status|requested", True),
        (TASK, "status eq draft or intent eq order", True),
        (TASK, "status eq draft and intent eq order", False),
        # From left to right, neither before the other: (true or x) and false.
        (TASK, "intent eq order or status eq draft and status eq draft", False),
        (TASK, "intent eq order or (status eq draft and status eq draft)", True),
        (TASK, "not (status eq draft)", True),
        (TASK, "not(status eq draft or intent eq order)", False),
        (TASK, "((status eq requested))", True),
        (TASK, "  status   eq  requested ", True),
        (TASK, "encounter pr false", True),
        (TASK, "encounter pr true", False),
        (TASK, "encounter ne Encounter/1", False),  # nothing there that differs
        (TASK, "not (encounter eq Encounter/1)", True),
        (TASK, "focus eq ServiceRequest/sr1", True),
        (TASK, "focus re ServiceRequest/sr1", True),
        (TASK, "_id eq t1", True),
        (TASK, "_id ne t1", False),
        (TASK, "authored-on ge 2026-03-08", True),
        (TASK, "authored-on lt 2026-03-08", False),
        (TASK, "authored-on po 2026-03", True),
        (TASK, "authored-on po 2026-04", False),
        (TASK, "identifier eq http://example.org/tasks|T\\,1", False),  # no escapes in a filter's token
        (TASK, "identifier eq http://example.org/tasks|T,1", True),
        (PATIENT, 'family eq "nunez"', True),
        (PATIENT, 'family eq "nune"', False),
        (PATIENT, 'family eq "NÚÑEZ"', True),
        (PATIENT, 'family sw "nune"', True),
        (PATIENT, 'family ne "nunez"', False),
        (PATIENT, 'family ne "other"', True),
        (PATIENT, 'family co "une"', True),
        (PATIENT, "gender eq female and not (birthdate lt 1980)", True),
        (PATIENT, 'family eq "a,b"', False),
    ],
)
def test_filters(resource: dict, text: str, found: bool) -> None:  # type: ignore[type-arg]
    assert fits(resource, text) is found


def test_a_filter_follows_chains() -> None:
    assert clause_of("Task", "_filter", "patient.gender eq female") == clause_of("Task", "patient.gender", "female")
    assert clause_of("Patient", "_filter", "_has:Task:patient:status eq draft") == clause_of(
        "Patient", "_has:Task:patient:status", "draft"
    )
    both = clause_of("Task", "_filter", "patient.gender eq female and not(patient.birthdate lt 1980)")
    assert isinstance(both, AllOf) and isinstance(both.clauses[1], Not)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "ends where a parameter belongs"),
        ("status", "ends where an operator belongs"),
        ("status eq", "ends where a value belongs"),
        ("status eq draft and", "ends where a parameter belongs"),
        ("(status eq draft", "ends where ')' belongs"),
        ("status eq draft)", "not understood from place 16"),
        ("status eq draft status eq draft", "not understood from place 17"),
        ('status eq "draft', "string without an end"),
        ('status eq "dr\\xaft"', "wrong escape at place 11"),
        ("not status eq draft", "not understood from place 15"),
        ("status eq (draft)", "an operator and a value"),
        ('"status" eq draft', "a parameter, 'not(' or '(' belongs there"),
        ("related[type eq x].target pr true", "square brackets"),
        ("status co draft", "takes for 'status' of Task (type token) the operators eq, ne, pr, in, ni, ss, sb"),
        ("patient.family ew " + SECRET, "(type string) the operators eq, ne, co, sw, pr"),
        ("status is draft", "the operators"),
        ("authored-on co 2026", "(type date) the operators eq, ne, gt"),
        ("_lastUpdated pr true", "the operators eq, ne, gt"),
        ("_lastUpdated po 2026", "the operators"),
        ("status:not eq draft", "takes no modifier"),
        (SECRET + " eq 1", "asks Task for a parameter that is not known there; known are: _id"),
        ("status pr maybe", "true or false behind 'pr'"),
        ('status eq " "', "empty value"),
        ("authored-on ge " + SECRET, "takes dates"),
        ("authored-on po ge2026", "without a prefix"),
        ('patient.family eq "' + "x" * 201 + '"', "1 to 200 characters"),
        ("_count eq 1", "not known there"),
    ],
)
def test_filters_that_cannot_be_executed(text: str, sentence: str) -> None:
    (said,) = refused("Task", ("_filter", text), strict=False)
    assert sentence in said and "'_filter'" in said and SECRET not in said


def test_all_that_is_wrong_in_a_filter_is_said_at_once() -> None:
    said = refused("Task", ("_filter", "status co x and authored-on co y or unheard eq z"), ("status", ""))
    assert [f"comparison at place {n}" in said[i] for i, n in enumerate((1, 17, 37))] == [True] * 3
    assert len(said) == 4


def test_limits_of_filters_at_their_edge() -> None:
    term = "status eq draft"
    assert query("Task", ("_filter", " and ".join([term] * MAX_TERMS))).clauses
    assert "comparisons" in refused("Task", ("_filter", " and ".join([term] * (MAX_TERMS + 1))))[0]
    assert "comparisons" in refused("Task", ("_filter", " and ".join([term] * MAX_TERMS)), ("_filter", term))[0]
    assert query("Task", ("_filter", "(" * MAX_DEPTH + term + ")" * MAX_DEPTH)).clauses
    assert "brackets" in refused("Task", ("_filter", "(" * (MAX_DEPTH + 1) + term + ")" * (MAX_DEPTH + 1)))[0]
    assert "brackets" in refused("Task", ("_filter", "not(" * (MAX_DEPTH + 1) + term + ")" * (MAX_DEPTH + 1)))[0]
    assert query("Task", ("_filter", term + " " * (MAX_FILTER - len(term)))).clauses
    assert "2000 characters" in refused("Task", ("_filter", term + " " * (MAX_FILTER + 1 - len(term))))[0]


WORDS = 'status eq draft and or not ( ) [ ] " patient.gender female pr true authored-on ge 2026 x'
pieces = st.sampled_from([*WORDS.split(), "_has:Task:part-of:status"])


@given(st.lists(pieces, max_size=14).map(" ".join) | st.text(max_size=60))
def test_any_filter_is_executed_or_refused(text: str) -> None:
    try:
        query("Task", ("_filter", text))
    except FhirError as error:
        assert error.category is Category.MALFORMED


paths = st.lists(
    st.sampled_from(
        ["patient", "owner", "_has:Task:part-of:", "focus", "status", "subject:Patient", "", "_id", "x", ":"]
    ),
    min_size=1,
    max_size=5,
).map(".".join)


@given(st.sampled_from(["Task", "Patient", "AuditEvent"]), paths, st.booleans())
def test_any_path_is_executed_or_refused(rtype: str, path: str, scoped: bool) -> None:
    try:
        query(rtype, (path, "x"), strict=False, may=May(search=lambda _t: scoped))
    except FhirError as error:
        assert error.category in (Category.MALFORMED, Category.FORBIDDEN)


def test_every_reference_can_be_chained_and_reversed() -> None:
    """Each reference of each type, named target by named target, to the id behind it."""
    for rtype, entry in catalog().types.items():
        for code, parameter in entry.search.items():
            if parameter.type != "reference" or "Reference" not in parameter.datatypes or rtype == "AuditEvent":
                continue
            for target in set(parameter.targets) & set(catalog().types) - {"AuditEvent"}:
                forward = clause_of(rtype, f"{code}:{target}._id", "x")
                back = clause_of(target, f"_has:{rtype}:{code}:_id", "x")
                assert (forward.rtype, back.rtype, forward.params) == (target, rtype, back.params)
