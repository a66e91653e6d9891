"""THE reducer: all ADT events of a stay -> the state of the stay. Pure, recomputed from every event each time.

Source: HL7 v2.5.1 chapter 3 (https://www.hl7.eu/HL7v2x/v251/std251/ch03.html); states are
https://hl7.org/fhir/R4/valueset-encounter-status.html. The result is the same for every order of arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.workflow.stay_cancels import Cancelled, cancelled, runs_before, stale, visit_cuts
from service.workflow.stay_classes import ClassSpan, class_history
from service.workflow.stay_events import DAY_US, EVIDENCE, STARTS, Fact, StoredEvent, facts_of
from service.workflow.stay_places import PlaceSpan, facility_moves, places

SILENCE_US = {"ED": 2 * DAY_US, "OBSERVATION": 5 * DAY_US, "AMBULATORY": 2 * DAY_US, "INPATIENT": 30 * DAY_US}
"""Without a word for so long a stay is closed by timeout; networks do so (facts/adt.md 1.6). Nightly A08 are words."""
LASTING = ("arrived", "in-progress", "onleave")


@dataclass(frozen=True)
class Visit:
    """One admission-to-discharge span. A visit number that is used again gives a stay a second one.

    ordinal, end_ordinal: how often its start, its discharge were undone before; they keep alert keys apart.
    """

    status: str
    classes: tuple[ClassSpan, ...]
    places: tuple[PlaceSpan, ...]
    moves: tuple[PlaceSpan, ...]
    start_us: int | None
    start_inferred: bool
    end_us: int | None
    end_inferred: bool
    disposition: str | None
    disposition_code: str
    """NUBC discharge status as sent, "" where only a text or nothing came."""
    ordinal: int
    end_ordinal: int
    status_history: tuple[tuple[str, int], ...]
    first: Fact | None
    """The event that opened it."""
    closing: Fact | None
    """The discharge that stands."""
    pending: Fact | None
    """The pending discharge that stands; pending_ordinal as the others."""
    pending_ordinal: int
    away: tuple[Fact, ...] = ()
    """Leaves of absence and returns that stand, in turn."""
    plan: Fact | None = None
    """The pre-admission, while nobody has come."""


@dataclass(frozen=True)
class StayState:
    """What is known of a stay now. Times are microseconds since the epoch; class and disposition are AdtEvent's words.

    status: planned arrived in-progress onleave finished cancelled entered-in-error unknown.
    disposition: None until discharged. deceased: PID-30 = Y or a disposition of death, unless corrected.
    flags: what a person should look at (clock-ahead, discharge-before-start, death-time-without-flag,
    closed-by-timeout). next_place: where the hospital plans to move the person (A15). void: why nothing of it counts
    for this member (see voided), "" for every other state.
    """

    status: str
    klass: str
    class_history: tuple[ClassSpan, ...]
    status_history: tuple[tuple[str, int], ...]
    start_us: int | None
    start_inferred: bool
    end_us: int | None
    end_inferred: bool
    locations: tuple[PlaceSpan, ...]
    disposition: str | None
    disposition_code: str
    facility: str
    deceased: bool
    death: Fact | None
    visits: tuple[Visit, ...]
    last: Fact
    flags: tuple[str, ...]
    next_place: str = ""
    void: str = ""


def reduce(events: Sequence[StoredEvent]) -> StayState:
    """events: at least one that says something of a visit, in any order, duplicates allowed, all of one stay."""
    told = facts_of(events)
    facts = [f for f in told if f.visited]
    gone = cancelled(facts)
    cuts = visit_cuts(facts, gone)
    bounds = [0, *cuts, len(facts)]
    visits = tuple(_visit(facts, gone, bounds[n], bounds[n + 1], n) for n in range(len(cuts) + 1))
    now = visits[-1]
    death = _death(told, now)
    return StayState(
        status=now.status,
        klass=now.classes[-1].klass if now.classes else "UNKNOWN",
        class_history=now.classes,
        status_history=now.status_history,
        start_us=now.start_us,
        start_inferred=now.start_inferred,
        end_us=now.end_us,
        end_inferred=now.end_inferred,
        locations=now.places,
        disposition=now.disposition,
        disposition_code=now.disposition_code,
        facility=next((f.facility for f in reversed(facts) if f.facility), ""),
        deceased=death is not None,
        death=death,
        visits=visits,
        last=facts[-1],
        flags=_flags(told, now, death),
        next_place=_next_place(facts, gone, now),
    )


def voided(state: StayState, why: str) -> StayState:
    """As a stay that is not this member's, or that goes on elsewhere. why: moved, match-reversed, renumbered."""
    return replace(state, status="entered-in-error", visits=(), death=None, deceased=False, void=why)


