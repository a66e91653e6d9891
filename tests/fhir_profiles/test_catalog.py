"""The catalog tells what capability_statement.json says, and refuses to start where that is not so."""

import copy
import json
from pathlib import Path as File

import pytest

from fhir_profiles import catalog as catalog_module
from fhir_profiles.build.capability import NOT_SERVED, rewritten
from fhir_profiles.build.search_expressions import Elements, Unsupported, paths_of
from fhir_profiles.catalog import HERE, CatalogError, Step, build, catalog

ISSUE_TYPES = """Patient RelatedPerson Practitioner PractitionerRole Organization Location HealthcareService CareTeam
EpisodeOfCare Encounter Condition Observation Goal CarePlan ServiceRequest Task Consent Communication Procedure Coverage
Group Questionnaire QuestionnaireResponse DocumentReference Provenance AuditEvent RiskAssessment List
Subscription PlanDefinition Measure MeasureReport""".split()

DEMANDED = {  # US Core 7 and SDOHCC 3 servers: ../shared/facts/closed-loop.md 1.7 and 2.2
    "Task": "code patient requester status focus owner output",
    "ServiceRequest": "category intent patient status code occurrence performer requester supporting-info authored",
    "Procedure": "based-on category patient performer status code date",
    "Consent": "source-reference patient date status scope",
    "Condition": "category patient clinical-status code verification-status encounter onset-date asserted-date "
    "recorded-date abatement-date",
    "Goal": "category patient achievement-status lifecycle-status target-date description",
    "Observation": "category patient status code date derived-from",
    "Group": "characteristic member managing-entity",
    "HealthcareService": "location name active organization service-category service-type program",
    "PractitionerRole": "organization practitioner specialty",
    "Questionnaire": "url version code status title publisher",
    "QuestionnaireResponse": "author patient questionnaire status authored",
    "Patient": "identifier name birthdate gender family death-date",
    "CarePlan": "patient category date status",
    "CareTeam": "patient status role participant",
    "Encounter": "patient date identifier class type status location discharge-disposition",
    "Coverage": "patient",
    "RelatedPerson": "patient name",
    "Location": "name address address-city address-state address-postalcode",
    "Organization": "name address type identifier",
    "Practitioner": "name identifier",
}


def data(name: str) -> dict:
    return json.loads((HERE / name).read_text("utf-8"))


def built(statement: dict, compiled: dict | None = None) -> catalog_module.Catalog:
    compartment = data("search_parameters/patient_compartment.json")
    return build(statement, compiled or data("search_parameters/compiled.json"), compartment)


def test_the_types_of_the_issue_are_served_with_their_interactions():
    types = catalog().types
    assert sorted(types) == sorted(ISSUE_TYPES)
    full = {"read", "vread", "create", "update", "patch", "delete", "history-instance", "history-type", "search-type"}
    special = {"Provenance": {"create", "read", "search-type"}, "AuditEvent": {"read", "search-type"}}
    for name, entry in types.items():
        assert entry.interactions == special.get(name, full), name
    assert {name for name, entry in types.items() if entry.if_match_required} == {
        "Task",
        "CarePlan",
        "CareTeam",
        "Consent",
    }
    assert all(("validate" in entry.operations) == ("create" in entry.interactions) for entry in types.values())


@pytest.mark.parametrize("rtype", DEMANDED)
def test_what_the_guides_demand_is_served(rtype: str):
    assert set(DEMANDED[rtype].split()) <= set(catalog().types[rtype].search)


def test_every_standard_parameter_is_served_but_those_with_a_reason():
    compiled = data("search_parameters/compiled.json")
    for name, entry in catalog().types.items():
        left_out = {*compiled["Resource"], *compiled[name]} - set(entry.search)
        assert left_out <= set(NOT_SERVED), name
        assert {"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"} <= set(entry.search)
    assert all(NOT_SERVED.values())


def test_the_guides_own_parameters_bear_their_canonicals():
    output = catalog().types["Task"].search["output"]
    assert output.canonical == "http://hl7.org/fhir/us/sdoh-clinicalcare/SearchParameter/Task-output-reference"
    assert output.paths[0].steps == (Step("output"), Step("valueReference"))
    supporting = catalog().types["ServiceRequest"].search["supporting-info"]
    assert supporting.canonical.endswith("/ServiceRequest-supporting-info")


def test_aliases_are_stored_once():
    types = catalog().types
    assert types["Task"].search["patient"].stored_as == ("subject",)
    assert types["Task"].search["patient"].is_alias
    assert types["Encounter"].search["practitioner"].stored_as == ("participant",)
    assert types["AuditEvent"].search["patient"].stored_as == ("agent", "entity")
    assert types["EpisodeOfCare"].search["care-manager"].stored_as == ("care-manager",)
    for entry in types.values():
        for parameter in entry.search.values():
            assert all(not entry.search[stored].is_alias for stored in parameter.stored_as), parameter


