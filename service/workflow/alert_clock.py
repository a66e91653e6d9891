"""Until when an alert has to be answered: rows of alert_work as alerts are made, taken back, superseded. Pure.

An unanswered alert goes on after so many minutes of working hours (alert_routing.json). A newer alert of the same stay
to the same person takes the clock of the older one over, so that a busy stay gives one escalation and not five.
"""

from collections.abc import Iterable, Mapping

from fhir_profiles import Resource
from service.notify.notices import is_alert, is_correction
from service.store import alert_work
from service.store.alert_work import Work
from service.store.change import Statement
from service.workflow.alert_routing import minutes_of
from service.workflow.working_time import ZONE, due_in_hours

SERVICE = "Device/enlace"
BREACH = "tb-"
"""Begin of the id of what tells of a clock that was not met."""
RETRACTED, SUPERSEDED = "retracted", "superseded"
"""Outcomes that the service gives."""


def is_own(resource: Resource) -> bool:
    """Whether this is an alert of ours that somebody has to answer: no correction, nothing of the digest."""
    return (
        resource.get("resourceType") == "Communication"
        and str(resource.get("id", "")).startswith("al-")
        and is_alert(resource)
        and not is_correction(resource)
    )


def is_answered(resource: Resource) -> bool:
    """As is_own, and the alert of a clock that was not met (timer_breaches.py), which no newer one supersedes."""
    return is_own(resource) or (
        resource.get("resourceType") == "Communication"
        and str(resource.get("id", "")).startswith(BREACH)
        and is_alert(resource)
    )


def began(alert: Resource, now_us: int) -> list[Statement]:
    """The clock of an alert that stands alone; none where its priority never goes on."""
    due = due_us(alert, now_us)
    patient = str(alert["subject"]["reference"])
    return [alert_work.put(Work(reference_of(alert), patient, 0, "open", due, now_us))] if due else []


def reference_of(alert: Resource) -> str:
    return f"Communication/{alert['id']}"


def due_us(alert: Resource, now_us: int, zone: str = ZONE) -> int:
    """0: it does not go on."""
    minutes = minutes_of(str(alert.get("priority") or "routine"))
    return due_in_hours(now_us, minutes, zone) if minutes else 0


def clocked(
    changed: Iterable[Resource], known: Iterable[Resource], rows: Mapping[str, Work], now_us: int
) -> list[Statement]:
    """changed: what this Change writes. known: all alerts of the stay, as they will be. rows: their work so far."""
    news = [one for one in changed if is_own(one)]
    out: list[Statement] = []
    for alert in news:
        if alert.get("status") != "completed" and reference_of(alert) in rows:
            out.append(alert_work.ended(reference_of(alert), "ended", SERVICE, RETRACTED))
    standing = [one for one in news if one.get("status") == "completed" and not one.get("received")]
    fresh = [one for one in standing if due_us(one, now_us) and _is_new(rows.get(reference_of(one)))]
    names = {reference_of(one) for one in news}
    left = [
        one for one in known if is_own(one) and reference_of(one) not in names and _open(rows.get(reference_of(one)))
    ]
    for alert in fresh:
        older = [one for one in left if _first(one) == _first(alert)]
        until = min([due_us(alert, now_us), *(rows[reference_of(one)].due_us for one in older if _waits(one, rows))])
        patient = str(alert["subject"]["reference"])
        out += [alert_work.ended(reference_of(one), "ended", SERVICE, SUPERSEDED) for one in older]
        out.append(alert_work.put(Work(reference_of(alert), patient, 0, "open", max(until, now_us), now_us)))
        left = [one for one in left if one not in older]
    return out


def _is_new(row: Work | None) -> bool:
    """Told for the first time, or true again; another recipient or thread starts no clock."""
    return row is None or row.outcome == RETRACTED


def _open(row: Work | None) -> bool:
    return row is not None and row.state in ("open", "snoozed")


def _waits(alert: Resource, rows: Mapping[str, Work]) -> bool:
    """A snooze was the person's own: a new event ends it, and begins its own time."""
    return rows[reference_of(alert)].state == "open" and rows[reference_of(alert)].level == 0


def _first(alert: Resource) -> str:
    recipients = alert.get("recipient") or [{}]
    return str(recipients[0].get("reference") or "")
