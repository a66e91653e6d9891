"""Which events of a stay still stand when cancels, deletes and re-assertions are taken together.

HL7 v2.5.1 chapter 3.3 (A11, A12, A13, A23, A25, A38, A52, A53): https://www.hl7.eu/HL7v2x/v251/std251/ch03.html
Decided pairwise on times that the sender stated, so the order of arrival cannot matter.
"""

from collections.abc import Sequence
from dataclasses import replace

from service.workflow.stay_events import STARTS, Fact

ALSO: dict[str, frozenset[str]] = {
    "cancel-admit": frozenset({"class-change", "transfer"}),
    "delete": frozenset(
        {*STARTS, "class-change", "transfer", "pre-admit", "discharge", "pending-discharge", "leave", "return"}
    ),
}
"""What goes with the effects that a row of THE event table says are cancelled: moves inside a visit that never was."""

LAST_ONLY = frozenset({"cancel-transfer", "cancel-leave", "cancel-return", "cancel-tracking"})

Cancelled = dict[int, Fact]
"""Index of a cancelled fact (in sorted order) -> the first cancel that reaches it."""


def cancelled(facts: Sequence[Fact]) -> Cancelled:
    """facts: sorted. A cancel reaches what occurred not after it in its visit, unless asserted anew afterwards."""
    out: Cancelled = {}
    discharges = [f for f in facts if f.effect == "cancel-discharge"]
    others = [f for f in facts if f.effect != "cancel-discharge" and _targets(f)]
    for cancels in (discharges, others):
        cuts = visit_cuts(facts, out)
        for cancel in cancels:
            # A visit number used again next year: its cancel leaves last year's visit alone.
            low = max((c for c in cuts if facts[c].occurred_us <= cancel.occurred_us), default=0)
            _apply(cancel, facts, out, low)
    return out


def _apply(cancel: Fact, facts: Sequence[Fact], out: Cancelled, low: int) -> None:
    """An A12, A32, A33, A52 or A53 undoes the last event before it, in all its copies; the others all before them."""
    targets = _targets(cancel)
    reached = [
        i
        for i, f in enumerate(facts)
        if i >= low and f.effect in targets and f.account == cancel.account and _occurred_by(f, cancel)
    ]
    if cancel.effect in LAST_ONLY:
        reached = [i for i in reached if _copied(facts[i]) == _copied(facts[reached[-1]])]
    for index in reached:
        if not _asserted_anew(facts[index], cancel, [facts[i] for i in reached]):
            out.setdefault(index, cancel)


def _copied(fact: Fact) -> Fact:
    """The same for an event and for its replay under a new control id."""
    return replace(fact, control_id="", made_us=0)


def _targets(cancel: Fact) -> frozenset[str]:
    return ALSO.get(cancel.effect, frozenset()) | frozenset(cancel.cancels)


def visit_cuts(facts: Sequence[Fact], gone: Cancelled) -> list[int]:
    """Where a start after a standing discharge opens a new visit. A late or repeated A01 does not: it is older."""
    cuts: list[int] = []
    closing: Fact | None = None
    for index, fact in enumerate(facts):
        if index in gone:
            continue
        if fact.effect in STARTS and closing is not None and _reopens(fact, closing):
            cuts.append(index)
            closing = None
        elif fact.closes and not stale(fact, facts):
            closing = fact
    return cuts


def stale(fact: Fact, facts: Sequence[Fact]) -> bool:
    """An A08 that repeats a discharge which an A13 has undone: many senders go on carrying the old PV1-45."""
    return fact.implied and any(f.effect == "cancel-discharge" and f.occurred_us >= fact.end_us for f in facts)


def _reopens(start: Fact, closing: Fact) -> bool:
    """All three clocks must agree: a discharge with a date and no hour seems to lie before its own admission."""
    return (
        start.effective_us > closing.end_us
        and start.occurred_us > closing.occurred_us
        and start.made_us > closing.made_us
    )


def runs_before(facts: Sequence[Fact], gone: Cancelled, effects: frozenset[str], index: int) -> int:
    """How many times facts of these effects were asserted and undone before fact `index`: the ordinal in its key.

    Counts cancels that undid something, each once: a cancel sent twice, or without a victim, gives no new ordinal.
    """
    return len({(c.occurred_us, c.made_us) for i, c in gone.items() if i < index and facts[i].effect in effects})


def _occurred_by(fact: Fact, cancel: Fact) -> bool:
    return min(fact.occurred_us, fact.effective_us) <= cancel.occurred_us


def _asserted_anew(fact: Fact, cancel: Fact, reached: Sequence[Fact]) -> bool:
    """A discharge cancelled by mistake is sent again with its old time: it stands, being made after the cancel.

    Only where the cancel has an older victim: else it is the cancelled event itself, restamped by an engine and late.
    """
    return fact.made_us > cancel.made_us and any(
        f.made_us <= cancel.made_us and f.effect is fact.effect for f in reached
    )
