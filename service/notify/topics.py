"""Whether a version triggers a SubscriptionTopic, and what else a notification of it names.

https://hl7.org/fhir/R5/subscriptiontopic-definitions.html#SubscriptionTopic.resourceTrigger
"""

from functools import lru_cache
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import Path, catalog
from fhir_profiles.topics import Topic, Trigger
from service.notify.filters import criteria
from service.notify.model import Item
from service.notify.versions import Version
from service.search.fits import fits
from service.search.keys import Keys
from service.search.references import normal_reference
from service.search.walkers import values_at

_BESIDE = {"display": ("reference", "identifier", "code"), "text": ("coding",)}
"""Words that only repeat what stands beside them in one of these members: correcting them changes nothing."""


def triggered(topic: Topic, item: Item, keys: Keys, base_url: str) -> bool:
    return fires(topic, Version(item, keys, base_url))


def fires(topic: Topic, version: Version) -> bool:
    """Whether one of the topic's triggers fires. Raises as Version does."""
    return any(_fires(trigger, version) for trigger in topic.triggers if trigger.rtype == version.item.rtype)


def _fires(trigger: Trigger, version: Version) -> bool:
    interaction = version.interaction
    if interaction not in trigger.interactions:
        return False
    if interaction == "update" and not _changed(trigger.changed, version.before or {}, version.resource or {}):
        return False
    said = []
    if trigger.previous:
        said.append(_before(trigger, version))
    if trigger.current:
        said.append(_now(trigger, version))
    return all(said) if trigger.require_both else any(said) or not said


def _before(trigger: Trigger, version: Version) -> bool:
    if version.interaction == "create":
        return trigger.create_passes
    return fits(criteria(trigger.rtype, trigger.previous, version.keys, version.base_url), version.rows_before)


def _now(trigger: Trigger, version: Version) -> bool:
    if version.interaction == "delete":
        return trigger.delete_passes
    return fits(criteria(trigger.rtype, trigger.current, version.keys, version.base_url), version.rows)


def _changed(elements: tuple[str, ...], before: Resource, after: Resource) -> bool:
    """Whether one of the elements differs in more than its words; () for: anything does."""
    return not elements or any(_plain(before.get(name)) != _plain(after.get(name)) for name in elements)


def _plain(value: Any) -> Any:
    """A value without ids of elements, and without the words that only repeat a code or a reference."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _plain(member) for name, member in value.items() if name != "id" and not _words(name, value)}


def _words(name: str, value: dict[str, Any]) -> bool:
    name = name.removeprefix("_")  # the extensions of a primitive go with it
    return any(value.get(other) for other in _BESIDE.get(name, ()))


def context_of(topic: Topic, resource: Resource, base_url: str = "") -> tuple[str, ...]:
    """Relative references of what the topic's notificationShape includes beside the focus, as far as it is of ours."""
    rtype = resource["resourceType"]
    found: dict[str, None] = {}
    for path in _paths(topic, rtype):
        for value in values_at(resource, path):
            written = value.get("reference") if isinstance(value, dict) else None
            reference = normal_reference(written, base_url) if written else None
            if reference and "://" not in reference and path.target in (None, reference.partition("/")[0]):
                found[reference] = None
    return tuple(found)


@lru_cache(maxsize=64)
def _paths(topic: Topic, rtype: str) -> tuple[Path, ...]:
    search = catalog().types[rtype].search
    return tuple(path for code in topic.includes.get(rtype, ()) for path in search[code].paths)
