"""The check of `enlace doctor` on the service directory: how much of it somebody has verified lately."""

from service.cli.doctor_site import Finding, Site
from service.store import condition
from service.workflow.directory_stale import DAY_US, DAYS

MOST_STALE = 4
"""One in so many may be stale: some always are, and their organizations are asked. Beyond it nobody trusts the rest."""


async def directory(site: Site) -> list[Finding]:
    active, verified = await condition.directory(site.database, site.now_us - DAYS * DAY_US)
    stale = active - verified
    sentence = f"Services in the directory: {active:,}; not verified for {DAYS} days, or never: {stale:,}."
    if stale * MOST_STALE <= active:
        return [Finding("ok", "directory", sentence)]
    remedy = (
        "`enlace directory stale` lists them; their organizations have a Task for each, call those that do not answer"
    )
    return [Finding("warn", "directory", sentence, remedy)]
