"""The tables of hospital feeds beside inbox, message_source, stay_event and mrn_link (tables.py): numbers that changed,
matches that people decide, timers, work on alerts, and how each feed does.
"""

from sqlalchemy import Index
from sqlmodel import SQLModel

from service.store.table_columns import int8, rowid, small, text
from service.store.table_columns import key as key_column


class InboxTerm(SQLModel, table=True):
    """What a message is found by: keyed hashes of its MRNs, CINs, visit and account numbers, names, patient."""

    __tablename__ = "inbox_term"
    __table_args__ = (Index("inbox_term_inbox", "inbox_id"), {"sqlite_with_rowid": False})
    term: int = int8(primary_key=True, autoincrement=False)
    inbox_id: int = int8(primary_key=True, autoincrement=False)


class StayAlias(SQLModel, table=True):
    """A message said that a stay goes on under another key (A41, A42, A50, A51, an account that follows another).

    All of them are kept: where a stay's chain ends is computed from the rows, whatever the order they came in.
    at_us: when it happened.
    """

    __tablename__ = "stay_alias"
    __table_args__ = (Index("stay_alias_target", "target"), {"sqlite_with_rowid": False})
    stay: str = key_column()
    inbox_id: int = int8(primary_key=True, autoincrement=False)
    target: str = text()
    at_us: int = int8()


class StayNumber(SQLModel, table=True):
    """The accounts and record numbers that the messages of a stay named: what is said of a number concerns its stays.

    number: key of an account (as a stay's) or of a record number (`person-` and a keyed hash).
    """

    __tablename__ = "stay_number"
    __table_args__ = (Index("stay_number_stay", "stay"), {"sqlite_with_rowid": False})
    number: str = key_column()
    stay: str = key_column()


class StayAccount(SQLModel, table=True):
    """Of each key under which a matched stay came: its Encounter, and what its own messages say of it.

    account: the end of its chain of aliases. began, klass: class at the start and now. came_from: PV1-14. An inpatient
    account that follows an emergency one has the same Encounter.
    """

    __tablename__ = "stay_account"
    __table_args__ = (
        Index("stay_account_patient", "patient"),
        Index("stay_account_encounter", "encounter"),
        {"sqlite_with_rowid": False},
    )
    stay: str = key_column()
    account: str = text()
    encounter: str = text()
    """Encounter.id"""
    patient: str = text()
    """Relative reference."""
    facility: str = text()
    began: str = text()
    klass: str = text()
    disposition: str = text()
    came_from: str = text()
    status: str = text()
    start_us: int | None = int8(nullable=True)
    end_us: int | None = int8(nullable=True)
    seen_us: int = int8()


class MrnMerge(SQLModel, table=True):
    """A message said that a record number goes on as another one (A40 and its kin). All are kept, as in stay_alias."""

    __tablename__ = "mrn_merge"
    __table_args__ = (Index("mrn_merge_into", "into_authority", "into_mrn"), {"sqlite_with_rowid": False})
    authority: str = key_column()
    mrn: str = key_column()
    inbox_id: int = int8(primary_key=True, autoincrement=False)
    into_authority: str = text()
    into_mrn: str = text()
    at_us: int = int8()


class MatchReview(SQLModel, table=True):
    """A stay (or a message without one) of which a person must say whose it is.

    state: open, linked, unlinked, nobody (not a member of ours), expired, resolved (a later message or roster did it).
    evidence: JSON without values: candidates, grades, words. due_us: by when. second_by: who agreed, if two must.
    """

    __tablename__ = "match_review"
    __table_args__ = (
        Index("match_review_state", "state", "due_us"),
        Index("match_review_stay", "stay"),
    )
    id: int = rowid()
    stay: str = text()
    inbox_id: int = int8()
    source: str = text()
    reason: str = text()
    evidence: str = text()
    state: str = text()
    opened_us: int = int8()
    due_us: int = int8()
    decided_us: int | None = int8(nullable=True)
    decided_by: str = text()
    second_by: str = text()
    patient: str = text()
    verdict: str = text()
    """link, nobody, unlink: what was decided, or while the review is open what the first of two persons proposed."""
    note: str = text()


