"""SubscriptionTopics, as data: fhir_profiles/subscription_topics/*.json, each in the shape of R5's resource.

What of it counts here: url, title, description, resourceTrigger (resource, supportedInteraction, queryCriteria, our
extension topic-changed-element: of the elements named one must differ from the version before), canFilterBy
(filterParameter, modifier), notificationShape (include).
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fhir_profiles import Resource

FOLDER = Path(__file__).parent / "subscription_topics"
NOTICED = frozenset({"Communication", "Task", "CareTeam", "EpisodeOfCare", "Subscription"})
"""Types of which notices to people speak (service/notify/notices), or whose end ends something."""


@dataclass(frozen=True)
class Topic:
    """One SubscriptionTopic. slug: the name of its file, and how tables name it."""

    slug: str
    url: str
    definition: Resource

    @property
    def rtypes(self) -> tuple[str, ...]:
        triggers = self.definition["resourceTrigger"]
        return tuple(dict.fromkeys(trigger["resource"].rsplit("/", 1)[-1] for trigger in triggers))


@lru_cache(maxsize=1)
def topics() -> dict[str, Topic]:
    """Canonical URL -> topic."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        definition = json.loads(path.read_text("utf-8"))
        found[definition["url"]] = Topic(path.stem, definition["url"], definition)
    return found


@lru_cache(maxsize=1)
def watched() -> frozenset[str]:
    """Types whose versions go to the outbox."""
    return NOTICED | {rtype for topic in topics().values() for rtype in topic.rtypes}
