"""fhir.resources' word on a refused resource: https://pypi.org/project/fhir.resources/

The only user of fhir.resources. It has no R4 4.0.1 package, so R4B is asked and what R4 lacks is refused here.
Loaded at the first refusal (0.4 s, 28 MB): call `warm()` in a thread after start to have it ready.
"""

import re
from functools import cache
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.problem import Problem, structural
from fhir_profiles.r4_types import fields, resource_types

WORDS = {
    "missing": ("required", "This element is required: add it."),
    "extra_forbidden": ("structure", "R4 has no such element here: remove it or look at the spelling."),
    "string_type": ("structure", "Expected a JSON string."),
    "string_pattern_mismatch": ("value", "The text does not have the form that R4 gives this type."),
    "string_too_short": ("value", "A string is never empty: leave the element out."),
    "list_type": ("structure", "This element repeats: give a JSON array, even for one value."),
    "bool_type": ("structure", "Expected true or false, without quotes."),
    "bool_parsing": ("structure", "Expected true or false, without quotes."),
    "int_type": ("structure", "Expected a whole JSON number."),
    "decimal_type": ("structure", "Expected a JSON number, without quotes."),
    "greater_than": ("value", "The number is too small for this element."),
    "greater_than_equal": ("value", "The number is too small for this element."),
}
OTHERWISE = ("structure", "The element does not have the shape that R4 gives it: compare it with the definition.")
UNREADABLE = "The resource cannot be read as R4: look at the resourceType of everything it contains."


@cache
def _model(rtype: str) -> Any:
    """The R4B class, or None for the few R4 types that R4B has dropped."""
    from fhir.resources.R4B import get_fhir_model_class

    try:
        return get_fhir_model_class(rtype)
    except (LookupError, ImportError, AttributeError, ValueError):
        return None


def warm() -> None:
    """Load the library and one model: 0.5 s of CPU, best spent in a thread."""
    explain({"resourceType": "Basic"}, "Basic")


def explain(resource: Resource, rtype: str) -> list[Problem]:
    """What fhir.resources holds against a resource; empty where it has nothing to say or no model.

    Never raises, and never repeats a value: its messages are replaced by our own by their kind.
    """
    if rtype not in resource_types():
        return [structural("structure", rtype, "R4 has no such resource type: look at the spelling.")]
    model = _model(rtype)
    if model is None:
        return []
    try:
        model.model_validate(resource)
    except Exception as error:  # KeyError for an unknown contained type, recursion, and whatever else comes
        errors = getattr(error, "errors", None)
        return _worded(errors, rtype) if callable(errors) else [structural("structure", rtype, UNREADABLE)]
    return [
        structural("structure", f"{rtype}.{key}", "R4 has no such element; it belongs to a later release.")
        for key in resource
        if key != "resourceType" and not key.startswith("_") and key not in fields(rtype)
    ]


def _worded(errors: Any, rtype: str) -> list[Problem]:
    try:
        listed = errors(include_url=False, include_context=False, include_input=False)
    except Exception:
        return [structural("structure", rtype, UNREADABLE)]
    found = {}
    for error in listed:
        if error["type"] == "extra_forbidden" and str(error["loc"][-1]).startswith("_"):
            continue  # A known gap: it refuses `_valueCode` and the like, which R4 allows.
        code, text = WORDS.get(error["type"], OTHERWISE)
        expression = fhirpath(rtype, error["loc"])
        found[(expression, text)] = structural(code, expression, text)
    return list(found.values())


def fhirpath(rtype: str, loc: tuple[str | int, ...]) -> str:
    """`('activity', 0, 'detail', 'status__ext')` of a CarePlan -> `CarePlan.activity[0].detail.status`."""
    path = rtype
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "resourceType":
            name = part.removesuffix("__ext").removesuffix("_fhir").lstrip("_")
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,40}", name):
                path += f".{name}"
    return path
