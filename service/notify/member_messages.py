"""Telling a member, or who speaks for one, that a message waits: over the member's own channel only, and without PHI.

Never where the member said do not contact. What is unclear (whose relative, which channel) counts as no.
"""

from dataclasses import replace

from service.access.context import parse
from service.notify import contact, notices
from service.notify.notice_sending import Desk, Ready, send, suppressed, unsendable
from service.notify.preferences import due_us
from service.search.restriction import EVERYTHING
from service.store import notices as stored
from service.store import read
from service.store.change import Change
from service.store.notice_preferences import Preference
from service.store.notices import Notice
from service.store.read import Found

PREFERRED = "preferred"
"""Channel of such a row until it is known which one the member prefers."""


async def tell(desk: Desk, notice: Notice) -> None:
    references = [notice.target, notice.recipient]
    found = await read.heads(desk.store, references, EVERYTHING)
    message, person = found.get(notice.target), found.get(notice.recipient)
    reason = await _refused(desk, message, person)
    if reason or message is None or person is None:
        await desk.store.commit(suppressed(desk, notice, message, reason))
        return
    resource = parse(person.body)
    preferred = contact.preferred(resource.get("telecom"), desk.now_us)
    if preferred is None:
        await desk.store.commit(suppressed(desk, notice, message, "no-preferred-channel"))
        return
    channel, to = preferred
    until = due_us(Preference("", "", notice.kind), notice.kind, notice.priority, desk.now_us)
    if until > desk.now_us:
        await desk.store.commit(Change(statements=[stored.changed(notice, due_us=until)]))
        return
    one = replace(notice, channel=channel)
    if channel not in desk.channels:
        await desk.store.commit(unsendable(desk, one, "not-configured"))
        return
    await send(desk, [Ready(one, message)], to, contact.language_of(resource), whole=False)


async def _refused(desk: Desk, message: Found | None, person: Found | None) -> str:
    """Why nothing goes out, or ""."""
    if message is None or message.body is None:
        return "deleted"
    if person is None or person.body is None:
        return "no-person"
    communication = parse(message.body)
    base_url = desk.behaviour.base_url
    names = frozenset({person.reference, f"{base_url}/{person.reference}"})
    if reason := notices.KINDS["member-message"].still(communication, names):
        return reason
    subject = notices.subject_of(communication).removeprefix(f"{base_url}/")
    member = (await read.heads(desk.store, [subject], EVERYTHING)).get(subject) if subject else None
    if member is None or member.body is None or member.rtype != "Patient":
        return "not-related"
    if reason := contact.may_contact(parse(member.body)):
        return reason
    requests = await stored.requests_of(desk.store, member.key)
    if any(contact.prohibits(parse(body)) for body in requests):
        return "do-not-contact"
    if person.rtype == "Patient":
        return "" if person.reference == member.reference else "not-related"
    if message.labels:  # of protected data not even that there is any goes to anybody but the member
        return "consent"
    return contact.may_tell(parse(person.body), member.reference, desk.now_us)
