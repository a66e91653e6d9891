"""The table of roles: deny by default, and scopes only ever narrow it."""

import pytest

from fhir_profiles.catalog import catalog
from service.access.context import Context
from service.access.roles import OPEN_TYPES, check_scope, check_write, restriction, rights
from service.caller import Caller, Role
from service.errors import FhirError
from service.search.keys import Keys
from service.search.restriction import EVERYTHING, See
from service.store.engine import Store

KEYS = Keys(b"k")


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_a_row_of_known_types(role: Role) -> None:
    known = set(catalog().types)
    assert set(rights(role).sees) <= known and rights(role).writes <= known
    if role not in (Role.ADMIN, Role.SYSTEM):
        assert rights(role).writes <= set(rights(role).sees)
        assert {t for t, see in rights(role).sees.items() if see is See.OPEN} <= set(OPEN_TYPES)


def test_the_hospital_sees_what_it_was_told_and_writes_nothing() -> None:
    assert rights(Role.HOSPITAL).sees == {"Communication": See.OWN} and rights(Role.HOSPITAL).writes == frozenset()


def test_a_cbo_sees_a_view_of_a_patient_and_no_clinical_record() -> None:
    sees = rights(Role.CBO).sees
    assert sees["Patient"] is See.VIEW and "Patient" not in rights(Role.CBO).writes
    assert not set(sees) & {"Condition", "CareTeam", "CarePlan", "Coverage", "Consent", "Encounter"}
    assert sees["Task"] is sees["ServiceRequest"] is See.PARTY and sees["Procedure"] is See.OWN


def test_only_the_service_and_a_sandbox_operator_see_everything() -> None:
    for role in Role:
        for env in ("sandbox", "production"):
            made = restriction(Caller("c", role, "Organization/o"), KEYS, 5, env=env)
            assert made.unrestricted == (role is Role.SYSTEM or (role is Role.ADMIN and env == "sandbox"))
    operator = restriction(Caller("c", Role.ADMIN, "Organization/o"), KEYS, 5, env="production")
    assert set(operator.types) == {*OPEN_TYPES, "Subscription"}


def test_whose_panel_counts() -> None:
    organization, person = KEYS.resource("Organization/o"), KEYS.resource("Practitioner/p")
    system = restriction(Caller("c", Role.ECM_PROVIDER, "Organization/o"), KEYS, 5, env="production")
    assert (system.subjects, system.own, system.now_us) == ((organization,), (organization,), 5)
    lcm = restriction(Caller("c", Role.LCM, "Organization/o", "Practitioner/p"), KEYS, 5, env="production")
    assert (lcm.subjects, lcm.own) == ((person,), (organization,))


def test_scope_and_role_are_both_needed() -> None:
    caller = Caller("c", Role.CBO, "Organization/o", allows=lambda letter, rtype: (letter, rtype) == ("r", "Task"))
    check_scope(caller, "r", "Task")
    check_write(caller, "Task")
    for letter, rtype in (("u", "Task"), ("r", "Patient")):
        with pytest.raises(FhirError) as refused:
            check_scope(caller, letter, rtype)
        assert refused.value.category.status == 403
    with pytest.raises(FhirError):
        check_write(caller, "Patient")


async def test_included_types_are_narrowed_by_scope(store: Store) -> None:
    def only(letter: str, rtype: str) -> bool:
        return rtype == "Task"

    for number, role in enumerate((Role.ECM_PROVIDER, Role.ADMIN)):
        caller = Caller("c", role, "Organization/o", scopes=f"test-{number}", allows=only)
        readable = Context(store, caller, 5).readable()
        assert set(readable.types) == {"Task"} and not readable.unrestricted
    assert EVERYTHING.unrestricted


def test_a_consent_may_name_the_caller_by_what_it_is_part_of() -> None:
    caller = Caller("c", Role.CBO, "Organization/o", "Practitioner/p", above=("Organization/a", "Organization/b"))
    made = restriction(caller, KEYS, 5, env="production")
    named = ("Practitioner/p", "Organization/o", "Organization/a", "Organization/b")
    assert made.actors == tuple(KEYS.resource(one) for one in named)
    assert caller.purpose in made.purposes


def test_a_view_and_a_grace_are_only_where_they_are_asked_for() -> None:
    """Deny by default: what writes, asks conditions or follows chains never sets them."""
    for role in Role:
        made = restriction(Caller("c", role, "Organization/o"), KEYS, 5, env="production")
        assert not made.views and not made.grace_us
