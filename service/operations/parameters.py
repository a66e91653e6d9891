"""What goes into an operation: a Parameters resource or a query, as name and value.

Source: https://hl7.org/fhir/R4/operations.html
"""

from typing import Any

from service.errors import Category, FhirError, Issue
from service.search.syntax import Refused, checked, shown

Params = list[tuple[str, str]]


def parts(body: Any) -> list[dict[str, Any]]:
    """The parameters of a Parameters resource; [] for any other body."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        return []
    found = body.get("parameter") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        text = "Parameters.parameter must be a list of objects with a name and a value or resource each."
        raise FhirError(Category.MALFORMED, [Issue(text, "Parameters.parameter", "structure")])
    return found


def value_of(part: dict[str, Any]) -> Any:
    """Its value[x], whichever datatype; None where it has none."""
    return next((value for name, value in part.items() if name.startswith("value")), None)


def pairs(body: Any) -> Params:
    """The parameters of a body as a query would hold them. Raises MALFORMED where one has no simple value."""
    found: Params = []
    issues: list[Issue] = []
    if body is not None and (not isinstance(body, dict) or body.get("resourceType") != "Parameters"):
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    for number, part in enumerate(parts(body)):
        name, value = part.get("name"), value_of(part)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not isinstance(name, str) or value is None or isinstance(value, dict | list):
            place = f"Parameters.parameter[{number}]"
            issues.append(Issue("This parameter needs a name and a value such as valueInteger.", place, "structure"))
        else:
            found.append((name, text))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return found


def known(
    params: Params, names: tuple[str, ...], several: tuple[str, ...] = ()
) -> tuple[dict[str, list[str]], list[Issue]]:
    """Values by name, and what is wrong: an unknown name, or one that stands twice."""
    found: dict[str, list[str]] = {}
    issues: list[Issue] = []
    for name, value in params:
        try:
            if name not in names:
                raise Refused(f"is not known for this operation; known are: {', '.join(names)}", "not-supported")
            if name in found and name not in several:
                raise Refused("may stand once")
            text = checked(value)
            found.setdefault(name, []).append(text)
        except Refused as refused:
            issues.append(Issue(f"Parameter {shown(name)} {refused.sentence}.", code=refused.code))
    return found, issues
