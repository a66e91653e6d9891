"""The check of `enlace doctor` on partners' servers: which cannot be used, and which referrals need a person."""

from service.cli.doctor_site import Finding, Level, Site, ago
from service.store import condition

LATE_FAIL_US = 4 * 3_600_000_000


async def partners(site: Site) -> list[Finding]:
    failing, waiting = await condition.partners(site.database)
    found = []
    for name, since_us, why in failing:
        late = site.now_us - since_us
        level: Level = "fail" if late > LATE_FAIL_US else "warn"
        sentence = f"The server of partner {name} cannot be used for {ago(late)} ({why}): its referrals wait."
        found.append(Finding(level, "partners", sentence, f"`enlace partners test {name}`, then call the partner"))
    if waiting:
        sentence = f"Referrals over a partner's server that need a person: {waiting}."
        remedy = (
            "`enlace partners list`, `enlace partners show NAME`; when the cause is gone `enlace partners retry NAME`"
        )
        found.append(Finding("warn", "partners", sentence, remedy))
    return found or [Finding("ok", "partners", "No partner's server is failing.")]
