"""What each role sees and writes, as a table. Source: ../shared/facts/california.md C.6, security.md 2.1.

A type that is absent from a role's row is neither seen nor written. Scopes narrow this further, nothing widens it.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from fhir_profiles.catalog import catalog
from service.access.consent.who import actors_of, purposes_of
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.search.keys import Keys
from service.search.restriction import EVERYTHING, Restriction, See

OPEN_TYPES = (
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Location",
    "HealthcareService",
    "Questionnaire",
    "PlanDefinition",
    "Measure",
)
"""Types without a patient: readable with scope by every client."""

PLAN_TYPES = (
    "Patient",
    "Coverage",
    "CarePlan",
    "CareTeam",
    "EpisodeOfCare",
    "Task",
    "ServiceRequest",
    "Encounter",
    "Communication",
    "Consent",
    "Goal",
)
PARTY_TYPES = ("Task", "ServiceRequest", "Communication")
OWN_TYPES = ("Procedure", "DocumentReference", "Observation", "QuestionnaireResponse", "Subscription")
OWN_LISTS = ("Group", "Subscription", "MeasureReport")
"""Without a patient, and nobody's business but their author's."""


@dataclass(frozen=True)
class Rights:
    """sees: how a type becomes visible. writes: types that the role may create, update and delete."""

    sees: dict[str, See]
    writes: frozenset[str] = field(default_factory=frozenset)


def _open() -> dict[str, See]:
    return dict.fromkeys(OPEN_TYPES, See.OPEN)


def _clinical() -> tuple[str, ...]:
    return tuple(t for t in catalog().types if t not in (*OPEN_TYPES, "AuditEvent"))


def rights(role: Role) -> Rights:
    if role not in _TABLE:
        _TABLE[role] = _ROWS[role]()
    return _TABLE[role]


def _all_types() -> Rights:
    return Rights(dict.fromkeys(catalog().types, See.OPEN), frozenset(catalog().types))


def _care() -> Rights:
    """The ECM provider's systems and people: the whole record of assigned members; what is theirs in the directory."""
    sees = _open() | dict.fromkeys(_clinical(), See.PANEL) | dict.fromkeys(OWN_LISTS, See.OWN)
    return Rights(sees, frozenset((*_clinical(), *OPEN_TYPES)))


def _plan() -> Rights:
    sees = _open() | dict.fromkeys(PLAN_TYPES, See.PANEL) | dict.fromkeys(OWN_LISTS, See.OWN)
    writes = (
        "Patient",
        "Coverage",
        "EpisodeOfCare",
        "Task",
        "ServiceRequest",
        "Communication",
        *OWN_LISTS,
    )
    return Rights(sees, frozenset((*writes, *OPEN_TYPES)))


def _cbo() -> Rights:
    """Its own referrals; of their members what views.py lets through."""
    sees = _open() | dict.fromkeys(PARTY_TYPES, See.PARTY) | dict.fromkeys(OWN_TYPES, See.OWN) | {"Patient": See.VIEW}
    return Rights(sees, frozenset(("Task", "Communication", *OWN_TYPES, *OPEN_TYPES)))


def _referrer() -> Rights:
    """Whom it refers: its own Patients whole, of those referred to it a minimum view."""
    sees = _open() | dict.fromkeys(PARTY_TYPES, See.PARTY) | {"Patient": See.VIEW, "Subscription": See.OWN}
    return Rights(sees, frozenset(("Patient", "ServiceRequest", "Task", "Communication", "Subscription")))


_ROWS = {
    Role.SYSTEM: _all_types,
    Role.ADMIN: _all_types,
    Role.ECM_PROVIDER: _care,
    Role.LCM: _care,
    Role.MCP: _plan,
    Role.CBO: _cbo,
    # What is filed as its own: the answers that name the lead care manager of its patients (hospital_answer.py).
    Role.HOSPITAL: lambda: Rights({"Communication": See.OWN}),
    Role.REFERRER: _referrer,
}
_TABLE: dict[Role, Rights] = {}


def restriction(caller: Caller, keys: Keys, now_us: int, *, env: str) -> Restriction:
    """The caller's view of the store. An operator sees patients in the sandbox only (break-glass comes with access)."""
    if caller.role is Role.SYSTEM or (caller.role is Role.ADMIN and env == "sandbox"):
        return EVERYTHING
    organization = _key(keys, caller.organization)
    if caller.role is Role.ADMIN:
        return Restriction(types=_OPERATOR, own=(organization,), now_us=now_us)
    person = (_key(keys, caller.person),) if caller.person else ()
    # A lead care manager has the members assigned to the person; a system those of its organization.
    subjects = person if caller.role is Role.LCM and person else (organization, *person)
    return Restriction(
        subjects=subjects,
        own=(organization,),
        types=rights(caller.role).sees,
        now_us=now_us,
        actors=actors_of(caller, keys),
        purposes=purposes_of(caller.purpose),
    )


GRACED = frozenset({Role.ECM_PROVIDER, Role.LCM})
"""Who may read on for a time after an assignment ended, where the operator sets ENLACE_ECM_GRACE_DAYS."""


@lru_cache(maxsize=4096)
def _key(keys: Keys, reference: str) -> int:
    """Callers are few and ask often."""
    return keys.resource(reference)


_OPERATOR = dict.fromkeys((*OPEN_TYPES, "Subscription"), See.OPEN)
"""Deliveries are the operator's to mend, so it sees who subscribes to what: of a member that
names an id in a filter at most."""


def check_write(caller: Caller, rtype: str) -> None:
    """403 unless the caller's role writes this type."""
    if rtype not in rights(caller.role).writes:
        raise FhirError(Category.FORBIDDEN, f"Clients with the role {caller.role} do not write {rtype}.", reason="role")


def check_scope(caller: Caller, letter: str, rtype: str) -> None:
    """403 unless the token's scopes hold the letter (c r u d s) for the type."""
    if not caller.allows(letter, rtype):
        raise FhirError(
            Category.FORBIDDEN,
            f"The access token has no scope for this: system/{rtype}.{letter} is needed.",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
            reason="scope",
        )