def test_a_parameter_that_others_answer_together_needs_no_rows():
    search = catalog().types["Observation"].search
    assert search["combo-code"].stored_as == ("code", "component-code")
    assert search["combo-code-value-quantity"].stored_as == ("code-value-quantity", "component-code-value-quantity")
    assert search["code-value-quantity"].groups[0].asked == ("code", "value-quantity")
    assert search["component-code-value-quantity"].groups[0].asked == ()
    for entry in catalog().types.values():
        for parameter in entry.search.values():
            for code in (code for group in parameter.groups for code in group.asked):
                assert entry.search[code].type in ("token", "quantity", "date", "string")


def test_the_subject_leads_the_compartment():
    types = catalog().types
    assert types["Coverage"].compartment[0] == "beneficiary"
    assert types["Observation"].compartment == ("subject", "performer")
    assert types["Task"].compartment[0] == "patient"
    assert types["Group"].compartment == types["Organization"].compartment == ()
    for entry in types.values():
        assert len(entry.patient_paths) == len(entry.compartment)


def test_includes_are_the_served_references_in_both_directions():
    types = catalog().types
    for name, entry in types.items():
        wanted = {
            f"{name}:{parameter.code}"
            for parameter in entry.search.values()
            if parameter.type == "reference" and "Reference" in parameter.datatypes
            if parameter.targets == ("Any",) or set(parameter.targets) & set(types)
        }
        assert entry.includes == wanted
        for source in types:
            # AuditEvents are rendered, not stored: nothing can be revincluded from them or to them
            stored = "AuditEvent" not in (source, name)
            back = {include for include in types[source].includes if stored and leads_to(include, name)}
            assert {row for row in entry.revincludes if row.startswith(source + ":")} == back


def leads_to(include: str, target: str) -> bool:
    source, code = include.split(":")
    targets = catalog().types[source].search[code].targets
    return targets == ("Any",) or target in targets


def test_the_statement_is_a_valid_resource():
    from fhir.resources.R4B.capabilitystatement import CapabilityStatement

    CapabilityStatement.model_validate(data("capability_statement.json"))


def test_a_parameter_that_no_walker_reads_stops_the_start():
    statement = data("capability_statement.json")
    text = "http://hl7.org/fhir/SearchParameter/Resource-content"
    statement["rest"][0]["searchParam"].append({"name": "_content", "definition": text, "type": "string"})
    with pytest.raises(CatalogError, match=r"_content cannot be indexed"):
        built(statement)


def test_the_search_lines_are_what_the_build_script_writes():
    text = (HERE / "capability_statement.json").read_text("utf-8")
    assert rewritten(text, data("search_parameters/compiled.json")) == text


def test_a_new_type_needs_an_empty_line_only():
    text = (HERE / "capability_statement.json").read_text("utf-8")
    start = text.index('        "type": "Goal",')
    first, last = text.index('        "searchInclude"', start), text.index("        ],", start)
    bare = text[:first] + '        "searchParam": []' + text[last + len("        ]") :]
    assert rewritten(bare, data("search_parameters/compiled.json")) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nonsense"}, "has no definition"),
        ({"type": "date"}, "differ"),
        ({"definition": "http://example.org/other"}, "differ"),
    ],
)
def test_a_contradiction_stops_the_start(change: dict, message: str):
    statement = copy.deepcopy(data("capability_statement.json"))
    statement["rest"][0]["resource"][0]["searchParam"][0].update(change)
    with pytest.raises(CatalogError, match=message):
        built(statement)


@pytest.mark.parametrize(
    "expression",
    ["Patient.name.first()", "Patient.name[0]", "Patient.name.where(use = 'a' or use = 'b')", "name", "Patient", ""],
)
def test_an_expression_of_another_form_is_refused(expression: str):
    elements = Elements(types={"Patient.name": ["HumanName"]})
    with pytest.raises(Unsupported):
        paths_of(expression, "Patient", "string", elements)


def test_an_element_of_no_known_type_is_refused():
    elements = Elements(types={"Patient.name": ["HumanName"], "Patient.photo": ["Attachment"]})
    assert paths_of("Patient.name", "Patient", "string", elements) == [{"steps": ["name"], "type": "HumanName"}]
    for expression in ("Patient.nme", "Patient.photo", "Patient.name | Patient.photo"):
        with pytest.raises(Unsupported):
            paths_of(expression, "Patient", "string", elements)


def test_the_catalog_is_read_once():
    assert catalog() is catalog()
    assert File(HERE / "capability_statement.json").exists()
