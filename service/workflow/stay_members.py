"""All stays of one member after a message: which accounts are one stay, which stays one transition; what changed.

Each stay has an Encounter of its own for each member: an Encounter never changes its subject (facts/adt.md 1.1, A45).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.access.context import Context
from service.store import stay_rows
from service.store.change import Change
from service.store.stay_rows import AccountRow, ThreadRow
from service.workflow.parties import reference_of
from service.workflow.stay_deaths import tell_death, told_alone
from service.workflow.stay_identity import derived_id
from service.workflow.stay_picture import Picture, death_places, of_world, picture, stretch_of
from service.workflow.stay_threads import Chain, Stretch, stays_of, threads_of
from service.workflow.stay_world import Held, Loaded, Message, World, load, message_of
from service.workflow.stay_writes import Cause, Writing, retire, write_stay


@dataclass(frozen=True)
class Result:
    """encounters: account -> Encounter.id. heard: whether all that is news had somebody to go to."""

    encounters: dict[str, str]
    heard: bool


@dataclass
class _Side:
    """The member's stays before or after: chains, the Encounter of each first account, deaths, messages."""

    chains: list[Chain]
    encounter: dict[str, str]
    deaths: dict[str, list[Message]]
    world: World
    keys: dict[str, frozenset[str]]
    of_encounter: dict[str, Chain] = field(init=False)

    def __post_init__(self) -> None:
        self.of_encounter = {self.encounter[chain[0].account]: chain for chain in reversed(self.chains)}

    def chain_of(self, encounter: str) -> Chain | None:
        return self.of_encounter.get(encounter)

    def picture(self, encounter: str, patient: str, now_us: int) -> Picture | None:
        chain = self.chain_of(encounter)
        if chain is None:
            return None
        messages = of_world(self.world, self.keys)
        parts = [(one.account, messages(one.account)) for one in chain]
        return picture(parts, self.deaths.get(chain[0].account, ()), patient, now_us)


async def settle_member(
    ctx: Context,
    change: Change,
    patient: str,
    cause: Cause,
    loaded: Loaded,
    after: World,
    touched: set[str],
    own: dict[str, Stretch],
    held: Held,
) -> Result:
    """touched: accounts that were decided anew. own: those of them that are the member's, as they are now."""
    rows, stored = held.accounts, held.threads
    told = _deaths(patient, held, loaded.before), _deaths(patient, held, loaded.before, after)
    alone = bool(told[1]) and await told_alone(ctx, patient)
    old = _before(rows, loaded, [] if alone else told[0])
    new = await _after(ctx, patient, rows, loaded, after, touched, own, [] if alone else told[1])
    threads = {a: new.encounter[first] for a, first in threads_of(new.chains).items()}
    changed = [c for c in new.chains if _differs(c, old, new, touched, stored, threads)]
    gone = sorted(set(old.encounter.values()) - set(new.encounter.values()))
    await _load_more(ctx, change, rows, loaded, old, new, changed, gone)
    heard = True
    for encounter in gone:
        await _retire(ctx, change, Writing(patient, encounter, stored.get(encounter), cause), old, new)
    for chain in changed:
        encounter = new.encounter[chain[0].account]
        was, now = (side.picture(encounter, patient, ctx.now_us) for side in (old, new))
        if now is None:
            continue
        thread = _thread_row(encounter, patient, threads[chain[0].account], now)
        writing = Writing(patient, encounter, thread, cause, frozenset(gone) | _same_thread(chain, new, threads))
        heard &= await write_stay(ctx, change, writing, was, now)
        if stored.get(encounter) != thread:
            change.statements.append(stay_rows.put_thread(thread))
    if not new.chains and told[1]:
        heard &= await tell_death(ctx, change, patient, told[1])
    _keep_accounts(change, patient, rows, new, touched)
    return Result({s.account: new.encounter[c[0].account] for c in new.chains for s in c}, heard)


def _same_thread(chain: Chain, new: _Side, threads: dict[str, str]) -> frozenset[str]:
    """The member's other Encounters of this transition of care, of which some join it with this Change."""
    mine = threads[chain[0].account]
    return frozenset(new.encounter[a] for a, thread in threads.items() if thread == mine and a != chain[0].account)


async def _retire(ctx: Context, change: Change, writing: Writing, old: _Side, new: _Side) -> None:
    was = old.picture(writing.encounter, writing.patient, ctx.now_us)
    await retire(ctx, change, writing, was, _why(old, new, writing.encounter))
    change.statements.append(stay_rows.drop_thread(writing.encounter))


def _why(old: _Side, new: _Side, encounter: str) -> str:
    """Why an Encounter of the member goes: as voided() in stays.py has it."""
    chain = old.chain_of(encounter) or ()
    kept = {s.account for c in new.chains for s in c}
    if kept & {s.account for s in chain} or _goes_on(chain, old, new):
        return "renumbered"
    return "moved" if any(m.moves for m in new.world.messages.values()) else "match-reversed"


def _goes_on(chain: Iterable[Stretch], old: _Side, new: _Side) -> bool:
    """Whether its keys lead to another account of the same member now."""
    keys = {key for one in chain for key in old.keys.get(one.account, frozenset({one.account}))}
    return any(keys & new.keys.get(s.account, frozenset({s.account})) for c in new.chains for s in c)


