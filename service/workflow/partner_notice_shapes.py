"""What a partner's CapabilityStatement offers of notices, and the Subscription that we ask for there. Pure.

Topics by the R5 backport where it names one of Tasks, else R4's own criteria. Nothing of a referral comes with a
notice: the payload is empty, as a look asks for all that is needed.
"""

from urllib.parse import quote

from fhir_profiles import Resource
from service.store.partners import Partner

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC_NAMED = "subscriptiontopic-canonical"
"""How the extension ends by which a server names its topics, in all versions of the guide."""
TOPICS = (
    "http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic/Task",
    "https://enlace.example.org/fhir/SubscriptionTopic/task-updated",
    "https://enlace.example.org/fhir/SubscriptionTopic/referral-status",
)
"""Topics that tell of Tasks, the one of the guide first."""
JSON = "application/fhir+json"
MOST = 200
"""Extensions and types of a statement that are looked at."""


def subscriptions(statement: Resource, partner: Partner, endpoint: str) -> list[Resource]:
    """What is asked for, the best first; where that is refused, the next. [] where it offers none."""
    block = _block(statement)
    if block is None:
        return []
    named = _topics(block)
    profiles = [str(one) for one in _list(block.get("supportedProfile"))]
    backport = bool(named) or any(one.startswith(f"{BACKPORT}backport-subscription") for one in profiles)
    if not backport:
        return [_made(partner, _plain(partner), {"type": "rest-hook", "endpoint": endpoint})]
    known = [url for url in TOPICS if url in named] or ([] if named else [TOPICS[0]])
    return [_by_topic(partner, known[0], endpoint, filters) for filters in (_filters(partner), "")] if known else []


def _block(statement: Resource) -> Resource | None:
    """Of the type Subscription, where it can be created."""
    for rest in _list(statement.get("rest")):
        for one in _list(rest.get("resource")) if isinstance(rest, dict) else ():
            if isinstance(one, dict) and one.get("type") == "Subscription":
                codes = [i.get("code") for i in _list(one.get("interaction")) if isinstance(i, dict)]
                return one if "create" in codes else None
    return None


def _topics(block: Resource) -> list[str]:
    found = [one for one in _list(block.get("extension")) if isinstance(one, dict)]
    return [
        str(one.get("valueCanonical", "")).partition("|")[0]
        for one in found
        if str(one.get("url", "")).endswith(TOPIC_NAMED)
    ]


def _list(value: object) -> list[object]:
    return value[:MOST] if isinstance(value, list) else []


def _owner(partner: Partner) -> str:
    return quote(partner.owner_there, safe="/:.-")


def _filters(partner: Partner) -> str:
    """Of what we send ourselves it need not tell us."""
    owner = f"owner={_owner(partner)}&" if partner.owner_there else ""
    return f"Task?{owner}status:not=requested"


def _plain(partner: Partner) -> str:
    return f"Task?owner={_owner(partner)}" if partner.owner_there else "Task?intent=order"


def _by_topic(partner: Partner, topic: str, endpoint: str, filters: str) -> Resource:
    content = {"url": f"{BACKPORT}backport-payload-content", "valueCode": "empty"}
    channel = {"type": "rest-hook", "endpoint": endpoint, "payload": JSON, "_payload": {"extension": [content]}}
    made = _made(partner, topic, channel) | {"meta": {"profile": [f"{BACKPORT}backport-subscription"]}}
    if filters:
        only = {"url": f"{BACKPORT}backport-filter-criteria", "valueString": filters}
        made["_criteria"] = {"extension": [only]}
    return made


def _made(partner: Partner, criteria: str, channel: Resource) -> Resource:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": f"What becomes of referrals to {partner.name}",
        "criteria": criteria,
        "channel": channel,
    }
