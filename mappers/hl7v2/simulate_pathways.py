"""Pathways (simulate_pathways.json) told as ADT messages, each with THE TRUTH: how its stays end and what stands told.

The truth is written in the table by hand from facts/adt.md 1, pathway by pathway. Nothing here reads an event's
meaning, and the reducer of stays reads nothing of this: the two check each other.

A pathway: `steps` in the order in which things happened, each an event with minutes `after` the step before ([least,
most]), `at` a row of `settings` and `to` groups of `dispositions` to choose from; `who`, `where` and `visit` where it
is not about the one person, the one hospital and the one visit; `mrn`, `retires`, `was` for merges and moves; `left`
where an update carries the time of discharge. `truth`: one row a stay; `start` and `end` name steps.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mappers.hl7v2.simulate import MINUTE, Hospital, Member, message

SECOND = 1_000_000
LAG_S = 90
"""Hospitals send up to so long after the fact."""
DIED = "EXPIRED"
_RANGE = re.compile(r"\{(\d+)-(\d+)\}")
_COMPLAINTS = ("R07.9^Chest pain", "R10.9^Abdominal pain", "R06.02^Shortness of breath", "S93.4^Ankle sprain")
_DIAGNOSES = ("I50.9^Heart failure", "J44.1^COPD exacerbation", "E11.65^Type 2 diabetes", "A41.9^Sepsis")
_BEFORE = frozenset({"A05", "A14", "A27", "A28", "A31", "A38"})
"""Messages that know no time of admission."""
Pathway = Mapping[str, Any]


@dataclass(frozen=True)
class Expected:
    """One stay when all its messages have come, in any order and any number.

    who: CIN of the member whom it is about. hospital: its name. visit: PV1-19 by which it is known in the end.
    status: of the Encounter. klass: word of AdtEvent. disposition: group, "" while not discharged. alerts: what stands
    told, sorted: a kind, for discharges with the group ("discharge HOME"). Times are microseconds, None if not known.
    """

    pathway: str
    who: str
    hospital: str
    visit: str
    status: str
    klass: str
    disposition: str
    start_us: int | None
    end_us: int | None
    alerts: tuple[str, ...]


@dataclass(frozen=True)
class Sent:
    """One message. at_us: when it leaves; control_id: MSH-10; hospital: index of the sender among those given."""

    at_us: int
    control_id: str
    payload: bytes
    hospital: int


@dataclass(frozen=True)
class Story:
    messages: tuple[Sent, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class Step:
    """A step with its choices made: minutes from the start, fields for `message`, group of the disposition or ""."""

    after_us: int
    event: str
    fields: Mapping[str, Any]
    group: str
    row: Mapping[str, Any]


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("simulate_pathways.json").read_bytes())
    return found


def pathways() -> dict[str, Pathway]:
    """By name."""
    return {row["name"]: row for row in _read()["pathways"]}


def chosen(rng: random.Random, names: Sequence[str] = ()) -> Pathway:
    """One of these pathways (of all, without names) by its weight."""
    rows = [row for row in _read()["pathways"] if not names or row["name"] in names]
    picked: Pathway = rng.choices(rows, [row["weight"] for row in rows])[0]
    return picked


def steps_of(pathway: Pathway, rng: random.Random) -> list[Step]:
    """A pathway with all its choices made: times, beds, reason, where to."""
    reason, diagnosis = rng.choice(_COMPLAINTS), rng.choice(_DIAGNOSES)
    beds: dict[str, str | None] = {}
    found: list[Step] = []
    at, before = 0, None
    for row in pathway["steps"]:
        low, high = row.get("after", (0, 0))
        at += rng.randint(low, high) * MINUTE
        setting = dict(_read()["settings"].get(row.get("at"), {}))
        fields: dict[str, Any] = {**setting, "reason": reason}
        if row.get("at"):
            moves = row["event"] == "A02"
            if moves or row["at"] not in beds:
                beds[row["at"]] = _bed(setting["location"], rng)
            fields["location"] = beds[row["at"]]
            if before and before != fields["location"]:
                fields["prior_location"] = before
            before = fields["location"]
        if setting.get("patient_class") in {"I", "INPATIENT"}:
            fields["diagnosis"] = diagnosis
        group = rng.choice(row["to"]) if "to" in row else ""
        if group:
            fields["disposition"] = rng.choice(_read()["dispositions"][group])
        found.append(Step(at, row["event"], {**fields, **row.get("fields", {})}, group, row))
    return found


def _bed(pattern: str | None, rng: random.Random) -> str | None:
    return pattern and _RANGE.sub(lambda m: str(rng.randint(int(m[1]), int(m[2]))), pattern)


def tell(
    pathway: Pathway,
    rng: random.Random,
    who: Sequence[Member],
    hospitals: Sequence[Hospital],
    end_us: int,
    label: str,
) -> Story:
    """One playing of a pathway, its last message sent at `end_us` or shortly before.

    who: the person and, for pathways that need one, another. hospitals: likewise; `skew_us` in one is what its clock
    is wrong by, and the truth is as this hospital tells it. label: makes visit numbers and control ids unique.
    """
    steps = steps_of(pathway, rng)
    start = (end_us - steps[-1].after_us) // SECOND * SECOND - LAG_S * SECOND
    teller = _Teller(who, hospitals, label, start)
    lags = sorted(rng.randrange(1, LAG_S) * SECOND for _ in steps)
    messages = tuple(teller.message(number, step, lags[number]) for number, step in enumerate(steps))
    return Story(messages, tuple(_expected(pathway, truth, steps, teller) for truth in pathway["truth"]))


class _Teller:
    def __init__(self, who: Sequence[Member], hospitals: Sequence[Hospital], label: str, start_us: int):
        self._who, self.hospitals, self._label, self._start = who, hospitals, label, start_us
        self._admitted: dict[str, int] = {}
        self._left: dict[str, int | None] = {}

    def person(self, row: Mapping[str, Any]) -> Member:
        return self._who[row.get("who") == "other"]

    def hospital(self, row: Mapping[str, Any]) -> int:
        return int(row.get("where") == "other")

    def visit(self, suffix: str) -> str:
        return f"V{self._label}{suffix}"

    def at(self, step: Step) -> int:
        return self._start + step.after_us + int(self.hospitals[self.hospital(step.row)].get("skew_us", 0))

    def message(self, number: int, step: Step, lag_us: int) -> Sent:
        row, occurred = step.row, self.at(step)
        stay = self.visit(row.get("was", row.get("visit", "")))
        admit = None
        if step.event not in _BEFORE:
            admit = self._admitted.setdefault(stay, occurred)
        if step.event == "A03" or row.get("left"):
            self._left[stay] = self._left.get(stay) if row.get("left") and self._left.get(stay) else occurred
        elif step.event in {"A13", "A11"}:
            self._left[stay] = None
            if step.event == "A11":
                self._admitted.pop(stay, None)
        where, person = self.hospital(row), dict(self.person(row))
        visit = self.visit(row.get("visit", ""))
        if "was" in row:  # renumbered or moved: the times go on under the new number
            self._admitted[visit], self._left[visit] = self._admitted[stay], self._left.get(stay)
        mrn = str(person.get("mrn") or "M1")
        if row.get("mrn"):
            person["mrn"] = f"{mrn}-{row['mrn']}"
        fields: dict[str, Any] = {"visit_number": visit, "account": "A" + visit[1:], "admit_us": admit}
        fields |= {"at_us": occurred + lag_us, "occurred_us": occurred, "discharge_us": self._left.get(stay)}
        fields["control_id"] = f"{self._label}-{number}"
        if "retires" in row:
            fields["retired"] = f"{mrn}-{row['retires']}"
        if "was" in row:
            moved = step.event == "A45"
            fields |= {"retired": self._who[1].get("mrn") if moved else mrn, "retired_visit": stay}
        payload = message(step.event, person, self.hospitals[where], **{**fields, **step.fields})
        skew = int(self.hospitals[where].get("skew_us", 0))
        return Sent(occurred - skew + lag_us, fields["control_id"], payload, where)


def _expected(pathway: Pathway, truth: Mapping[str, Any], steps: Sequence[Step], teller: _Teller) -> Expected:
    start, end = truth.get("start"), truth.get("end")
    of_it = [s for s in steps if s.group and s.row.get("visit", "") == truth.get("visit", "")]
    group = of_it[-1].group if end is not None and of_it else ""
    words = []
    for kind in truth["alerts"]:
        died = kind == "discharge" and group == DIED
        words.append("death" if died else f"discharge {group}" if kind == "discharge" else kind)
    return Expected(
        pathway["name"],
        str(teller.person(truth).get("cin") or ""),
        str(teller.hospitals[teller.hospital(truth)]["name"]),
        teller.visit(truth.get("visit", "")),
        truth["status"],
        truth["class"],
        group,
        None if start is None else teller.at(steps[start]),
        None if end is None else teller.at(steps[end]),
        tuple(sorted(words)),
    )
