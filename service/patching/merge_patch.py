"""JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396"""

from typing import Any

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.patching.work import Work


def read(document: Any) -> Any:
    """The patch itself: any object is one."""
    if not isinstance(document, dict):
        text = "A merge patch is an object with the elements to change; null takes an element away."
        raise FhirError(Category.MALFORMED, [Issue(text, code="structure")], reason="patch")
    return document


def apply(resource: Resource, patch: Any, work: Work) -> Any:
    """Members are merged, null removes, every other value (arrays too) replaces. Changes `resource`."""
    return _merged(resource, patch, work, 1)


def _merged(target: Any, patch: Any, work: Work, depth: int) -> Any:
    if not isinstance(patch, dict):
        return work.copy(patch, depth)
    if not isinstance(target, dict):
        target = work.copy({}, depth)
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
            work.took_from(target)
        else:
            target[name] = _merged(target.get(name), value, work, depth + 1)
    return target
