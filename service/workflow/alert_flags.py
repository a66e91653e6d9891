"""Flags on alerts: frequent emergency visits, readmission, recent nursing facility. Rules in alert_flags.json. Pure.

facts/adt.md 9. They look at the member's stays as table care_transition has them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from service.store.alert_work import TransitionRow

FLAG_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/alert-flag"
DAY_US = 86_400_000_000
TABLE = Path(__file__).parent / "alert_flags.json"


@dataclass(frozen=True)
class Flag:
    """words: a sentence of the alert. priority: the alert has at least this one."""

    code: str
    display: str
    words: str
    priority: str


@lru_cache(maxsize=1)
def rules() -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(TABLE.read_text("utf-8"))["rules"])


def longest_us() -> int:
    """So far back do the rules look."""
    return max((int(rule["days"]) for rule in rules()), default=0) * DAY_US


def flags(kind: str, this: TransitionRow, others: Sequence[TransitionRow], now_us: int) -> tuple[Flag, ...]:
    """Of an alert of this kind about the stay `this`. others: the member's stays; `this` among them does not harm."""
    apart = [one for one in others if one.stay != this.stay and one.thread != (this.thread or this.stay)]
    found = []
    for rule in rules():
        if kind not in rule["kinds"] or this.klass not in rule["setting"]:
            continue
        counted = [*apart, this] if rule["this_counts"] else apart
        n = sum(_fits(one, rule, now_us) for one in counted)
        if n >= int(rule["at_least"]):
            words = str(rule["words"]).format(n=n, days=rule["days"])
            found.append(Flag(rule["code"], rule["display"], words, rule["priority"]))
    return tuple(found)


def _fits(one: TransitionRow, rule: Mapping[str, Any], now_us: int) -> bool:
    wanted = rule["stays"]
    until = now_us if one.end_us is None else one.end_us
    return (
        one.status not in GONE
        and ("class" not in wanted or one.klass in wanted["class"])
        and ("disposition" not in wanted or one.disposition in wanted["disposition"])
        and now_us - until <= int(rule["days"]) * DAY_US
    )


GONE = frozenset({"cancelled", "entered-in-error", "planned", "unknown"})
"""Statuses of a stay that did not take place, or of which nothing is known."""
