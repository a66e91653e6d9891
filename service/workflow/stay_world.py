"""What is stored of some stays, under all their numbers, and the same with what a message adds: before and after.

Whatever is read here is relied upon: a Change of another worker about the same stays makes this one be decided again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

import orjson

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store import epochs, stay_rows
from service.store.change import Change
from service.store.stay_rows import AccountRow, MessageRow, ThreadRow
from service.store.together import together
from service.workflow.stay_aliases import Edge, canonical, groups
from service.workflow.stay_events import StoredEvent, order_of
from service.workflow.stay_numbers import ABOUT_A_NUMBER, MOVES, PERSON, persons

Number = tuple[str, str]
"""(number, stay)"""
OF_ALL_STAYS = ABOUT_A_NUMBER - {"demographics"}
"""Said of a number, it counts for all stays under it; a death counts for the member's latest stay."""


@dataclass(frozen=True)
class Message:
    row: MessageRow
    event: AdtEvent

    @cached_property
    def stored(self) -> StoredEvent:
        return StoredEvent(self.event, str(self.row.inbox_id), self.row.received_us)

    @cached_property
    def order(self) -> tuple[object, ...]:
        return order_of(self.stored)

    @property
    def key(self) -> tuple[str, int]:
        return self.row.stay, self.row.inbox_id

    def noted(self, row: MessageRow) -> "Message":
        """The same message, counted otherwise: what was worked out of it holds."""
        made = Message(row, self.event)
        made.__dict__["stored"] = self.stored
        return made

    @property
    def moves(self) -> bool:
        return self.event.effect in MOVES


def message_of(row: MessageRow) -> Message:
    """What was read and worked out of a message is kept for a while: each new one of a long stay looks at all."""
    stored = _read(row.event, row.inbox_id, row.received_us)
    made = Message(row, stored.event)
    made.__dict__["stored"] = stored
    return made


@lru_cache(maxsize=4096)
def _read(event: str, inbox_id: int, received_us: int) -> StoredEvent:
    return StoredEvent(AdtEvent.from_json(orjson.loads(event)), str(inbox_id), received_us)


@dataclass
class World:
    """Messages by (key, inbox id), aliases, and under which numbers the stays are."""

    messages: dict[tuple[str, int], Message] = field(default_factory=dict)
    edges: set[Edge] = field(default_factory=set)
    numbers: set[Number] = field(default_factory=set)

    def groups(self, keys: Iterable[str]) -> dict[str, frozenset[str]]:
        """Account -> the keys that lead to it."""
        return groups(frozenset(keys), canonical(self.edges))

    def of(self, keys: Iterable[str]) -> list[Message]:
        """All that is said of a stay: under its keys, and of its numbers."""
        own = frozenset(keys)
        about = {number for number, stay in self.numbers if stay in own} - own
        return [
            message
            for (key, _), message in self.messages.items()
            if (key in own and message.event.effect != "demographics")
            or (key in about and message.event.effect in OF_ALL_STAYS)
        ]

    def deaths(self, patient: str) -> list[Message]:
        """Messages about the person alone that say whether the member lives."""
        return [
            message
            for message in self.messages.values()
            if message.event.effect == "demographics" and message.row.patient == patient
        ]


def person_key(ctx: Context, system: str, number: str) -> str:
    return f"{PERSON}{ctx.store.keys.of('person', system, number) & (1 << 64) - 1:016x}"


def member_key(patient: str) -> str:
    """Under this key the numbers of a person are known whose messages tell of a death."""
    return f"member-{patient}"


@dataclass
class Loaded:
    """keys: of the stays, with all their aliases. accounts: what was decided of them so far."""

    keys: set[str]
    before: World
    accounts: list[AccountRow]
    encounters: dict[str, str] = field(default_factory=dict)
    """Account -> whose Encounter has the account's key as its id, "" where there is none; as far as it was read."""


async def load(ctx: Context, change: Change, keys: Iterable[str], edges: Sequence[Edge], new: set[Number]) -> Loaded:
    """edges, new: aliases and numbers that are about to be added; they lead to more keys."""
    store, wanted = ctx.store, set(keys)
    while True:
        _, rows, numbers = await together(
            store,
            # The new numbers too: load() goes out with, or before, the question whose they are.
            _rely(ctx, change, "stay", wanted | {number for number, stay in new if stay in wanted}),
            stay_rows.aliases(store, wanted),
            stay_rows.numbers(store, wanted),
        )
        found = {Edge(*row) for row in rows}
        more = wanted | {key for edge in (*found, *edges) for key in (edge.stay, edge.target) if _touches(edge, wanted)}
        if more == wanted:
            break
        wanted = more
    about = {number for number, stay in numbers | new if stay in wanted}
    _, messages, accounts = await together(
        store,
        _rely(ctx, change, "stay", about),
        stay_rows.messages(store, wanted | about),
        stay_rows.accounts_of_keys(store, wanted),
    )
    return Loaded(wanted, World({(m.stay, m.inbox_id): message_of(m) for m in messages}, found, numbers), accounts)


def _touches(edge: Edge, keys: set[str]) -> bool:
    return edge.stay in keys or edge.target in keys


async def _rely(ctx: Context, change: Change, kind: str, names: Iterable[str]) -> None:
    keys = {ctx.store.keys.of(kind, name) for name in names} - change.epochs.keys()
    if keys:
        change.epochs |= await epochs.several(ctx.store, keys)


async def rely_on_numbers(ctx: Context, change: Change, numbers: Iterable[str]) -> None:
    """Before it is read which stays are under them: one that begins meanwhile is looked at too."""
    wanted = list(numbers)
    await _rely(ctx, change, "stay", wanted)
    change.bump_epochs |= {ctx.store.keys.of("stay", number) for number in wanted}


async def rely_on_links(ctx: Context, change: Change, events: Iterable[AdtEvent]) -> None:
    """Before it is asked whose their record numbers are: a number that becomes known meanwhile is not missed."""
    await _rely(ctx, change, "stay", {key for event in events for key in _numbers_of(ctx, event)})


def waits(ctx: Context, change: Change, event: AdtEvent) -> None:
    """It waits until one of its numbers is known: who makes one known at this moment (rematching.py) looks again."""
    change.bump_epochs |= {ctx.store.keys.of("stay", key) for key in _numbers_of(ctx, event)}


def _numbers_of(ctx: Context, event: AdtEvent) -> tuple[str, ...]:
    return persons(event, event.patient.ids, partial(person_key, ctx))


@dataclass
class Held:
    """What is stored of a member's stays. deaths: messages that tell of a death of the person alone."""

    epochs: dict[int, int]
    accounts: list[AccountRow]
    threads: dict[str, ThreadRow]
    deaths: list[MessageRow]


async def held_of(ctx: Context, patient: str) -> Held:
    store, key = ctx.store, ctx.store.keys.of("stays-of", patient)
    known, accounts, threads, numbers = await together(
        store,
        epochs.several(store, [key]),
        stay_rows.accounts(store, patient),
        stay_rows.threads(store, patient),
        stay_rows.numbers(store, [member_key(patient)]),
    )
    return Held(known, accounts, threads, await stay_rows.messages(store, {number for number, _ in numbers}))


def rely_on_member(change: Change, held: Held) -> None:
    """All that is decided of a member's stays follows each other; alert_catch_up.py and tcs_plans.py look at it too."""
    change.epochs = held.epochs | change.epochs  # what was read first counts
    change.bump_epochs |= held.epochs.keys()