def timed_out(state: StayState, now_us: int) -> StayState:
    """Nothing was heard for so long that the end must have been missed: unknown, and nobody is told."""
    limit = SILENCE_US.get(state.klass, SILENCE_US["INPATIENT"])
    if state.status not in LASTING or now_us - state.last.occurred_us <= limit:
        return state
    history = (*state.status_history, ("unknown", state.last.occurred_us + limit))
    flags = tuple(sorted({*state.flags, "closed-by-timeout"}))
    return replace(state, status="unknown", status_history=history, flags=flags)


def _next_place(facts: Sequence[Fact], gone: Cancelled, now: Visit) -> str:
    """PV1-42 of the last pending transfer that stands, until the transfer."""
    if now.status not in LASTING:
        return ""
    steps = [f for i, f in enumerate(facts) if i not in gone and f.effect in {"pending-transfer", "transfer"}]
    return steps[-1].pending_place if steps and steps[-1].effect == "pending-transfer" else ""


def _visit(facts: Sequence[Fact], gone: Cancelled, low: int, high: int, number: int) -> Visit:
    indices = [i for i in range(low, high) if i not in gone]
    opened = next((i for i in indices if facts[i].effect in STARTS), None)
    undone = any(low <= i < high and facts[i].effect in STARTS for i in gone)
    if opened is not None and undone:
        # What belongs to the undone admission says nothing about this one.
        indices = [i for i in indices if facts[i].occurred_us >= facts[opened].occurred_us]
    live = [facts[i] for i in indices]
    closings = [i for i in indices if facts[i].closes and not stale(facts[i], facts)]
    status = _status(live, facts[low:high], opened is not None, bool(closings))
    present = status in {"arrived", "in-progress", "onleave", "finished"}
    closing = facts[closings[-1]] if closings and present else None
    first = facts[opened] if opened is not None else (live[0] if present and live else None)
    start = _start(live, first, opened is not None) if present else None
    disposition = _disposition(live, facts[closings[0]], closing) if closing else (None, "")
    pending = next((i for i in reversed(indices) if facts[i].effect == "pending-discharge"), None)
    at = opened if opened is not None else high
    over = status in {"cancelled", "entered-in-error"}
    told = facts[low:high] if over else live or facts[low:high]
    return Visit(
        status=status,
        classes=class_history(told, start, planned=status == "planned", over=over),
        places=places(live or facts[low:high], closing.end_us if closing else None),
        moves=facility_moves(live) if present else (),
        start_us=start,
        start_inferred=present and opened is None,
        end_us=closing.end_us if closing else None,
        end_inferred=closing is not None and (closing.implied or closing.discharge_us is None),
        disposition=disposition[0],
        disposition_code=disposition[1],
        ordinal=number + runs_before(facts, gone, STARTS, at),
        end_ordinal=number + runs_before(facts, gone, frozenset({"discharge"}), closings[0] if closings else high),
        status_history=_status_history(live, status, start, closing),
        first=first,
        closing=closing,
        pending=facts[pending] if pending is not None and present else None,
        pending_ordinal=number + runs_before(facts, gone, frozenset({"pending-discharge"}), pending or 0),
        away=_away(live) if present else (),
        plan=next((f for f in reversed(live) if f.effect == "pre-admit"), None) if status == "planned" else None,
    )


