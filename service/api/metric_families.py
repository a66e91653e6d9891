"""THE table of metrics: names, labels, meaning, and where each is read. docs/metrics.md shows it.

Labels are of closed sets, names that the operator gave to feeds, or ids of Subscriptions (at most 200), in
the shape that a log line may show.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from service import metrics
from service.api.metadata import software_version
from service.log_events import identifier
from service.metrics import Counters, Histogram
from service.store.figures import Alerts, Figures

NEVER = float("inf")

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | Histogram]]


@dataclass(frozen=True)
class Facts:
    """What one scrape shows. figures, alerts: None where the database did not answer."""

    counters: Counters
    held: bool
    now_us: int
    figures: Figures | None = None
    alerts: Alerts | None = None


class Family(NamedTuple):
    """One metric. read: its samples, label values in the order of `labels`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    read: Callable[[Facts], Samples]


def _one(value: float | Histogram) -> Samples:
    return [((), value)]


def _age(facts: Facts, since_us: int | None, otherwise: float = 0.0) -> float:
    return max(0.0, (facts.now_us - since_us) / 1e6) if since_us else otherwise


def _words(found: dict[str, int]) -> Samples:
    """Counts by one word."""
    return _merged((identifier(word), count) for word, count in list(found.items()))


def _merged(found: Iterable[tuple[str, float]]) -> Samples:
    """What may not be shown is `other`, once: the largest."""
    largest: dict[str, float] = {}
    for word, value in found:
        largest[word] = max(value, largest.get(word, 0.0))
    return [((word,), value) for word, value in largest.items()]


def _requests(facts: Facts) -> Samples:
    for (interaction, rtype, outcome), count in list(facts.counters.requests.items()):
        yield (interaction, rtype or "none", outcome), count


def _jobs(facts: Facts) -> Samples:
    if facts.figures:
        for (queue, state), count in facts.figures.jobs.items():
            yield (identifier(queue), state), count


def _due(facts: Facts) -> Samples:
    if facts.figures:
        due = facts.figures.due_us
        yield from _merged((identifier(queue), _age(facts, due.get(queue))) for queue, _ in facts.figures.jobs)


def _registered(facts: Facts) -> Samples:
    return _merged((identifier(name), 1.0) for name in facts.figures.feeds) if facts.figures else ()


def _silence(facts: Facts) -> Samples:
    if facts.figures:
        last = {identifier(name): at_us for name, at_us in facts.figures.feeds.items()}
        last[metrics.UNREGISTERED] = facts.figures.unregistered_us
        yield from _merged((name, _age(facts, at_us)) for name, at_us in last.items() if at_us)


def _alarms(facts: Facts) -> Samples:
    """All kinds of all feeds: a series that is missing could mean that nobody looked."""
    if facts.figures:
        shown = {identifier(name) for name in facts.figures.feeds}
        raised = {(identifier(name), kind) for name, kind in facts.figures.alarms}
        for name in sorted(shown):
            yield from (((name, kind), int((name, kind) in raised)) for kind in ("silent", "errors", "queue"))


def _alerts(facts: Facts) -> Samples:
    if facts.alerts:
        for state in ("new", "acknowledged", "retracted"):
            yield (state,), getattr(facts.alerts, state)


def _failures(facts: Facts) -> Samples:
    if facts.figures:
        yield from _merged((identifier(name), bad / every) for name, every, bad in facts.figures.failing)


def _notices(facts: Facts) -> Samples:
    if facts.figures:
        for (channel, state), count in facts.figures.notices.items():
            yield (identifier(channel), state), count


