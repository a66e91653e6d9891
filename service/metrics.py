"""What this process counts and times for Prometheus: plain numbers here, rendered at a scrape by api/health.py.

Plain dictionaries, because prometheus_client costs 0.1 s at start and its locks 2 us an observation; the library renders
them when somebody asks. Labels are of closed sets (types, interactions, outcomes): never an id, a name or a text.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


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
    messages: dict[str, int] = field(default_factory=dict)
    """acknowledgement code (AA, AE, ...) -> HL7 v2 messages answered"""
    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    """(kind, outcome: done retried dead) -> jobs"""


COUNTERS = Counters()
"""Of this process."""


def request_done(interaction: str, rtype: str, status: int, seconds: float) -> None:
    """One answered request. interaction: FHIR's code or `page`, `token`, `hl7v2`; rtype: a served type or ""."""
    key = (interaction, rtype, f"{status // 100}xx")
    COUNTERS.requests[key] = COUNTERS.requests.get(key, 0) + 1
    found = COUNTERS.latency.get(interaction)
    if found is None:
        found = COUNTERS.latency[interaction] = Histogram(SECONDS)
    found.observe(seconds)


def request_shed(reason: str) -> None:
    COUNTERS.shed[reason] = COUNTERS.shed.get(reason, 0) + 1


def group_committed(size: int, seconds: float) -> None:
    """One durable group of Changes."""
    COUNTERS.group_size.observe(size)
    COUNTERS.group_seconds.observe(seconds)


def message_answered(code: str) -> None:
    COUNTERS.messages[code] = COUNTERS.messages.get(code, 0) + 1


def job_ended(kind: str, outcome: str) -> None:
    COUNTERS.jobs[kind, outcome] = COUNTERS.jobs.get((kind, outcome), 0) + 1
