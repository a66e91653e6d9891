"""Catalogue of log events (code, level, sentence, fields): `log` is the only way to log, and no PHI fits through it.

A field is a whole number, a bool or a short identifier, and only what the event's row names; so no body, name, query
string or exception text can reach a line (../shared/facts/security.md A26, G13).
"""

import logging
import re
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final

Value = int | bool | str | None

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
LEVELS: Final = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Identifier of the request, message or job in hand; stands on each of its lines."""

TRIAL: ContextVar[bool] = ContextVar("trial", default=False)
"""Set where something is decided only to see what it would do: nothing happened, so no line says that it did."""

CATALOGUE: Final[dict[str, "Event"]] = {}


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line. `fields` are all that a line may carry beside time, level, code, sentence and request id."""

    code: str
    level: int
    sentence: str
    fields: frozenset[str]
    head: str = field(init=False, repr=False, compare=False)
    """The part of its JSON line that is always the same."""

    def __post_init__(self) -> None:
        head = f'Z","level":"{LEVELS[self.level]}","event":"{self.code}","message":"{self.sentence}"'
        object.__setattr__(self, "head", head)


class LogRefused(Exception):
    """A field that the event does not name, or a value that is no number or identifier; raised in tests only."""


def _row(code: str, level: int, sentence: str, fields: str = "") -> Event:
    if code in CATALOGUE:
        raise ValueError(f"log event {code} stands twice in the catalogue")
    return CATALOGUE.setdefault(code, Event(code, level, sentence, frozenset(fields.split())))


RESERVED: Final = frozenset({"at_utc", "level", "event", "message", "request_id"})
"""Keys of every JSON line, so no event's fields."""

# ---- the catalogue: code, level, sentence, fields. `error` is the type of an exception, `at` the line that raised it.

STARTING = _row("service.starting", INFO, "A process of the service starts.", "process version env pid")
READY = _row("service.ready", INFO, "The process takes work.", "process host port ms")
STOPPING = _row("service.stopping", INFO, "The process finishes what it holds and stops.", "process signal")
STOPPED = _row("service.stopped", INFO, "The process stopped.", "process ms")
SETTING_IDLE = _row("service.setting-idle", WARNING, "A setting is set whose part is not built yet.", "setting")
INDEX_OLD = _row("store.index-old", WARNING, "Older resources are not found by all searches: run enlace reindex.", "")
START_REFUSED = _row("service.start-refused", ERROR, "The process cannot start.", "process error at")
LIBRARY = _row(
    "library.message", INFO, "A library logged a message; its text is left out.", "logger severity at error error_at"
)

REQUEST_DONE = _row("request.done", DEBUG, "A request was answered.", "method type status ms")
REQUEST_REFUSED = _row("request.refused", INFO, "A request was refused.", "method type status ms reason issues client")
REQUEST_FAILED = _row("request.failed", ERROR, "A request failed by our fault.", "method type status ms error at")
REFUSAL_UNRECORDED = _row(
    "request.refusal-unrecorded", ERROR, "A refusal could not be written to the audit.", "type error at"
)
TRIPWIRE = _row(
    "access.tripwire",
    ERROR,
    "ALARM: what a query found its caller may not see; nothing was shown.",
    "type role resources client",
)
REQUEST_SHED = _row("request.shed", WARNING, "A request was turned away under load.", "method type status in_flight")

TOKEN_ISSUED = _row("token.issued", INFO, "An access token was issued.", "client role ttl_s")
TOKEN_REFUSED = _row("token.refused", WARNING, "A token request was refused.", "client reason")
TOKEN_REVOKED = _row("token.revoked", INFO, "Access tokens were revoked.", "client count")
APP_AUTHORIZED = _row("app.authorized", INFO, "A person let an app in.", "client role")
APP_REFUSED = _row("app.refused", WARNING, "An app was not let in.", "client reason")
BREAK_GLASS = _row(
    "access.break-glass", WARNING, "Emergency access to a record was taken.", "client role minutes part2"
)
LABELS_APPLIED = _row("store.labels-applied", INFO, "Stored versions were labelled anew.", "count raised lowered ms")
LOGIN_DONE = _row("login.done", INFO, "A person signed in.", "role")
LOGIN_REFUSED = _row("login.refused", WARNING, "A sign-in was refused.", "reason")
IDENTITY_PROVIDER_FAILED = _row(
    "login.provider-failed", WARNING, "An identity provider could not be reached or used.", "provider reason"
)

