"""Rows of the tables of notification as plain data; service/notify/model.py hands them on."""

from dataclasses import dataclass, field

NUDGED = "CASE WHEN due_us > ? THEN ? WHEN lease_until_us > 0 THEN due_us - 1 ELSE due_us END"
"""due_us of a subscription for which there is work now (twice a parameter). Of one that is leased it becomes smaller
each time, so that who releases it knows whether one came since it looked."""


@dataclass(frozen=True)
class State:
    """A row of table subscription, field by field (service/store/tables_notify.py)."""

    key: int
    fhir_id: str
    client_id: str
    organization: str
    scopes: str
    topic: str
    channel: str
    spec: str
    status: str
    paused: bool
    numbered: int
    delivered: int
    due_us: int
    lease_until_us: int
    failures: int
    failing_since_us: int
    error: str
    beat_us: int
    secret: bytes
    secret_before: bytes | None
    secret_before_until_us: int
    created_us: int

    @property
    def reference(self) -> str:
        return f"Subscription/{self.fhir_id}"


@dataclass(frozen=True)
class Event:
    """A numbered event, a row of subscription_event."""

    number: int
    vid: int
    key: int
    kind: str
    emptied: bool
    at_us: int
    settled_us: int = 0


@dataclass(frozen=True)
class Item:
    """A version from the outbox, with what matching asks about. body: None for a deletion. before: the body of the
    version before it, None where there was none."""

    vid: int
    key: int
    rtype: str
    fhir_id: str
    version: int
    op: int
    patient: int | None
    labels: int
    source_org: int
    body: bytes | None
    before: bytes | None = field(default=None, repr=False)

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"