class MatchDecision(SQLModel, table=True):
    """What a person decided about a match; weighs more than any evidence.

    subject: "stay:<key>" or "mrn:<authority>|<number>". verdict: same, other (patient is certainly not the one),
    nobody (patient "": none of those who were members then).
    """

    __tablename__ = "match_decision"
    __table_args__ = ({"sqlite_with_rowid": False},)
    subject: str = key_column()
    patient: str = key_column()
    verdict: str = text()
    by: str = text()
    at_us: int = int8()
    review: int | None = int8(nullable=True)


class Timer(SQLModel, table=True):
    """A clock that somebody must meet. kind: a row of workflow/timers.json. subject: reference of what it is about.

    state: running, met, breached, cancelled. dedupe: kind and subject of the cause, so that it is started once.
    """

    __tablename__ = "timer"
    __table_args__ = (
        Index("timer_once", "dedupe", unique=True),
        Index("timer_due", "state", "due_us"),
        Index("timer_kind", "kind", "start_us"),
        Index("timer_subject", "subject"),
        Index("timer_patient", "patient"),
    )
    id: int = rowid()
    kind: str = text()
    dedupe: str = text()
    subject: str = text()
    patient: str = text()
    start_us: int = int8()
    due_us: int = int8()
    state: str = text()
    ended_us: int | None = int8(nullable=True)
    payload: str = text()


class CareTransition(SQLModel, table=True):
    """The thread of a stay: the stays of one transition of care (a transfer between hospitals) share it."""

    __tablename__ = "care_transition"
    __table_args__ = (
        Index("care_transition_thread", "thread"),
        Index("care_transition_patient", "patient", "start_us"),
        {"sqlite_with_rowid": False},
    )
    stay: str = key_column()
    patient: str = text()
    """Relative reference."""
    thread: str = text()
    start_us: int = int8()
    end_us: int | None = int8(nullable=True)
    status: str = text()
    """Encounter.status"""
    klass: str = text()
    disposition: str = text()
    facility: str = text()
    seen_us: int = int8()
    """Event time of the newest message: what a stale stay is known by."""


class AlertWork(SQLModel, table=True):
    """Work on an alert that is not acknowledged: who has it, until when it is snoozed, how far it was escalated."""

    __tablename__ = "alert_work"
    __table_args__ = (Index("alert_work_due", "state", "due_us"),)
    alert: str = key_column()
    """Communication/id"""
    patient: str = text()
    level: int = small()
    """0 the first recipient, 1 cover, 2 the provider's inbox, 3 the supervisor."""
    state: str = text()
    """open, snoozed, acknowledged, ended"""
    due_us: int = int8()
    """When it escalates, or when the snooze ends."""
    sent_us: int = int8()
    by: str = text()
    outcome: str = text()


class FeedHour(SQLModel, table=True):
    """What a sender did in an hour: for rates, and to know what silence means at this hour of the week."""

    __tablename__ = "feed_hour"
    __table_args__ = ({"sqlite_with_rowid": False},)
    source: str = key_column()
    hour_us: int = int8(primary_key=True, autoincrement=False)
    received: int = int8()
    repeated: int = int8()
    negative: int = int8()
    ack_us: int = int8()
    """Sum over `received`; ack_most_us the slowest."""
    ack_most_us: int = int8()


class FeedWatch(SQLModel, table=True):
    """What operations were told of a feed. kind: silent, errors, queue. state: raised, over."""

    __tablename__ = "feed_watch"
    __table_args__ = ({"sqlite_with_rowid": False},)
    source: str = key_column()
    kind: str = key_column()
    state: str = text()
    since_us: int = int8()
    ended_us: int | None = int8(nullable=True)
    detail: str = text()