ADT_CONNECTED = _row("adt.connected", DEBUG, "A sender connected over MLLP.", "connections")
ADT_DISCONNECTED = _row("adt.disconnected", DEBUG, "A sender's connection ended.", "connections reason messages")
ADT_STORED = _row(
    "adt.stored", INFO, "An HL7 v2 message was stored and acknowledged.", "inbox source facility trigger control_id ms"
)
ADT_REPEATED = _row(
    "adt.repeated", INFO, "A message came again; its stored ACK was repeated.", "inbox source control_id"
)
ADT_UNREADABLE = _row(
    "adt.unreadable", WARNING, "A message could not be read and is kept as it came.", "inbox source reason bytes"
)
ADT_UNREGISTERED = _row("adt.unregistered", WARNING, "A sending system is not registered.", "inbox source facility")
ADT_BATCH_COUNT = _row(
    "adt.batch-count", WARNING, "A batch holds another number of messages than it says; all were taken.", "told found"
)
ADT_GAP = _row("adt.gap", WARNING, "The sequence numbers of a source left some out.", "source missing")
FEED_RAISED = _row("feed.raised", WARNING, "A feed is silent, makes errors, or its messages wait.", "source kind")
FEED_OVER = _row("feed.over", INFO, "What was told of a feed is over.", "source kind")
ADT_UNMAPPED = _row("adt.unmapped", WARNING, "A code of a message has no mapping.", "inbox source segment field table")
ADT_MATCHED = _row("adt.matched", INFO, "A message was matched to a member.", "inbox trigger rule ms")
ADT_UNMATCHED = _row("adt.unmatched", INFO, "A message matches no member, or more than one.", "inbox trigger reason")
ADT_ALERTED = _row(
    "adt.alerted", INFO, "A transition was told to the lead care manager.", "inbox trigger transition ms"
)
ADT_RETRACTED = _row("adt.retracted", INFO, "An alert was retracted.", "inbox trigger transition")

ALERT_ESCALATED = _row(
    "alert.escalated", WARNING, "An alert that nobody acknowledged went on to the next.", "step recipients"
)
TIMER_BREACHED = _row("timer.breached", INFO, "A timer was not met in time.", "kind timer")

