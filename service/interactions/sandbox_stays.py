"""Sandbox: "send an A01 for Maria" and "discharge them": the message, its acknowledgement, the alert that came of it.

Members and stays are read as the lead care manager, through the search interaction: her restriction, her audit rows.
The message goes to the receiver that MLLP uses, or over MLLP itself (service/cli/sandbox.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from fhir_profiles import Resource
from mappers.hl7v2.header import Header, peek
from service.access.context import Context
from service.auth.login import name_of
from service.caller import Caller
from service.interactions.search import search
from service.interactions.settle import settled
from service.store import inbox, inbox_find, sources
from service.store.inbox import Received
from service.workflow.alerts import CATEGORY
from service.workflow.parties import reference_of
from service.workflow.sandbox_messages import (
    Source,
    admission,
    control_id,
    discharge,
    member_facts,
    next_member,
    sender_of,
    stays_to_end,
    visit_of,
)

MOST = "200"
LOOK_S = 0.1
POSITIVE = frozenset({"AA", "CA"})


class NothingToDo(Exception):
    """The event cannot happen now; the message is a sentence with the remedy."""


@dataclass(frozen=True)
class Prepared:
    """A message about to be sent. event: A01 or A03."""

    event: str
    message: bytes
    member: str
    hospital: str


@dataclass(frozen=True)
class Receipt:
    """What the acknowledgement says: its code and the number of the message in the inbox (0: it was not stored)."""

    code: str
    inbox_id: int

    @property
    def positive(self) -> bool:
        return self.code in POSITIVE


@dataclass(frozen=True)
class Became:
    """What the worker made of a message. alert: the newest alert about the stay that the person may see."""

    row: Received
    alert: Resource | None

    @property
    def text(self) -> str:
        """What the alert says."""
        return " ".join(p["contentString"] for p in (self.alert or {}).get("payload", ()) if p.get("contentString"))


async def choose(ctx: Context, people: Sequence[Caller], wanted: str) -> Caller:
    """The lead care manager whose name or client name holds this word; "": the first. Raises NothingToDo."""
    names = []
    for caller in people:
        found = await ctx.resource(str(caller.person)) if caller.person else None
        name = (name_of(found[0]) if found else "") or caller.client_id
        if not wanted or wanted.casefold() in (name.casefold(), caller.client_id.casefold()):
            return caller
        if wanted.casefold() in name.casefold().split():
            return caller
        names.append(name)
    raise NothingToDo(f"No lead care manager has this name; there are: {', '.join(names)}.")


async def admit(ctx: Context) -> Prepared:
    """An admission of the next member of the caller's panel, at the next hospital. Raises NothingToDo."""
    members = await found(ctx, "Patient", ("_sort", "_id"))
    stays = await found(ctx, "Encounter")
    member = next_member(members, stays)
    hospitals = [s for s in await _sources(ctx) if s.organization]
    if member is None:
        remedy = "discharge somebody first" if members else "make some members with `enlace seed`"
        raise NothingToDo(f"No member of this panel can be admitted now: {remedy}.")
    if not hospitals:
        raise NothingToDo("No hospital is registered: run `enlace seed`, or `enlace adt source add`.")
    source = hospitals[len(stays) % len(hospitals)]
    facts = member_facts(member) or {}
    return _prepared("A01", admission(facts, source, ctx.now_us), member, source)


async def end_stay(ctx: Context) -> Prepared:
    """The discharge from the stay that `admit` began last, for the caller's panel. Raises NothingToDo.

    A stay whose discharge was sent is left aside, whatever became of it: the next press is about the next member.
    """
    for stay in stays_to_end(await found(ctx, "Encounter", ("status", "in-progress"))):
        if await _sent(ctx, control_id(visit_of(stay), "A03")):
            continue
        patient = await ctx.resource(reference_of(stay, "subject"))
        sender = await _sent(ctx, control_id(visit_of(stay), "A01"))
        source = sender_of(await _sources(ctx), sender, reference_of(stay, "serviceProvider"))
        facts = member_facts(patient[0]) if patient else None
        if patient is None or source is None or facts is None:
            raise NothingToDo("The hospital or the member of this stay is no longer known: send a new A01.")
        return _prepared("A03", discharge(facts, source, stay, ctx.now_us), patient[0], source)
    raise NothingToDo("Nobody of this panel was admitted from here: send an A01 first.")


async def _sent(ctx: Context, message_id: str) -> str:
    """The sending system of the message with this MSH-10, "" where there is none."""
    messages = await inbox_find.by_control_id(ctx.store, message_id, 1, raw=False)
    return messages[0][0].source if messages else ""


def receipt(ack: bytes | None) -> Receipt:
    """MSA-1, and MSH-10 of the acknowledgement: we number it as the message in the inbox."""
    header = peek(ack or b"")
    if ack is None or not isinstance(header, Header):
        return Receipt("", 0)
    line = next((one for one in ack.split(b"\r") if one.startswith(b"MSA")), b"")
    parts = line.decode("ascii", "replace").split(header.separators.field)
    number = header.control_id
    return Receipt(parts[1] if len(parts) > 1 else "", int(number) if number.isdigit() else 0)


async def became(ctx: Context, inbox_id: int, wait_s: float = 0.0) -> Became | None:
    """Waits until the worker has handled the message, at most this long; None for a number that is not there."""
    waited = 0.0
    row = await inbox.one(ctx.store, inbox_id)
    while row is not None and row.state == "stored" and waited < wait_s:
        await asyncio.sleep(LOOK_S)
        waited += LOOK_S
        row = await inbox.one(ctx.store, inbox_id)
    if row is None:
        return None
    if row.state != "applied":
        return Became(row, None)
    about = ("encounter", f"Encounter/{row.stay}")
    alerts = await found(ctx, "Communication", about, ("category", CATEGORY))
    return Became(row, alerts[0] if alerts else None)


async def found(ctx: Context, rtype: str, *params: tuple[str, str]) -> list[Resource]:
    """The newest resources that the caller may see, through the search interaction: restricted and audited."""
    asked = [*params, ("_count", MOST)]
    answer = await settled(
        ctx, lambda c: search(c, rtype, asked, strict=True, after=None, links=lambda _criteria, _after: {})
    )
    entries = orjson.loads(answer.body or b"{}").get("entry", ())
    return [entry["resource"] for entry in entries if entry["search"]["mode"] != "outcome"]


async def _sources(ctx: Context) -> list[Source]:
    return [
        Source(s.name, s.application, s.facility, s.organization, s.config)
        for s in await sources.all_sources(ctx.store)
        if s.active
    ]


def _prepared(event: str, message: bytes, member: Resource, source: Source) -> Prepared:
    return Prepared(event, message, name_of(member), str(source.config.get("display") or source.name))
