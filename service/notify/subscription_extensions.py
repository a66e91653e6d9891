"""The extensions of a Subscription by the R5 backport for R4, read with everything in them that cannot be honoured.

http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition-backport-subscription.html . Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from service.errors import Issue

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FILTER, CHANNEL_TYPE, CONTENT = "backport-filter-criteria", "backport-channel-type", "backport-payload-content"
HEARTBEAT, TIMEOUT, MAX_COUNT = "backport-heartbeat-period", "backport-timeout", "backport-max-count"
PLACES = {
    FILTER: ("Subscription.criteria", "valueString"),
    CHANNEL_TYPE: ("Subscription.channel.type", "valueCoding"),
    CONTENT: ("Subscription.channel.payload", "valueCode"),
    HEARTBEAT: ("Subscription.channel", "valueUnsignedInt"),
    TIMEOUT: ("Subscription.channel", "valueUnsignedInt"),
    MAX_COUNT: ("Subscription.channel", "valuePositiveInt"),
}
"""name -> (element that bears it, member with its value). Only the filter stands several times."""
_CROSS_VERSION = re.compile(r"http://hl7\.org/fhir/(?:[0-9]+\.[0-9]+|R[0-9]+B?)/StructureDefinition/")
_R5 = (
    "Extensions that carry elements of R5 are not read: send the topic as criteria, and what else the backport for R4 "
    "has an extension for by that."
)
_UNKNOWN = "This extension of the backport is not supported: leave it out."
_MODIFIER = "Modifier extensions are not supported: they would change what the Subscription means."


@dataclass
class Extensions:
    """name -> [(expression, value)], and what is wrong."""

    found: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def one(self, name: str) -> tuple[str, Any]:
        """Expression and value; (where it would stand, None) without."""
        return self.found[name][0] if name in self.found else (PLACES[name][0], None)


def read(resource: Resource) -> Extensions:
    made = Extensions()
    for expression, bearer, one in _extensions(resource, "Subscription"):
        url = str(one.get("url", ""))
        if ".modifierExtension[" in expression:
            made.issues.append(Issue(_MODIFIER, expression, "extension"))
        elif _CROSS_VERSION.match(url):
            made.issues.append(Issue(_R5, expression, "extension"))
        elif url.startswith(BACKPORT):
            _read(made, expression, bearer, url.removeprefix(BACKPORT), one)
    return made


def _read(made: Extensions, expression: str, bearer: str, name: str, one: Resource) -> None:
    if name not in PLACES:
        made.issues.append(Issue(_UNKNOWN, expression, "extension"))
        return
    place, member = PLACES[name]
    if bearer != place or member not in one:
        text = f"{name} stands on {place} and has {member}."
        made.issues.append(Issue(text, expression, "extension"))
    elif name in made.found and name != FILTER:
        made.issues.append(Issue(f"{name} stands once.", expression, "extension"))
    else:
        made.found.setdefault(name, []).append((expression, one[member]))


def _extensions(node: Any, path: str) -> Iterator[tuple[str, str, Resource]]:
    """(expression, element that bears it, extension) of all of them, those of `meta` aside."""
    if isinstance(node, list):
        for number, inner in enumerate(node):
            yield from _extensions(inner, f"{path}[{number}]")
    if not isinstance(node, dict):
        return
    for name, inner in node.items():
        if name in ("extension", "modifierExtension"):
            for number, one in enumerate(inner):
                if isinstance(one, dict):
                    yield f"{path}.{name}[{number}]", path, one
        elif isinstance(inner, dict | list) and (path, name) != ("Subscription", "meta"):
            yield from _extensions(inner, f"{path}.{name.removeprefix('_')}")