def _deaths(patient: str, held: Held, before: World, after: World | None = None) -> list[Message]:
    """Of the person alone: stored ones and, where `after` is given, with what is added."""
    stored = World({(r.stay, r.inbox_id): message_of(r) for r in held.deaths}).messages
    found = stored | before.messages
    if after is not None:
        found |= after.messages
    said = World({key: m for key, m in found.items() if m.event.patient.deceased is not None}).deaths(patient)
    return sorted(said, key=lambda m: m.order)


def _before(rows: list[AccountRow], loaded: Loaded, deaths: list[Message]) -> _Side:
    """As it was decided and stored; the chains of a stay follow from the same rule."""
    by_encounter: dict[str, dict[str, Stretch]] = {}
    for row in rows:
        by_encounter.setdefault(row.encounter, {})[row.account] = stretch_of(row)
    chains, encounter = list[Chain](), dict[str, str]()
    for id, stretches in by_encounter.items():
        found = stays_of(list(stretches.values()))
        chain = found[0] if len(found) == 1 else tuple(sorted(stretches.values(), key=lambda s: s.order))
        chains.append(chain)
        encounter[chain[0].account] = id
    keys = loaded.before.groups(loaded.keys)
    return _Side(chains, encounter, death_places(chains, deaths), loaded.before, keys)


async def _after(
    ctx: Context,
    patient: str,
    rows: list[AccountRow],
    loaded: Loaded,
    after: World,
    touched: set[str],
    own: dict[str, Stretch],
    deaths: list[Message],
) -> _Side:
    others = {row.account: stretch_of(row) for row in rows if row.account not in touched}
    chains = stays_of([*others.values(), *own.values()])
    known = {row.account: row.encounter for row in rows}
    encounter = {c[0].account: await _encounter_id(ctx, c[0].account, patient, known, loaded) for c in chains}
    keys = after.groups(loaded.keys)
    return _Side(chains, encounter, death_places(chains, deaths), after, keys)


async def _encounter_id(ctx: Context, account: str, patient: str, known: dict[str, str], loaded: Loaded) -> str:
    """The account's own key, unless it is the Encounter of somebody else."""
    if known.get(account) == account:
        return account
    other = "stay-" + derived_id("encounter", account, patient)
    if known.get(account) == other:
        return other
    if account not in loaded.encounters:
        held = await ctx.resource(f"Encounter/{account}")
        loaded.encounters[account] = reference_of(held[0], "subject") if held else ""
    return account if loaded.encounters[account] in ("", patient) else other


def _differs(
    chain: Chain, old: _Side, new: _Side, touched: set[str], stored: dict[str, ThreadRow], threads: dict[str, str]
) -> bool:
    first = chain[0].account
    encounter = new.encounter[first]
    former = old.chain_of(encounter)
    accounts = {s.account for s in chain}
    if former is None or accounts & touched or {s.account for s in former} != accounts:
        return True
    row = stored.get(encounter)
    deaths = [m.key for m in new.deaths.get(first, ())], [m.key for m in old.deaths.get(former[0].account, ())]
    return row is None or row.thread != threads[first] or deaths[0] != deaths[1]


async def _load_more(
    ctx: Context,
    change: Change,
    rows: list[AccountRow],
    loaded: Loaded,
    old: _Side,
    new: _Side,
    changed: list[Chain],
    gone: list[str],
) -> None:
    """The messages of the member's other accounts that belong to the same stays."""
    former = [old.chain_of(e) or () for e in [*gone, *(new.encounter[c[0].account] for c in changed)]]
    accounts = {s.account for chain in (*changed, *former) for s in chain}
    keys = {row.stay for row in rows if row.account in accounts} - loaded.keys
    if not keys:
        return
    more = await load(ctx, change, keys, (), set())
    for side in (old, new):
        # What was decided just now stands before what is stored.
        side.world.messages = more.before.messages | side.world.messages
        side.world.edges |= more.before.edges
        side.world.numbers |= more.before.numbers
        side.keys |= more.before.groups(more.keys)


def _thread_row(encounter: str, patient: str, thread: str, now: Picture) -> ThreadRow:
    state = now.state
    start_us = state.last.occurred_us if state.start_us is None else state.start_us
    return ThreadRow(
        encounter, patient, thread, start_us, state.end_us, state.status, state.klass, state.disposition or "",
        state.facility, state.last.occurred_us,
    )  # fmt: skip


def _keep_accounts(change: Change, patient: str, rows: list[AccountRow], new: _Side, touched: set[str]) -> None:
    """Under each key that has a message of the member: its account and Encounter, for the next decision."""
    made: dict[str, AccountRow] = {}
    stood: dict[str, set[str]] = {}
    for row in rows:
        stood.setdefault(row.account, set()).add(row.stay)
    for chain in new.chains:
        for one in chain:
            keys = {
                key
                for key in new.keys.get(one.account, ())
                if any(m.row.patient == patient and m.row.stay == key for m in new.world.messages.values())
            }
            for key in keys or stood.get(one.account, set()):
                made[key] = AccountRow(
                    key, one.account, new.encounter[chain[0].account], patient, one.facility, one.began, one.klass,
                    one.disposition, one.came_from, one.status, one.start_us, one.end_us, one.seen_us,
                )  # fmt: skip
    known = {row.stay: row for row in rows}
    change.statements += [stay_rows.put_account(row) for key, row in sorted(made.items()) if known.get(key) != row]
    gone = [row for row in rows if row.stay not in made and row.account in touched]
    change.statements += [stay_rows.drop_account(row) for row in gone]
