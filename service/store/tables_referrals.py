"""The tables of referrals beside what stands in Task and ServiceRequest: facts for measures, chains, partners' servers,
links for organizations without software.
"""

from sqlalchemy import Index
from sqlmodel import SQLModel

from service.store.table_columns import int8, rowid, small, text
from service.store.table_columns import key as key_column


class ReferralEvent(SQLModel, table=True):
    """What happened to a referral, once for each change, never altered: measures at a past date read it.

    kind: opened, moved, business, unmet, authorized, follow-up, and request: of a ServiceRequest. was, status: of the
    Task (the request). business: code of businessStatus. reason: code of statusReason, of the authorization, of the
    follow-up, of why a need stays unmet. need: SDOH category; service: code of cs-service or "ecm".
    requester, owner, plan: relative references of Organizations, as they were then. at_us: when it was committed, so
    that of version `vid` of the resource that says so. member, labels: key of the patient and bits of that version.
    """

    __tablename__ = "referral_event"
    __table_args__ = (
        Index("referral_event_task", "task", "at_us"),
        Index("referral_event_at", "kind", "at_us"),
        Index("referral_event_request", "request", "at_us"),
        Index("referral_event_member", "kind", "member"),
    )
    id: int = rowid()
    task: str = text()
    """Task.id; "" where a need stays unmet"""
    request: str = text()
    """ServiceRequest.id"""
    parent: str = text()
    """Task.id of partOf, or "" """
    kind: str = text()
    at_us: int = int8()
    was: str = text()
    status: str = text()
    business: str = text()
    reason: str = text()
    need: str = text()
    service: str = text()
    patient: str = text()
    requester: str = text()
    owner: str = text()
    plan: str = text()
    member: int = int8()
    vid: int = int8()
    labels: int = int8()


class MemberTrait(SQLModel, table=True):
    """What a version of a Patient says of who the member is, for measures: codes, "" where it does not say.

    Made from the versions themselves (service/workflow/measure_traits.py) and never altered. vid: the version's.
    """

    __tablename__ = "member_trait"
    member: int = int8(primary_key=True, autoincrement=False)
    """Key of the Patient"""
    vid: int = int8(primary_key=True, autoincrement=False)
    race: str = text()
    ethnicity: str = text()
    language: str = text()


class ReferralPartner(SQLModel, table=True):
    """Another organization's FHIR server over which its referrals go.

    direction: push (we send Tasks there and look what became of them), pull (it sends Tasks here and we fetch what they
    point to), both. state: active, paused, failing. cursor_us: up to where its changes were seen. owner_there: what
    stands in Task.owner of what we send, a reference on its server. notices: auto (it is asked to tell of changes) or
    poll. due_us: when its changes are looked at next. told_us: when it told of changes, as far as that was noted.
    hinted_us: for when that asked for a look. retry_us: nothing is tried before. tries: failures in a row. lease_us,
    lease: until when which worker has it.
    """

    __tablename__ = "referral_partner"
    name: str = key_column()
    organization: str = text()
    base_url: str = text()
    client_id: str = text()
    token_url: str = text()
    key_id: str = text()
    """Read by nothing since 0008; stays while a version that reads it may serve beside this one."""
    scopes: str = text()
    direction: str = text()
    every_s: int = int8()
    state: str = text()
    cursor_us: int = int8()
    last_us: int = int8()
    failing_since_us: int | None = int8(nullable=True)
    error: str = text()
    owner_there: str = text()
    due_us: int = int8()
    retry_us: int = int8()
    tries: int = int8()
    lease_us: int = int8()
    lease: int = int8()
    notices: str = text(server_default="auto")
    told_us: int = int8(server_default="0")
    hinted_us: int = int8(server_default="0")


class PartnerNotice(SQLModel, table=True):
    """Our Subscription on a partner's server, by which it tells us that something changed there.

    token: digest of the secret in the address to which it tells, "" for none. remote: absolute URL, "" until it is
    known. status: making, requested, active; lost: it ended or failed there; none: there is none, error says why.
    since_us: active since. tries: failures in a row. due_us: when it is looked after next.
    """

    __tablename__ = "partner_notice"
    __table_args__ = (Index("partner_notice_token", "token"),)
    partner: str = key_column()
    token: str = text()
    remote: str = text()
    status: str = text()
    since_us: int = int8()
    error: str = text()
    tries: int = int8()
    due_us: int = int8()


class PartnerReferral(SQLModel, table=True):
    """A Task here and the one on a partner's server that is the same referral.

    way: out (opened here), in (opened there). remote: absolute URL, "" until it was created. remote_version and
    remote_status: as seen last. state: to-send, sent, refused, closed, failed; of one that came in: to-fetch, fetched.
    work: JSON of what was sent last, or came in. wanted, done: how often the Task changed here, and up to which
    change it was sent. tries, due_us: failures in a row, and when it is tried next.
    """

    __tablename__ = "partner_referral"
    __table_args__ = (Index("partner_referral_partner", "partner", "state"), Index("partner_referral_remote", "remote"))
    task: str = key_column()
    partner: str = text()
    way: str = text()
    remote: str = text()
    remote_version: str = text()
    remote_status: str = text()
    state: str = text()
    seen_us: int = int8()
    error: str = text()
    work: str = text()
    wanted: int = int8()
    done: int = int8()
    tries: int = int8()
    due_us: int = int8()


class PartnerResource(SQLModel, table=True):
    """A resource here and its counterpart on a partner's server. digest: of what was last sent or fetched."""

    __tablename__ = "partner_resource"
    __table_args__ = (Index("partner_resource_remote", "partner", "remote"),)
    partner: str = key_column()
    local: str = key_column()
    remote: str = text()
    digest: str = text()
    seen_us: int = int8()


class ReplyLink(SQLModel, table=True):
    """A link by which an organization answers a referral without software of its own.

    link: keyed hash of what stands in the URL. task: Task.id. organization: for which it acts. channel, sealed_to:
    where the code goes (sealed). code: keyed hash of the one-time code, "" where none waits. tries: wrong codes in a
    row. state: open, used, revoked, expired.
    """

    __tablename__ = "reply_link"
    __table_args__ = (Index("reply_link_task", "task"),)
    link: str = key_column()
    task: str = text()
    organization: str = text()
    channel: str = text()
    sealed_to: str = text()
    code: str = text()
    code_expires_us: int = int8()
    codes_sent: int = int8()
    tries: int = small()
    state: str = text()
    made_us: int = int8()
    expires_us: int = int8()
    used_us: int | None = int8(nullable=True)


class ReplySession(SQLModel, table=True):
    """Who gave the right code, in this browser, for this link. session: keyed hash of the cookie."""

    __tablename__ = "reply_session"
    __table_args__ = (Index("reply_session_link", "link"),)
    session: str = key_column()
    link: str = text()
    expires_us: int = int8()


class ServiceUse(SQLModel, table=True):
    """What of a capped service a member was authorized or has used: caps of a lifetime, a year, an episode.

    units: minutes or cents where a cap counts them, else 0 (days follow from the period). state: authorized, used,
    released.
    """

    __tablename__ = "service_use"
    __table_args__ = (Index("service_use_patient", "patient", "service"),)
    task: str = key_column()
    patient: str = text()
    service: str = text()
    units: int = int8()
    start_us: int = int8()
    end_us: int = int8()
    state: str = text()
