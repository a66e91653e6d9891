"""What this process counts and times for Prometheus: plain numbers here, rendered at a scrape by api/metrics.py.

Plain dictionaries, because prometheus_client costs 0.1 s at start and 2 us an observation; the library renders
them when somebody asks. Labels are of closed sets (types, interactions, outcomes): never an id, a name or a text.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
OUTCOMES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
UNREGISTERED = "unregistered"
"""The source of all messages whose sender is not registered: what a stranger calls itself is no label."""


@dataclass
class Histogram:
    """Counts below each bound (the last: above all), and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass
class Counters:
    """All of one process."""

    requests: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(interaction, type, outcome) -> requests; outcome: 2xx 3xx 4xx 5xx"""
    latency: dict[str, Histogram] = field(default_factory=dict)
    """interaction -> seconds"""
    shed: dict[str, int] = field(default_factory=dict)
    """reason (in-flight, client-rate, client-share) -> requests turned away unread"""
    group_size: Histogram = field(default_factory=lambda: Histogram(SIZES))
    group_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    in_flight: int = 0
    websockets: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    """acknowledgement code (AA, AE, ...; none) -> HL7 v2 messages answered"""
    answer_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    received: dict[str, int] = field(default_factory=dict)
    """name of the registered source, or `unregistered` -> HL7 v2 messages stored"""
    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    """(kind, outcome: done retried dead) -> jobs"""
    job_latency: dict[str, Histogram] = field(default_factory=dict)
    """kind -> seconds of an attempt"""

    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    """(channel, outcome: ok failed refused) -> attempts at telling a subscriber"""
    delivered: int = 0
    """events that arrived"""


COUNTERS = Counters()
"""Of this process."""

GROUP_WATCHERS: list[Callable[[int, float], None]] = []
"""Who else is told of each durable group (tracing, where it is on)."""


def request_done(interaction: str, rtype: str, status: int, seconds: float) -> None:
    """One answered request. interaction: FHIR's code, none, page, token, hl7v2...; rtype: a served type or ""."""
    counters = COUNTERS
    key = (interaction, rtype, OUTCOMES[status // 100])
    counters.requests[key] = counters.requests.get(key, 0) + 1
    found = counters.latency.get(interaction)
    if found is None:
        found = counters.latency[interaction] = Histogram(SECONDS)
    found.observe(seconds)


def request_shed(reason: str) -> None:
    COUNTERS.shed[reason] = COUNTERS.shed.get(reason, 0) + 1


def group_committed(size: int, seconds: float) -> None:
    """One durable group of Changes. SQLite's writer thread calls it: one thread a process, so nothing is lost."""
    COUNTERS.group_size.observe(size)
    COUNTERS.group_seconds.observe(seconds)
    for told in GROUP_WATCHERS:
        told(size, seconds)


def message_answered(code: str) -> None:
    """One HL7 v2 message answered, over MLLP or HTTP; code: MSA-1, or `none` where no answer was due."""
    COUNTERS.answers[code] = COUNTERS.answers.get(code, 0) + 1


def message_took(seconds: float) -> None:
    """One HL7 v2 message: from its last byte to its answer, commit included."""
    COUNTERS.answer_seconds.observe(seconds)


def message_stored(source: str) -> None:
    """One HL7 v2 message committed to the inbox; source: the name of the registration, or UNREGISTERED."""
    COUNTERS.received[source] = COUNTERS.received.get(source, 0) + 1


def job_ended(kind: str, outcome: str, seconds: float) -> None:
    """One attempt at a job; outcome: done, retried, dead."""
    COUNTERS.jobs[kind, outcome] = COUNTERS.jobs.get((kind, outcome), 0) + 1
    found = COUNTERS.job_latency.get(kind)
    if found is None:
        found = COUNTERS.job_latency[kind] = Histogram(SECONDS)
    found.observe(seconds)


def delivery_attempted(channel: str, outcome: str) -> None:
    """One attempt at a notification; outcome: ok, failed, refused."""
    COUNTERS.attempts[channel, outcome] = COUNTERS.attempts.get((channel, outcome), 0) + 1


def events_delivered(count: int) -> None:
    COUNTERS.delivered += count
