"""Over what a search runs: a type, the whole service, the compartment of a Patient.

https://hl7.org/fhir/R4/http.html#search and https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_profiles.catalog import catalog
from service.access.context import Context
from service.caller import Caller
from service.errors import Category, FhirError, Issue
from service.search.chains import RENDERED
from service.search.compartment import compartment_edges
from service.search.criteria import HasEdge
from service.search.query import Params

PATIENT = "Patient"
EVERY = "*"


@dataclass(frozen=True)
class Where:
    """path: below the base, for links and the audit row. patient: of the compartment. everywhere: _type may stand."""

    path: str
    rtypes: tuple[str, ...]
    patient: str = ""
    everywhere: bool = False

    @property
    def plain(self) -> bool:
        """Of one type, and of all its resources."""
        return not self.everywhere and not self.patient

    @property
    def interaction(self) -> str:
        return "search-system" if self.everywhere else "search-type"

    def within(self, ctx: Context, rtype: str) -> tuple[HasEdge, ...]:
        """What keeps the matches of a type inside the compartment.

        It asks the resources alone, never whether there is such a Patient or who may see it: a foreign one and an
        absent one give the same answer.
        """
        if not self.patient:
            return ()
        return (HasEdge(compartment_edges(rtype), (ctx.store.keys.resource(self.patient),)),)


def of_type(rtype: str) -> Where:
    return Where(rtype, (rtype,))


def of_system(caller: Caller, params: Params) -> Where:
    return Where("", _chosen(caller, params, _stored_types()), everywhere=True)


def of_compartment(caller: Caller, fhir_id: str, part: str, params: Params) -> Where:
    patient = f"{PATIENT}/{fhir_id}"
    members = [rtype for rtype in catalog().types if catalog().types[rtype].compartment]
    if part == EVERY:
        stored = [rtype for rtype in _stored_types() if rtype in members]
        return Where(f"{patient}/{EVERY}", _chosen(caller, params, stored), patient, everywhere=True)
    if part not in members or "search-type" not in catalog().types[part].interactions:
        text = f"No such type is in the compartment of a Patient; these are: {', '.join(sorted(members))}; or *."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-supported")])
    return Where(f"{patient}/{part}", (part,), patient)


def _stored_types() -> list[str]:
    """AuditEvents are made when they are read: they are searched by themselves."""
    types = catalog().types.items()
    return [name for name, entry in types if name not in RENDERED and "search-type" in entry.interactions]


def _chosen(caller: Caller, params: Params, possible: list[str]) -> tuple[str, ...]:
    """The types of _type; without it all that the token may search."""
    lists = [value for name, value in params if name == "_type"]
    if not lists:
        found = [rtype for rtype in possible if caller.allows("s", rtype)]
        if not found:
            raise _no_scope(["a type"])
        return tuple(found)
    named = list(dict.fromkeys(rtype for value in lists for rtype in value.split(",")))
    if not all(rtype in possible for rtype in named):
        text = f"Parameter '_type' takes types, separated by commas: {', '.join(sorted(possible))}."
        raise FhirError(Category.MALFORMED, [Issue(text, code="not-supported")])
    refused = [rtype for rtype in named if not caller.allows("s", rtype)]
    if refused:
        raise _no_scope(refused)
    return tuple(named)


def _no_scope(rtypes: Iterable[str]) -> FhirError:
    issues = [
        Issue(f"The access token has no scope to search {rtype}: system/{rtype}.s is needed.") for rtype in rtypes
    ]
    if not issues or rtypes == ["a type"]:
        issues = [Issue("The access token has no scope to search any type here: system/[type].s is needed.")]
    return FhirError(
        Category.FORBIDDEN, issues, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}, reason="scope"
    )