JOB_DONE = _row("job.done", DEBUG, "A job was done.", "job queue attempts ms")
JOB_FAILED = _row("job.failed", WARNING, "A job failed and will be tried again.", "job queue attempts retry_s error at")
JOB_DEAD = _row("job.dead", ERROR, "A job failed for good and waits for a person.", "job queue attempts error at")
DELIVERY_SENT = _row("delivery.sent", DEBUG, "A notification was delivered.", "subscription channel status ms")
DELIVERY_FAILED = _row(
    "delivery.failed", WARNING, "A notification could not be delivered.", "subscription channel status reason attempts"
)
NOTIFY_GIVEN_UP = _row(
    "notify.given-up", ERROR, "A subscription goes to error: its client starts it again.", "subscription reason last"
)
NOTIFY_TURN_LOST = _row(
    "notify.turn-lost", INFO, "Another worker took over a subscription, or it was deleted.", "subscription"
)
NOTIFY_TURN_FAILED = _row(
    "notify.turn-failed", ERROR, "Work on a subscription failed and will be tried again.", "subscription error at"
)
NOTIFY_FAILED = _row("notify.failed", ERROR, "A part of the notifier failed and goes on.", "part error at")
NOTIFY_CHANNEL_BROKEN = _row("notify.channel-broken", ERROR, "A channel failed by our fault.", "channel error at")
NOTICE_FAILED = _row(
    "notice.failed", WARNING, "A notice to a person could not be sent.", "channel kind reason attempts"
)
NOTICE_NO_WAY = _row(
    "notice.no-way", INFO, "No way leads to a person: see `enlace notices list`.", "channel kind reason"
)
NOTICE_BROKEN = _row("notice.broken", ERROR, "A notice was put off by a fault of ours.", "kind error at")
NOTIFY_UNREAD = _row(
    "notify.unread", ERROR, "A version cannot be read: it is left out of notification.", "type vid part error at"
)
NOTIFY_LOST = _row("notify.lost", ERROR, "The outbox names versions that the store does not have.", "versions vid")
NOTIFY_UNDECIDED = _row(
    "notify.undecided",
    ERROR,
    "An event could not be decided for an hour and was put aside: nobody is told of it.",
    "subscription vid error at",
)
NOTIFY_SUBSCRIPTION_UNREAD = _row(
    "notify.subscription-unread",
    ERROR,
    "A subscription cannot be read: it goes to error.",
    "subscription topic error at",
)
PARTNER_AWAY = _row(
    "partner.away", WARNING, "A partner's server cannot be used and will be tried again.", "partner reason tries"
)
PARTNER_BACK = _row("partner.back", INFO, "A partner's server answers again.", "partner")
PARTNER_TELLS = _row("partner.tells", INFO, "A partner's server was asked to tell of changes.", "partner")
PARTNER_UNTOLD = _row(
    "partner.untold",
    WARNING,
    "A partner's server tells of no changes: it is asked at its interval.",
    "partner reason tries",
)
PARTNER_FAILED = _row(
    "partner.failed", ERROR, "Work with a partner failed and will be tried again.", "partner error at"
)
WEBSOCKET_OPENED = _row("websocket.opened", DEBUG, "A websocket was opened.", "open")
WEBSOCKET_CLOSED = _row("websocket.closed", INFO, "A websocket ended.", "reason bound")
WEBSOCKET_FAILED = _row("websocket.failed", ERROR, "A websocket failed by our fault.", "error at")
EGRESS_REFUSED = _row("egress.refused", WARNING, "An outbound request was refused by the guard.", "reason purpose")

COMMIT_RETRIED = _row("commit.retried", INFO, "A commit lost a race and was decided again.", "attempts reason changes")
COMMIT_FAILED = _row("commit.failed", ERROR, "A group commit failed.", "changes error at")
STORE_AWAY = _row("store.away", WARNING, "The database cannot be reached; requests are answered 503.", "error at")
STORE_BACK = _row("store.back", INFO, "The database answers again.", "ms")
STORE_FULL = _row(
    "store.full", ERROR, "The store has no space left for writes: they are refused, reads go on.", "free_mb reserve_mb"
)
STORE_ROOM = _row("store.room", INFO, "The store has space again: writes are taken.", "free_mb reserve_mb")
STORE_SLOW = _row("store.slow", WARNING, "A statement took long.", "statement ms rows")
MIGRATED = _row("store.migrated", INFO, "The database schema was brought up to date.", "from_revision to_revision ms")
REINDEXED = _row("store.reindexed", INFO, "Resources were indexed anew.", "type count ms")
SEEDED = _row("store.seeded", INFO, "The synthetic county was written.", "members resources seed ms")
AUDIT_BROKEN = _row("audit.broken", ERROR, "The audit chain does not verify.", "slot seq")
AUDIT_SEAL_FAILED = _row("audit.seal-failed", ERROR, "The audit could not be sealed; it is tried again.", "error at")
AUDIT_RECEIPT_FAILED = _row(
    "audit.receipt-failed", ERROR, "The receipt of a seal could not be written to its file.", "number error at"
)

FILE_IMPORTED = _row(
    "file.imported", INFO, "A plan file was imported.", "file kind plan rows created updated unchanged rejected ms"
)
FILE_REFUSED = _row("file.refused", WARNING, "A plan file was refused.", "file kind plan reason row column")
FILE_EXPORTED = _row("file.exported", INFO, "A plan file was written.", "file kind plan rows ms")


# ---- writing a line