FAMILIES = (
    Family(
        "enlace_build_info",
        "gauge",
        ("version",),
        "Always 1; its label says which version of Enlace this process runs.",
        lambda facts: [((identifier(software_version()),), 1)],
    ),
    Family(
        "enlace_requests_total",
        "counter",
        ("interaction", "type", "outcome"),
        "Answered requests by FHIR interaction (or `page`, `token`, `introspect`, `revoke`, `hl7v2`, `partner-notice`, "
        "`none`), by type or `none`, and by `2xx` to `5xx`.",
        _requests,
    ),
    Family(
        "enlace_request_seconds",
        "histogram",
        ("interaction",),
        "Time from the first byte of a request to its answer, commit included.",
        lambda facts: [((name,), found) for name, found in list(facts.counters.latency.items())],
    ),
    Family(
        "enlace_requests_in_flight",
        "gauge",
        (),
        "Requests that this process works on now.",
        lambda facts: _one(facts.counters.in_flight),
    ),
    Family(
        "enlace_websockets_open",
        "gauge",
        (),
        "Websockets of subscriptions that are open at this process.",
        lambda facts: _one(facts.counters.websockets),
    ),
    Family(
        "enlace_requests_shed_total",
        "counter",
        ("reason",),
        "Requests turned away with Retry-After: `in-flight` (503, unread, not in enlace_requests_total), "
        "`client-rate` (429).",
        lambda facts: _words(facts.counters.shed),
    ),
    Family(
        "enlace_group_changes",
        "histogram",
        (),
        "Changes made durable by one commit of this process.",
        lambda facts: _one(facts.counters.group_size),
    ),
    Family(
        "enlace_group_seconds",
        "histogram",
        (),
        "Time of one commit of this process, the disk included.",
        lambda facts: _one(facts.counters.group_seconds),
    ),
    Family(
        "enlace_hl7v2_answers_total",
        "counter",
        ("code",),
        "HL7 v2 messages answered, over MLLP or HTTP, by MSA-1; `none` where no answer was due.",
        lambda facts: _words(facts.counters.answers),
    ),
    Family(
        "enlace_hl7v2_answer_seconds",
        "histogram",
        (),
        "Time from the last byte of an HL7 v2 message to its answer, commit included.",
        lambda facts: _one(facts.counters.answer_seconds),
    ),
    Family(
        "enlace_feed_messages_total",
        "counter",
        ("source",),
        "HL7 v2 messages stored, by registered sending system; all others are `unregistered`. Repeats are not counted.",
        lambda facts: _words(facts.counters.received),
    ),
    Family(
        "enlace_job_attempts_total",
        "counter",
        ("kind", "outcome"),
        "Attempts at background jobs: `done`, `retried` (tried again later), `dead` (waits for a person).",
        lambda facts: [((identifier(k), o), count) for (k, o), count in list(facts.counters.jobs.items())],
    ),
    Family(
        "enlace_job_seconds",
        "histogram",
        ("kind",),
        "Time of one attempt at a background job, commit included.",
        lambda facts: [((identifier(kind),), found) for kind, found in list(facts.counters.job_latency.items())],
    ),
    Family(
        "enlace_delivery_attempts_total",
        "counter",
        ("channel", "outcome"),
        "Attempts at telling a subscriber: `ok`, `failed` (tried again), `refused` (trying again is of little use).",
        lambda facts: [((identifier(c), o), count) for (c, o), count in list(facts.counters.attempts.items())],
    ),
    Family(
        "enlace_events_delivered_total",
        "counter",
        (),
        "Numbered events that arrived at their subscribers, repeats included.",
        lambda facts: _one(facts.counters.delivered),
    ),
    Family(
        "enlace_slot_held",
        "gauge",
        (),
        "1 while this process holds its worker slot; 0: it lost the lease, writes nothing more and stops.",
        lambda facts: _one(int(facts.held)),
    ),
    Family(
        "enlace_database_up",
        "gauge",
        (),
        "1 if the database answered this scrape within 3 s; 0: all metrics below are missing.",
        lambda facts: _one(int(facts.figures is not None)),
    ),
    Family(
        "enlace_database_bytes",
        "gauge",
        (),
        "Size of the database.",
        lambda facts: _one(facts.figures.size) if facts.figures else (),
    ),
    Family(
        "enlace_slots_leased",
        "gauge",
        (),
        "Processes that hold a worker slot now, of at most 256.",
        lambda facts: _one(facts.figures.slots) if facts.figures else (),
    ),
    Family(
        "enlace_jobs",
        "gauge",
        ("queue", "state"),
        "Background jobs: `ready`, `leased`, `dead`.",
        _jobs,
    ),
    Family(
        "enlace_oldest_due_job_seconds",
        "gauge",
        ("queue",),
        "How long the oldest due job of a queue has been waiting; 0 where none is due.",
        _due,
    ),
    Family(
        "enlace_inbox_messages",
        "gauge",
        ("state",),
        "HL7 v2 messages by what became of them, counted up to 100,000 a state.",
        lambda facts: _words(facts.figures.messages) if facts.figures else (),
    ),
    Family(
        "enlace_feed_registered",
        "gauge",
        ("source",),
        "1 for each active registered sending system, also for one that never sent.",
        _registered,
    ),
    Family(
        "enlace_feed_silence_seconds",
        "gauge",
        ("source",),
        "Time since the last message of a sending system; missing for one that never sent.",
        _silence,
    ),
    Family(
        "enlace_feed_alarm",
        "gauge",
        ("source", "kind"),
        "1 while operations are told of a sending system: `silent` (for what this hour of the week usually brings), "
        "`errors`, `queue` (its messages wait); 0 for all others.",
        _alarms,
    ),
    Family(
        "enlace_alerts",
        "gauge",
        ("state",),
        "Alerts to lead care managers: `new`, `acknowledged` (`received` is set), `retracted` (`entered-in-error`); "
        "of the 100,000 that changed last, read every 30 s.",
        _alerts,
    ),
    Family(
        "enlace_oldest_new_alert_seconds",
        "gauge",
        (),
        "Time since the oldest alert was sent that is still new; 0 where none is.",
        lambda facts: _one(_age(facts, facts.alerts.oldest_us)) if facts.alerts else (),
    ),
    Family(
        "enlace_backup_age_seconds",
        "gauge",
        (),
        "Time since the last `enlace backup` that succeeded; +Inf where there was none.",
        lambda facts: _one(_age(facts, facts.figures.backup_us, NEVER)) if facts.figures else (),
    ),
    Family(
        "enlace_audit_unsealed_seconds",
        "gauge",
        (),
        "Age of the oldest audit row that no seal covers; 0 where all are sealed. A worker seals within 10 s.",
        lambda facts: _one(_age(facts, facts.figures.unsealed_us)) if facts.figures else (),
    ),
    Family(
        "enlace_audit_seal_age_seconds",
        "gauge",
        (),
        "Time since the audit was sealed last; it grows while nothing is written; +Inf where it never was.",
        lambda facts: _one(_age(facts, facts.figures.sealed_us, NEVER)) if facts.figures else (),
    ),
    Family(
        "enlace_subscriptions",
        "gauge",
        ("status",),
        "Subscriptions: `requested`, `active`, `error`, `off`, and `paused` ones apart.",
        lambda facts: _words(facts.figures.subscriptions) if facts.figures else (),
    ),
    Family(
        "enlace_oldest_undelivered_seconds",
        "gauge",
        (),
        "Age of the oldest event that has not arrived, of subscriptions that are requested or active; 0 where all did.",
        lambda facts: _one(_age(facts, facts.figures.undelivered_us)) if facts.figures else (),
    ),
    Family(
        "enlace_subscription_failure_share",
        "gauge",
        ("subscription",),
        "Share of failed attempts in the last ten minutes, of the 200 subscriptions that failed most.",
        _failures,
    ),
    Family(
        "enlace_partners",
        "gauge",
        ("state",),
        "Partners' servers over which referrals go: `active`, `paused`, `failing`.",
        lambda facts: _words(facts.figures.partners) if facts.figures else (),
    ),
    Family(
        "enlace_partner_referrals",
        "gauge",
        ("state",),
        "Referrals over partners' servers that wait (`to-send`, `to-fetch`) or need a person (`refused`, `failed`).",
        lambda facts: _words(facts.figures.partner_referrals) if facts.figures else (),
    ),
    Family(
        "enlace_notices",
        "gauge",
        ("channel", "state"),
        "Notices to people: `waiting` (for their hour, or for another try), `failed` (waits for a person); counted up "
        "to 100,000 a state.",
        _notices,
    ),
    Family(
        "enlace_oldest_unsent_notice_seconds",
        "gauge",
        (),
        "How long the oldest notice to a person has been failing, or waiting beyond its time; 0 where none is.",
        lambda facts: _one(_age(facts, facts.figures.unsent_us)) if facts.figures else (),
    ),
)
"""THE table. A metric that is added here is red until docs/metrics.md has it."""
