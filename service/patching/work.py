"""JSON values under a patch: copied within limits, compared as JSON compares, cleaned of what the patch emptied.

The limits are those of a body that is sent whole, so that no patch makes what a PUT could not.
"""

from typing import Any

from service.errors import Category, FhirError, Issue

MAX_VALUES = 50_000
"""JSON values of the patched resource, and of all that one patch adds."""
MAX_CHARACTERS = 10 * 1024 * 1024
MAX_DEPTH = 64
MAX_LOOKED = 100_000
"""Elements that the paths of one FHIRPath Patch look at: half a second, in which no other request is answered."""


class Work:
    """What one application of a patch has used up, and which containers it took something out of."""

    def __init__(self) -> None:
        self.values = 0
        self.characters = 0
        self.looked = 0
        self._robbed: dict[int, Any] = {}

    def copy(self, value: Any, depth: int = 1) -> Any:
        """A copy that shares no container with `value`, to stand `depth` levels deep; 422 beyond the limits."""
        self.values += 1
        if isinstance(value, str):
            self.characters += len(value)
        if self.values > MAX_VALUES or self.characters > MAX_CHARACTERS or depth > MAX_DEPTH:
            text = f"The patch makes a resource of more than {MAX_VALUES} values, {MAX_DEPTH} levels or "
            text += f"{MAX_CHARACTERS} characters: divide the resource."
            raise FhirError(Category.RULE, [Issue(text, code="too-long")], reason="patch-too-large")
        if isinstance(value, dict):
            self.characters += sum(map(len, value))
            return {name: self.copy(inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.copy(inner, depth + 1) for inner in value]
        return value

    def look(self) -> None:
        """One more element on a path; 422 beyond the limit."""
        self.looked += 1
        if self.looked > MAX_LOOKED:
            text = f"The paths of the patch look at more than {MAX_LOOKED} elements: divide the patch, or send a JSON "
            text += "Patch, whose paths lead to one place."
            raise FhirError(Category.RULE, [Issue(text, code="too-costly")], reason="patch-too-large")

    def took_from(self, container: Any) -> None:
        """Something was removed from it: if it ends up empty, it goes too, since FHIR has no empty element."""
        self._robbed[id(container)] = container

    def cleaned(self, value: Any, twin: bool = False) -> Any:
        """The value without the containers that the patch left empty. An empty one that the client sent stays.

        twin: an array `_name`, whose nulls hold places beside the array `name`.
        """
        if isinstance(value, dict):
            for name, inner in [*value.items()]:
                if self._is_left_empty(self.cleaned(inner, name.startswith("_"))):
                    del value[name]
                    self.took_from(value)
        elif isinstance(value, list):
            empty = [number for number, inner in enumerate(value) if self._is_left_empty(self.cleaned(inner))]
            for number in reversed(empty):
                self.took_from(value)
                if twin:
                    value[number] = None
                else:
                    del value[number]
        return value

    def _is_left_empty(self, value: Any) -> bool:
        if not isinstance(value, dict | list) or id(value) not in self._robbed:
            return False
        return not value or (isinstance(value, list) and all(inner is None for inner in value))


def same(one: Any, other: Any) -> bool:
    """Equality of JSON (RFC 6902, 4.6): 1 is 1.0, but no boolean is a number; the order of members does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
