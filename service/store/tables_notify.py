"""The tables of notification, as SQLModel classes: who is told what, and what came of it; see tables.py."""

from sqlalchemy import Index
from sqlmodel import SQLModel

from service.store.table_columns import blob, int8, rowid, small, text
from service.store.table_columns import key as key_column


class Outbox(SQLModel, table=True):
    """Versions about which somebody may have to be told: committed with them, gone when they have been matched."""

    __tablename__ = "outbox"
    __table_args__ = ({"sqlite_with_rowid": False},)
    vid: int = int8(primary_key=True, autoincrement=False)


class Subscription(SQLModel, table=True):
    """What the service knows of a Subscription resource beside its JSON: the work on it.

    key: of the resource. scopes: those of the token that made it. spec: JSON, compiled from the resource
    (service/notify/model.py Spec). status: requested, active, error, off. numbered: the last event number given.
    delivered: the last number that arrived. due_us: when there is work (never: 2**62). failures: in a row, since
    failing_since_us. beat_us: when something was sent last. secret: sealed; secret_before counts until
    secret_before_until_us. epoch of `key` in access_epoch fences the worker at work.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        Index("subscription_due", "due_us"),
        Index("subscription_client", "client_id"),
    )
    key: int = int8(primary_key=True, autoincrement=False)
    fhir_id: str = text()
    client_id: str = text()
    organization: str = text()
    scopes: str = text()
    topic: str = text()
    channel: str = text()
    spec: str = text()
    status: str = text()
    paused: int = small()
    numbered: int = int8()
    delivered: int = int8()
    due_us: int = int8()
    lease_until_us: int = int8()
    failures: int = int8()
    failing_since_us: int = int8()
    error: str = text()
    beat_us: int = int8()
    secret: bytes = blob(nullable=False)
    secret_before: bytes | None = blob()
    secret_before_until_us: int = int8()
    created_us: int = int8()


class SubscriptionAnchor(SQLModel, table=True):
    """By whom a subscription is found: keys of the organization and person whose panel or writes may make it hear.

    subject 0: an operator, who may hear of everybody (in the sandbox).
    """

    __tablename__ = "subscription_anchor"
    __table_args__ = (Index("subscription_anchor_subscription", "subscription"), {"sqlite_with_rowid": False})
    topic: str = key_column()
    subject: int = int8(primary_key=True, autoincrement=False)
    subscription: int = int8(primary_key=True, autoincrement=False)


class EventWaiting(SQLModel, table=True):
    """An event that fits a subscription, before anybody asked whether its subscriber may hear of it.

    id: grows in the order of matching. vid: the version that it tells of (of a test event: the id). kind: event, test.
    """

    __tablename__ = "event_waiting"
    __table_args__ = (
        Index("event_waiting_vid", "subscription", "vid", unique=True),
        {"sqlite_with_rowid": False},
    )
    subscription: int = int8(primary_key=True, autoincrement=False)
    id: int = int8(primary_key=True, autoincrement=False)
    vid: int = int8()
    key: int = int8()
    kind: str = text()
    at_us: int = int8()


class SubscriptionEvent(SQLModel, table=True):
    """An event that its subscriber is told of: numbered without gaps, kept for $events.

    Arrived when number <= subscription.delivered. emptied: told without content, since the right ended after an
    attempt. at_us: when it was matched. settled_us: when it arrived, 0 before.
    """

    __tablename__ = "subscription_event"
    __table_args__ = (Index("subscription_event_age", "at_us"), {"sqlite_with_rowid": False})
    subscription: int = int8(primary_key=True, autoincrement=False)
    number: int = int8(primary_key=True, autoincrement=False)
    vid: int = int8()
    key: int = int8()
    kind: str = text()
    emptied: int = small()
    at_us: int = int8()
    settled_us: int = int8()


class DeliveryAttempt(SQLModel, table=True):
    """One attempt to tell a subscriber: the ledger.

    kind: handshake, heartbeat, event, test, resend. first, last: event numbers (0: none). outcome: ok, failed,
    refused. status: of HTTP or SMTP, 0 without. reason: short code. receipt: what the receiver gave for it, cut short.
    """

    __tablename__ = "delivery_attempt"
    __table_args__ = (Index("delivery_attempt_age", "at_us"), {"sqlite_with_rowid": False})
    subscription: int = int8(primary_key=True, autoincrement=False)
    id: int = int8(primary_key=True, autoincrement=False)
    at_us: int = int8()
    kind: str = text()
    first: int = int8()
    last: int = int8()
    outcome: str = text()
    status: int = int8()
    reason: str = text()
    ms: int = int8()
    receipt: str = text()


class WsToken(SQLModel, table=True):
    """A token that binds a websocket to subscriptions, once and for a short time.

    subscriptions: JSON, {"keys": [...], "token": end of the digest of the access token that asked for it}.
    """

    __tablename__ = "ws_token"
    hash: bytes = blob(nullable=False, primary_key=True)
    client_id: str = text()
    subscriptions: str = text()
    expires_us: int = int8()


class Notice(SQLModel, table=True):
    """What one person is told by one channel: of an alert, a Task, an assignment; a digest collects several.

    recipient: relative reference of a Practitioner, Patient or RelatedPerson. kind: row of the table of notices.
    target: reference of what it tells of, in its version vid. state: waiting, sent, failed, suppressed, collected (in
    `digest`), read. due_us: not before. lease_until_us: a worker is at it.
    """

    __tablename__ = "notice"
    __table_args__ = (
        Index("notice_due", "state", "due_us"),
        Index("notice_recipient", "recipient", "at_us"),
        Index("notice_once", "recipient", "vid", "kind", "channel", unique=True),
    )
    id: int = rowid()
    recipient: str = text()
    kind: str = text()
    priority: str = text()
    channel: str = text()
    target: str = text()
    key: int = int8()
    vid: int = int8()
    state: str = text()
    at_us: int = int8()
    due_us: int = int8()
    lease_until_us: int = int8()
    attempts: int = small()
    settled_us: int = int8()
    digest: int = int8()
    reason: str = text()
    receipt: str = text()


class NoticePreference(SQLModel, table=True):
    """How a person in a role wants to be told. kind: row of the table of notices, or "*" for all others.

    role: "" for any. channels: separated by blanks, "" for none. quiet: "22:00-06:00" or "". digest: local times
    "08:00 17:00", or "" for at once. zone: IANA name. escalate_to: reference, after escalate_min minutes (0: never).
    language: of the texts, BCP 47.
    """

    __tablename__ = "notice_preference"
    person: str = key_column()
    role: str = key_column()
    kind: str = key_column()
    channels: str = text()
    quiet: str = text()
    digest: str = text()
    zone: str = text()
    escalate_to: str = text()
    escalate_min: int = int8()
    language: str = text()
    changed_us: int = int8()
