"""Who writes the directory: types without a patient belong to the operator and to the organization that they describe.

Source: ../shared/decisions.md 39.
"""

from fhir_profiles import Resource
from service.access.roles import OPEN_TYPES
from service.caller import Caller, Role
from service.errors import Category, FhirError, Issue

BELONGS_TO = {"PractitionerRole": "organization", "Location": "managingOrganization", "HealthcareService": "providedBy"}
"""The element that names whose entry it is."""


def is_own_entry(caller: Caller, resource: Resource) -> bool:
    """Whether a directory entry describes the caller's organization."""
    rtype = resource["resourceType"]
    if rtype == "Organization":
        return f"Organization/{resource.get('id')}" == caller.organization
    named = resource.get(BELONGS_TO.get(rtype, ""), {})
    return isinstance(named, dict) and named.get("reference") == caller.organization


def check_entry(caller: Caller, resource: Resource, old: Resource | None = None) -> None:
    """403 for a new or changed entry that is not the caller's own. Practitioner and Questionnaire are the author's.

    partOf is the operator's: a Consent that names an organization means its parts too.
    """
    rtype = resource["resourceType"]
    if rtype not in OPEN_TYPES or caller.role in (Role.ADMIN, Role.SYSTEM):
        return
    if rtype == "Organization" and not is_own_entry(caller, resource):
        text = "Organizations are added by the operator; each changes its own entry only."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "Organization", "forbidden")], reason="directory")
    if rtype == "Organization" and resource.get("partOf") != (old or {}).get("partOf"):
        text = "partOf is set by the operator, since rights follow from it: leave it as you read it."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "Organization.partOf", "forbidden")], reason="directory")
    element = BELONGS_TO.get(rtype)
    if element and not is_own_entry(caller, resource):
        text = f"{element} must be your own organization: a directory entry is written by whom it describes."
        raise FhirError(Category.FORBIDDEN, [Issue(text, f"{rtype}.{element}", "forbidden")], reason="directory")