# No blanks, quotes or control characters; and never the shape of a CIN (8 digits, letter) or a social security number.
_IDENTIFIER = re.compile(r"(?!\d{8}[A-Za-z]\d?\Z)(?!\d{3}-\d{2}-\d{4}\Z)[A-Za-z0-9_.:/^$*-]{1,64}\Z").match


@dataclass(slots=True)
class _Output:
    """Where and how lines are written; strict: a refused field raises instead of becoming "?"."""

    level: int = INFO
    json: bool = True
    strict: bool = False
    stream: IO[str] | None = None


_output = _Output()


def configure(
    format: str = "json", level: str = "info", *, strict: bool = False, stream: IO[str] | None = None
) -> None:
    """Set shape (json, console), lowest level and stream (None: standard error, as it is when a line is written)."""
    names = {name: number for number, name in LEVELS.items()}
    _output.json, _output.level = format == "json", names[level]
    _output.strict, _output.stream = strict, stream


def log(event: Event, /, **fields: Value) -> None:
    """Write one line. A field that is None is left out."""
    if event.level < _output.level or TRIAL.get():
        return
    pairs = [(name, _text(event, name, value)) for name, value in fields.items() if value is not None]
    if request_id := REQUEST_ID.get():
        pairs.append(("request_id", f'"{request_id}"' if _IDENTIFIER(request_id) else '"?"'))
    line = _json_line(event, pairs) if _output.json else _console_line(event, pairs)
    stream = _output.stream or sys.stderr
    try:
        stream.write(line)
        stream.flush()
    except (OSError, ValueError):
        # A log that is full or closed must not stop the work.
        pass


def _text(event: Event, name: str, value: Value) -> str:
    """The value as JSON text; no escaping, since an identifier has no quote, backslash or control character."""
    if name in event.fields:
        if isinstance(value, str):
            if _IDENTIFIER(value):
                return f'"{value!s}"'
        elif isinstance(value, int):
            return str(int(value)) if type(value) is not bool else "true" if value else "false"
    if _output.strict:
        known = "is not a whole number, bool or short identifier" if name in event.fields else "is no field of it"
        raise LogRefused(f"log event {event.code}: {name} {known}")
    return '"?"'


def _json_line(event: Event, pairs: list[tuple[str, str]]) -> str:
    tail = "".join([f',"{name}":{text}' for name, text in pairs])
    return f'{{"at_utc":"{_now()}{event.head}{tail}}}\n'


def _console_line(event: Event, pairs: list[tuple[str, str]]) -> str:
    tail = "".join(f" {name}={text.strip(chr(34))}" for name, text in pairs)
    return f"{_now()[11:23]} {LEVELS[event.level]:<7} {event.code:<20} {event.sentence}{tail}\n"


def _now() -> str:
    # Wall time on purpose: a line tells when it was written, also where the service's clock is frozen or moved.
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def where(error: BaseException) -> dict[str, str]:
    """Fields `error` and `at` of an exception: its type and the innermost line, never its text (which may hold PHI)."""
    return {"error": type(error).__name__, "at": _innermost(error.__traceback__)}


def _innermost(trace: TracebackType | None) -> str:
    if trace is None:
        return "unknown"
    while trace.tb_next:
        trace = trace.tb_next
    path = Path(trace.tb_frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{trace.tb_lineno}"[-64:]


class _Library(logging.Handler):
    """Turns what uvicorn, asyncio and other libraries log into LIBRARY lines: who, how grave, where; never the text."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Value] = {
            "logger": identifier(record.name),
            "severity": identifier(record.levelname.lower()),
            "at": identifier(f"{record.module}:{record.lineno}"),
        }
        if error is not None:
            fields["error"] = identifier(type(error).__name__)
            fields["error_at"] = identifier(_innermost(error.__traceback__))
        log(LIBRARY, **fields)


def identifier(text: str) -> str:
    """The text where a line may show it, `other` where not; labels of metrics and attributes of traces obey it too."""
    return text if _IDENTIFIER(text) else "other"


def route_libraries() -> None:
    """Send the loggers of all libraries through the catalogue; call it before uvicorn starts (log_config=None)."""
    root = logging.getLogger()
    root.handlers = [_Library()]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)