def _status(live: Sequence[Fact], every: Sequence[Fact], opened: bool, closed: bool) -> str:
    effects = [f.effect for f in live]
    cancels = [f for f in every if f.effect in {"cancel-admit", "delete"}]
    if not opened and cancels:
        # Once cancelled, only a new admission revives a visit: A08 and tracking messages go on being sent for it.
        planned_again = any(f.effect == "pre-admit" and f.occurred_us > cancels[-1].occurred_us for f in live)
        deleted = any(f.effect == "delete" for f in cancels)
        return "planned" if planned_again else "entered-in-error" if deleted else "cancelled"
    if opened or any(effect in EVIDENCE for effect in effects) or any(f.reveals_stay for f in live):
        if closed:
            return "finished"
        moves = [effect for effect in effects if effect in {"leave", "return"}]
        if moves and moves[-1] == "leave":
            return "onleave"
        return "arrived" if _only_registered(live) else "in-progress"
    if "pre-admit" in effects:
        return "planned"
    return "cancelled" if any(f.effect == "cancel-pre-admit" for f in every) else "unknown"


def _away(live: Sequence[Fact]) -> tuple[Fact, ...]:
    steps: list[Fact] = []
    for fact in live:
        if fact.effect in {"leave", "return"} and (steps[-1].effect if steps else "return") != fact.effect:
            steps.append(fact)
    return tuple(steps)


def _only_registered(live: Sequence[Fact]) -> bool:
    """An A04 of class E says that the person has come, not that care has begun."""
    begun = [f for f in live if f.effect in EVIDENCE or f.effect in STARTS]
    return bool(begun) and all(f.code == "A04" and f.klass == "ED" for f in begun)


def _start(live: Sequence[Fact], first: Fact | None, opened: bool) -> int | None:
    if opened:
        return min(f.effective_us for f in live if f.effect in STARTS or f is first)
    stated = [f.admit_us for f in live if f.admit_us is not None]
    return stated[-1] if stated else (first.occurred_us if first else None)


def _disposition(live: Sequence[Fact], first: Fact, closing: Fact) -> tuple[str, str]:
    """(group, code) last stated from the discharge on: an A08 often brings what the A03 left blank."""
    told = [f for f in live if f.disposition and (f.closes or f.occurred_us >= first.occurred_us)]
    named = [f for f in told if f.disposition not in {"NOT_STATED", "UNKNOWN", "STILL"}]
    last = named[-1] if named else closing
    return last.disposition or "NOT_STATED", last.disposition_code


def _status_history(
    live: Sequence[Fact], status: str, start: int | None, closing: Fact | None
) -> tuple[tuple[str, int], ...]:
    """(status, since) in time order, the present one last; empty where no time is known."""
    steps: list[tuple[str, int]] = []
    plan = next((f for f in live if f.effect == "pre-admit"), None)
    if plan is not None:
        steps.append(("planned", plan.occurred_us))
    if start is not None:
        steps.append(("arrived" if status == "arrived" else "in-progress", start))
    for fact in live:
        if fact.effect in {"leave", "return"} and (closing is None or fact.occurred_us <= closing.end_us):
            steps.append(("onleave" if fact.effect == "leave" else "in-progress", fact.occurred_us))
    if closing is not None:
        steps.append(("finished", closing.end_us))
    return tuple(step for n, step in enumerate(steps) if n == 0 or steps[n - 1][0] != step[0])


def _death(facts: Sequence[Fact], now: Visit) -> Fact | None:
    """The last PID-30 decides; a disposition of death stands on its own. PID-29 alone is a question (see flags)."""
    if now.status == "entered-in-error":
        return None
    if now.disposition == "EXPIRED":
        return now.closing
    stated = [f for f in facts if f.dead is not None]
    if not stated or not stated[-1].dead:
        return None
    # The first of the last unbroken run of Y: that is when it became known.
    known = stated[-1]
    for fact in reversed(stated):
        if not fact.dead:
            break
        known = fact
    return known


def _flags(facts: Sequence[Fact], now: Visit, death: Fact | None) -> tuple[str, ...]:
    flags = set()
    if any(f.clock_ahead for f in facts):
        flags.add("clock-ahead")
    if now.start_us is not None and now.end_us is not None and now.end_us < now.start_us:
        flags.add("discharge-before-start")
    if death is None and any(f.death_time for f in facts):
        flags.add("death-time-without-flag")
    return tuple(sorted(flags))
