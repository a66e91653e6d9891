"""The check of `enlace doctor` on subscribers: which hear nothing, and since when one waits for its events."""

from service.cli.doctor_site import Finding, Level, Site, ago
from service.store import condition

LATE_WARN, LATE_FAIL = 15 * 60_000_000, 4 * 3_600_000_000


async def subscriptions(site: Site) -> list[Finding]:
    seen = await condition.subscriptions(site.database)
    found = []
    if seen.error:
        sentence = f"Subscriptions in error, to which nothing is sent: {seen.error}."
        remedy = "`enlace subscriptions list --status error`; tell whose they are: each client starts its own again"
        found.append(Finding("warn", "subscriptions", sentence, remedy))
    late = site.now_us - seen.late_us if seen.late_us is not None else 0
    if late > LATE_WARN:
        level: Level = "fail" if late > LATE_FAIL else "warn"
        sentence = f"The oldest event that did not arrive at its subscriber waits for {ago(late)}."
        remedy = "`enlace subscriptions list` shows which are failing; is none, see the log of `enlace worker`"
        found.append(Finding(level, "subscriptions", sentence, remedy))
    return found or [Finding("ok", "subscriptions", f"Active: {seen.active}; none in error, nothing late.")]
