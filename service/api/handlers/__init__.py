"""The handlers of THE route table: a Call -> the function that decides. Nothing here knows HTTP."""

import re

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError, Issue
from service.interactions.call import Call

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def id_of(call: Call) -> str:
    """The id of the path; what cannot be one is not known."""
    known_operation(call.id, call.type)
    if not _ID.match(call.id):
        text = f"No {call.type} bears this id: an id has 1 to 64 letters, digits, '-' or '.'."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-found")])
    return call.id


def known_operation(part: str, rtype: str) -> None:
    """Raises NOT_FOUND for `$name` in the place of an id or of a type: no row of the table has this operation there."""
    if part.startswith("$"):
        served = ", ".join(f"${name}" for name in sorted(catalog().types[rtype].operations)) or "none"
        text = f"This operation is not served here; served for {rtype}: {served}. See /fhir/metadata."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-supported")])
