"""SubscriptionTopics, as data: fhir_profiles/subscription_topics/*.json, each in the shape of R5's resource.

What of it counts here: url, title, description, resourceTrigger (resource, supportedInteraction, queryCriteria, our
extension enlace-topic-changed-element: of the elements named one must differ from the version before), canFilterBy
(filterParameter, modifier, comparator), notificationShape (include). https://hl7.org/fhir/R5/subscriptiontopic.html
"""

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from fhir_profiles import Resource

FOLDER = Path(__file__).parent / "subscription_topics"
NOTICED = frozenset({"Communication", "Task", "CareTeam", "EpisodeOfCare"})
"""Types of which notices to people speak (service/notify/notices)."""
CHANGED = "https://enlace.example.org/fhir/StructureDefinition/enlace-topic-changed-element"


@dataclass(frozen=True)
class Trigger:
    """One resourceTrigger. current, previous: search queries without the type, "" for none. changed: elements."""

    rtype: str
    interactions: frozenset[str]
    current: str = ""
    previous: str = ""
    create_passes: bool = False
    """Whether `previous` counts as passed where there is no version before."""
    delete_passes: bool = False
    """Whether `current` counts as passed where there is no version any more."""
    require_both: bool = False
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilterBy:
    """One row of canFilterBy: the parameter, and which modifiers and comparators it takes."""

    rtype: str
    parameter: str
    modifiers: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Topic:
    """One SubscriptionTopic. slug: the name of its file, and how tables name it."""

    slug: str
    url: str
    definition: Resource = field(compare=False, repr=False)

    @property
    def rtypes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(trigger.rtype for trigger in self.triggers))

    @cached_property
    def triggers(self) -> tuple[Trigger, ...]:
        return tuple(_trigger(row) for row in self.definition["resourceTrigger"])

    @cached_property
    def filters(self) -> dict[tuple[str, str], FilterBy]:
        """By type and parameter."""
        rows = (_filter(row) for row in self.definition.get("canFilterBy", ()))
        return {(row.rtype, row.parameter): row for row in rows}

    @cached_property
    def includes(self) -> dict[str, tuple[str, ...]]:
        """Type -> search parameters that lead to what a notification tells of beside its focus."""
        shapes = self.definition.get("notificationShape", ())
        return {shape["resource"]: tuple(one.partition(":")[2] for one in shape.get("include", ())) for shape in shapes}


def _trigger(row: Resource) -> Trigger:
    query = row.get("queryCriteria", {})
    return Trigger(
        rtype=row["resource"].rsplit("/", 1)[-1],
        interactions=frozenset(row["supportedInteraction"]),
        current=query.get("current", ""),
        previous=query.get("previous", ""),
        create_passes=query.get("resultForCreate") == "test-passes",
        delete_passes=query.get("resultForDelete") == "test-passes",
        require_both=query.get("requireBoth", False),
        changed=tuple(one["valueString"] for one in row.get("extension", ()) if one["url"] == CHANGED),
    )


def _filter(row: Resource) -> FilterBy:
    modifiers, comparators = (tuple(row.get(name, ())) for name in ("modifier", "comparator"))
    return FilterBy(row["resource"], row["filterParameter"], modifiers, comparators)


@lru_cache(maxsize=1)
def topics() -> dict[str, Topic]:
    """Canonical URL -> topic."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        definition = json.loads(path.read_text("utf-8"))
        found[definition["url"]] = Topic(path.stem, definition["url"], definition)
    return found


@lru_cache(maxsize=64)
def topics_of(rtype: str) -> tuple[Topic, ...]:
    """Topics that tell of this type."""
    return tuple(topic for topic in topics().values() if rtype in topic.rtypes)


@lru_cache(maxsize=1)
def watched() -> frozenset[str]:
    """Types whose versions go to the outbox."""
    return NOTICED | {rtype for topic in topics().values() for rtype in topic.rtypes}
