"""The messages of a member's accounts -> the state of each stay, and where a death that is told of the person counts.

Pure: the same for what is stored and for what a message adds, so that the difference is what is news.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from service.store.stay_rows import AccountRow
from service.workflow.stay_classes import RANK
from service.workflow.stay_events import StoredEvent
from service.workflow.stay_threads import Chain, Stretch
from service.workflow.stay_world import OF_ALL_STAYS, Message, World
from service.workflow.stays import StayState, reduce, timed_out


@dataclass(frozen=True)
class Picture:
    """A stay of a member: its state and the messages that it follows from."""

    state: StayState
    events: tuple[StoredEvent, ...]
    messages: tuple[Message, ...]


def counting(messages: Sequence[Message], patient: str) -> list[Message]:
    """Those that count for the patient: joined ones, and what is said of a number."""
    return [m for m in messages if m.row.patient == patient or m.event.effect in OF_ALL_STAYS]


def picture(
    parts: Sequence[tuple[str, Sequence[Message]]], deaths: Sequence[Message], patient: str, now_us: int
) -> Picture | None:
    """parts: (account, its messages) in order of time. None where no visit is told for this patient."""
    events: list[StoredEvent] = []
    found: list[Message] = []
    for number, (account, messages) in enumerate(parts):
        counted = counting(messages, patient)
        if not any(m.event.visit is not None and m.row.patient == patient for m in counted):
            continue
        found += counted
        followed = number < len(parts) - 1
        events += [replace(m.stored, account=account, followed=followed) for m in counted]
    if not events:
        return None
    events += [m.stored for m in deaths]
    return Picture(timed_out(reduce(events), now_us), tuple(events), tuple(found))


def stretch(account: str, messages: Sequence[Message], patient: str, now_us: int) -> Stretch | None:
    """What the account says by itself."""
    made = picture([(account, messages)], (), patient, now_us)
    if made is None:
        return None
    state = made.state
    told = [m for m in sorted(made.messages, key=lambda m: m.order) if m.event.visit is not None]
    sources = [m.event.visit.admit_source for m in told if m.event.visit and m.event.visit.admit_source]
    return Stretch(
        account=account,
        facility=state.facility,
        began=state.class_history[0].klass if state.class_history else "",
        klass=state.klass,
        disposition=state.disposition or "",
        came_from=sources[-1].split("^")[0].strip() if sources else "",
        status=state.status,
        start_us=state.start_us,
        end_us=state.end_us,
        seen_us=state.last.occurred_us,
    )


def stretch_of(row: AccountRow) -> Stretch:
    return Stretch(
        row.account, row.facility, row.began, row.klass, row.disposition, row.came_from, row.status,
        row.start_us, row.end_us, row.seen_us,
    )  # fmt: skip


def death_places(chains: Sequence[Chain], deaths: Sequence[Message]) -> dict[str, list[Message]]:
    """First account of a stay -> what is told there of the person's death: of the last stay that had begun by then."""
    began = sorted((c for c in chains if c[0].start_us is not None), key=lambda c: c[0].order)
    found: dict[str, list[Message]] = {}
    for message in deaths:
        at_us = message.event.occurred or message.row.received_us
        if began:
            before = [c for c in began if (c[0].start_us or 0) <= at_us]
            found.setdefault((before or began)[-1][0].account, []).append(message)
    return found


def highest(chain: Chain) -> str:
    return max((s.klass for s in chain), key=lambda k: RANK.get(k, 0), default="")


Messages = Callable[[str], Sequence[Message]]
"""Account -> all that is said of it."""


def of_world(world: World, keys: dict[str, frozenset[str]]) -> Messages:
    return lambda account: world.of(keys.get(account, frozenset({account})))
