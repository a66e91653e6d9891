"""Which of the three patches a body is, and what it makes of a resource: ../shared/facts/fhir-servers.md 4.2"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.patching import fhirpath_patch, json_patch, merge_patch
from service.patching.work import Work

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
PLAIN_TYPES = frozenset({"application/json", "text/json"})
"""An array is a JSON Patch, Parameters are a FHIRPath Patch, every other object is a merge patch."""
RESOURCE_TYPES = frozenset(
    f"{start}/{end}"
    for start, end in (
        *(("application", end) for end in ("fhir+json", "json+fhir", "fhir+xml", "xml+fhir", "xml")),
        ("text", "xml"),
    )
)
"""A resource in any format that is read: Parameters are a FHIRPath Patch."""
TAKEN = frozenset({JSON_PATCH, MERGE_PATCH}) | PLAIN_TYPES | RESOURCE_TYPES


@dataclass(frozen=True)
class Patch:
    """A patch that was read: `apply` may be called again, after a lost race, on another version."""

    kind: str
    document: Any

    def apply(self, resource: Resource) -> Resource:
        """The patched resource; 422 with all operations that cannot be done. Changes `resource` on the way."""
        rtype, fhir_id, work = resource.get("resourceType"), resource.get("id"), Work()
        result = work.cleaned(_KINDS[self.kind][1](resource, self.document, work))
        if not isinstance(result, dict):
            raise FhirError(Category.RULE, [Issue("The patch leaves no resource behind.", str(rtype))], reason="patch")
        Work().copy(result)
        kept = (("resourceType", rtype), ("id", fhir_id))
        issues = [
            Issue(f"{name} is not changed by a patch: it stays what it is in the URL.", f"{rtype}.{name}")
            for name, value in kept
            if result.get(name) != value
        ]
        if issues:
            raise FhirError(Category.RULE, issues, reason="patch")
        return result


_Read = Callable[[Any], Any]
_Apply = Callable[[Resource, Any, Work], Any]
_KINDS: dict[str, tuple[_Read, _Apply]] = {
    "json-patch": (json_patch.read, json_patch.apply),
    "merge-patch": (merge_patch.read, merge_patch.apply),
    "fhirpath-patch": (fhirpath_patch.read, fhirpath_patch.apply),
}


def read_patch(content_type: str, document: Any) -> Patch:
    """The patch in a parsed body; 415 where its content type names none, 400 where it has not that form."""
    check_content_type(content_type)
    kind = _kind(content_type, document)
    return Patch(kind, _KINDS[kind][0](document))


def check_content_type(content_type: str) -> None:
    """415 for a body that can be no patch, before it is read."""
    if content_type not in TAKEN:
        raise _unsupported()


def _kind(content_type: str, document: Any) -> str:
    if content_type in (JSON_PATCH, MERGE_PATCH):
        return "json-patch" if content_type == JSON_PATCH else "merge-patch"
    if isinstance(document, dict) and document.get("resourceType") == "Parameters":
        return "fhirpath-patch"
    if content_type in RESOURCE_TYPES:
        raise _unsupported()
    return "json-patch" if isinstance(document, list) else "merge-patch"


def _unsupported() -> FhirError:
    text = f"A patch is a JSON Patch ({JSON_PATCH}), a merge patch ({MERGE_PATCH}), or a FHIRPath Patch: a Parameters "
    text += "resource (application/fhir+json)."
    accepted = {"Accept-Patch": f"{JSON_PATCH}, {MERGE_PATCH}, application/fhir+json"}
    return FhirError(Category.UNSUPPORTED_MEDIA, text, headers=accepted)
