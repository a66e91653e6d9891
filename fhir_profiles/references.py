"""Where references may point, and contained resources: https://hl7.org/fhir/R4/references.html"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fhir_profiles.problem import Problem, rule_broken
from fhir_profiles.r4_types import resource_types

ID = r"[A-Za-z0-9\-.]{1,64}"
RELATIVE = re.compile(rf"([A-Za-z]+)/{ID}(?:/_history/{ID})?")
ON_A_SERVER = re.compile(rf"https?://\S+/([A-Za-z]+)/{ID}(?:/_history/{ID})?")
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def target_problems(node: dict[str, Any], allowed: frozenset[str], here: str) -> list[Problem]:
    """Whether `Reference.reference` and `Reference.type` name a type that the element may refer to."""
    found: list[Problem] = []
    text, kind = node.get("reference"), node.get("type")
    named = ""
    if isinstance(text, str) and text and not text.startswith("#"):
        relative = RELATIVE.fullmatch(text)
        match = relative or ON_A_SERVER.fullmatch(text)
        named = match[1] if match and (relative or match[1] in resource_types()) else ""
        if named:
            found += _wrong_target(named, allowed, f"{here}.reference")
        elif not ABSOLUTE.fullmatch(text):
            found.append(
                rule_broken(
                    "value", f"{here}.reference", "A reference reads Type/id, an absolute URL, urn:uuid:... or #id."
                )
            )
    if isinstance(kind, str) and ":" not in kind:
        wrong = _wrong_target(kind, allowed, f"{here}.type")
        if not wrong and named and named != kind:
            wrong = [rule_broken("value", f"{here}.type", "type and reference name different types: correct one.")]
        found += wrong
    return found


def _wrong_target(kind: str, allowed: frozenset[str], where: str) -> list[Problem]:
    if kind not in resource_types():
        return [rule_broken("value", where, "R4 has no such resource type: look at the spelling.")]
    if allowed and kind not in allowed:
        return [rule_broken("value", where, f"This element refers to {' or '.join(sorted(allowed))} only.")]
    return []


def contained_problems(node: dict[str, Any], here: str) -> list[Problem]:
    """dom-2, dom-4, dom-5: a contained resource contains none, and has no version, time or security label."""
    found = []
    if "contained" in node:
        found.append(
            rule_broken(
                "invariant",
                f"{here}.contained",
                "A contained resource contains no others: move them up one level. (dom-2)",
            )
        )
    meta = node.get("meta")
    for name, key in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
        if isinstance(meta, dict) and name in meta:
            found.append(
                rule_broken(
                    "invariant",
                    f"{here}.meta.{name}",
                    f"A contained resource has no meta.{name}: leave it out. ({key})",
                )
            )
    if not isinstance(node.get("id"), str):
        found.append(rule_broken("required", f"{here}.id", "A contained resource needs an id to be referred to."))
    return found


def _text_id(node: Any) -> str | None:
    own = node.get("id") if isinstance(node, dict) else None
    return own if isinstance(own, str) else None


class Locals:
    """`#id` references against the contained resources of one root: ref-1 and dom-3."""

    def __init__(self, root: Any, path: str) -> None:
        self.path = path
        contained = root.get("contained") if isinstance(root, dict) else None
        self.ids = [_text_id(c) for c in contained] if isinstance(contained, list) else []
        self.known = set(self.ids)
        self.used: set[str] = set()
        self.to_root: set[str] = set()
        self.missing: list[str] = []
        self.place = ""

    @contextmanager
    def within(self, node: dict[str, Any], here: str) -> Iterator[None]:
        was, self.place = self.place, here
        yield
        self.place = was

    def refers(self, text: Any, here: str) -> None:
        if isinstance(text, str) and text.startswith("#"):
            self._note(text, here)
            if text != "#" and text[1:] not in self.known:
                self.missing.append(f"{here}.reference")

    def uses(self, value: Any, kind: str, here: str) -> None:
        """A canonical, uri or url may name a contained resource too (`answerValueSet` of a Questionnaire)."""
        if kind in ("canonical", "uri", "url") and isinstance(value, str) and value.startswith("#"):
            self._note(value, here)

    def _note(self, text: str, here: str) -> None:
        self.used.add(text[1:])
        if text == "#":
            self.to_root.add(self.place)

    def problems(self) -> Iterator[Problem]:
        for where in self.missing:
            yield rule_broken("invariant", where, "No contained resource has this id: contain it. (ref-1)")
        seen: set[str | None] = {None}
        for i, own in enumerate(self.ids):
            where = f"{self.path}.contained[{i}]"
            if own is not None and own in seen:
                yield rule_broken("duplicate", f"{where}.id", "Contained resources have different ids: rename one.")
            seen.add(own)
            if own not in self.used and where not in self.to_root:
                yield rule_broken(
                    "invariant",
                    where,
                    "Nothing refers to this contained resource: refer to it or leave it out. (dom-3)",
                )
