"""Held code systems and value sets: hierarchies, versions, what is not held."""

from fhir_profiles.terminology import BASES, code_systems, value_set

SERVICES = "https://enlace.example.org/fhir/CodeSystem/cs-service"


def test_a_code_stands_above_and_below_itself_and_its_kin():
    system = code_systems()[SERVICES]
    (child,) = [code for code, parent in system.parents.items() if parent == "meals-supportive-food"][:1]
    assert system.above(child) == (child, "meals-supportive-food")
    assert {child, "meals-supportive-food"} <= set(system.below("meals-supportive-food"))
    assert system.below(child) == (child,)
    assert system.above("unheard") == system.below("unheard") == ()


def test_value_sets_of_ours_and_of_r4():
    assert set(value_set(BASES[0] + "cs-service")) == {SERVICES}
    assert value_set(BASES[0] + "cs-service")[SERVICES] == tuple(code_systems()[SERVICES].parents)
    statuses = value_set("http://hl7.org/fhir/ValueSet/task-status|4.0.1")
    assert statuses["http://hl7.org/fhir/task-status"][0] == "draft"
    for unknown in ("cs-service|9", "nothing"):
        assert value_set(BASES[0] + unknown) == {}
    assert value_set("http://hl7.org/fhir/ValueSet/task-status|5.0.0") == {}
    assert value_set("") == {}


def test_all_of_ours_are_held():
    assert len(code_systems()) == 34
    assert all(value_set(url.replace("CodeSystem", "ValueSet")) for url in code_systems())
