"""THE table of what `enlace doctor` looks at, and the checks that ask the database."""

import shlex
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from fhir_profiles.sensitive_codes import listed
from service.auth.jwks import BadKeySet, check_registered_url, check_registration
from service.cli import doctor_delivery as delivery
from service.cli import doctor_machine as machine
from service.cli.doctor_directory import directory
from service.cli.doctor_partners import partners
from service.cli.doctor_site import Check, Finding, Level, Site, ago, parted
from service.cli.doctor_subscriptions import subscriptions
from service.search.definition import digest
from service.store import (
    backup_marker,
    break_glass,
    chain,
    condition,
    credentials,
    feed_hours,
    label_rules,
    reindex,
    sources,
)
from service.store import seals as audit_seals
from service.store.backup_places import revision
from service.store.database import Database
from service.store.engine import Store
from service.store.schema import SchemaError, check_schema, revisions
from service.workflow.feed_silence import LEAST_WEEKS
from service.workflow.hospital_events import SPARSE

MINUTE = 60_000_000
HOUR = 60 * MINUTE
OLDEST = {"sqlite": ((3, 35), (3, 40)), "postgresql": ((13, 0), (15, 0))}
"""engine -> (below it nothing works, below it nothing was tried)"""
USUAL = SPARSE - {"ambiguous"}
"""Reasons why a message is about no member: it says too little, or of somebody else. All others are for a person."""
LATE_WARN, LATE_FAIL = MINUTE, 15 * MINUTE
AHEAD_WARN, AHEAD_FAIL = 1_000_000, MINUTE
STATES = ("unregistered", "unreadable", "failed")
LOOK = 10_000
"""Unmatched messages whose reason is looked at, the newest: most patients of a hospital are nobody's member."""


async def database(site: Site) -> list[Finding]:
    if site.place is None:
        return [Finding("fail", "database", *parted(site.trouble))]
    server = await condition.server(site.place)
    engine = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[site.place.engine]
    shown = f"{engine} {server.version[0]}.{server.version[1]}"
    lowest, tried = OLDEST[site.place.engine]
    if server.version < tried:
        level: Level = "fail" if server.version < lowest else "warn"
        return [Finding(level, "database", f"{shown} is older than {tried[0]}.{tried[1]}.", f"upgrade {engine}")]
    files = _files(site)
    found = [Finding("ok", "database", f"{shown} answers{f' at {files[0]}' if files else ''}.")]
    readable = [str(path) for path in files if path.exists() and path.stat().st_mode & 0o077]
    if readable:
        sentence = f"Others on this machine may read the health data in {readable[0]}."
        found.append(Finding("warn", "database", sentence, f"chmod 600 {' '.join(map(shlex.quote, readable))}"))
    return found


def _files(site: Site) -> list[Path]:
    """Those of SQLite, the database first; none for a server."""
    scheme, _, path = site.settings.database_url.get_secret_value().partition(":///")
    return [Path(f"{path}{suffix}").absolute() for suffix in ("", "-wal", "-shm")] if scheme == "sqlite" else []


async def durability(site: Site) -> list[Finding]:
    """Whether a commit outlives a power cut."""
    server = await condition.server(site.database)
    if server.unsafe:
        names = ", ".join(server.unsafe)
        sentence = f"A power cut can lose what was acknowledged: {names} is off."
        return [Finding(site.grave, "durability", sentence, f"set {names} to on and reload the database server")]
    if server.weak:
        sentence = "full_page_writes is off: only a file system that never writes half a page makes that safe."
        return [Finding("warn", "durability", sentence, "set full_page_writes = on, unless the storage is ZFS")]
    return [Finding("ok", "durability", "A commit is on the disk before it is acknowledged.")]


async def migrations(site: Site) -> list[Finding]:
    try:
        await check_schema(cast(Database, site.database))
    except SchemaError as error:
        return [Finding("fail", "migrations", *parted(str(error)))]
    now, newest = await revision(site.database), revisions()[-1]
    if now != newest:
        sentence = f"The database is at revision {now}, this code at {newest}; both serve."
        return [Finding("warn", "migrations", sentence, "finish the upgrade: run the newest version everywhere")]
    return [Finding("ok", "migrations", f"The database is at revision {newest}, which this code needs.")]


async def index(site: Site) -> list[Finding]:
    if await reindex.is_current(site.database, digest()):
        return [Finding("ok", "index", "Every resource is in the search index of this version.")]
    sentence = "Resources that an older version wrote are not found by all searches of this one."
    return [Finding("fail", "index", sentence, "when all processes run this version: `enlace reindex`")]


async def labels(site: Site) -> list[Finding]:
    if await label_rules.is_applied(site.database, listed().digest):
        return [Finding("ok", "labels", "Every version bears the labels of the rules and code lists as they are.")]
    sentence = (
        "Label rules or code lists changed: what was stored before may be shown to more people than it should be."
    )
    return [Finding("fail", "labels", sentence, "`enlace labels apply`")]


async def emergencies(site: Site) -> list[Finding]:
    """Emergency accesses that nobody has reviewed within a day."""
    waiting = await break_glass.all_taken(cast(Store, site.database), waiting=True)
    late = [one for one in waiting if site.now_us - one.start_us > 24 * HOUR]
    remedy = "`enlace break-glass list`, then `enlace break-glass review`"
    if late:
        sentence = f"{len(late)} emergency accesses have waited for their review for more than a day."
        return [Finding("warn", "emergencies", sentence, remedy)]
    return [Finding("ok", "emergencies", f"{len(waiting)} emergency accesses wait for their review, none late.")]


async def space(site: Site) -> list[Finding]:
    size, limit = await condition.size_bytes(site.database), site.settings.database_limit_mb * machine.MB
    sentence = f"The database has {size // machine.MB} MB" + (f" of {limit // machine.MB} MB." if limit else ".")
    remedy = "make space, then raise ENLACE_DATABASE_LIMIT_MB"
    if limit and site.database.engine == "postgresql" and size >= 0.8 * limit:
        return [Finding("fail" if size >= limit else "warn", "space", sentence, remedy)]
    return [Finding("ok", "space", sentence)]


async def clock(site: Site) -> list[Finding]:
    """Ours against the database's, and against the latest instant that a version was given."""
    theirs = await condition.clock_us(site.database)
    apart = abs(theirs - site.now_us) if theirs is not None else 0
    if apart > AHEAD_WARN:
        sentence = f"This machine's clock and the database's are {ago(apart)} apart."
        return [Finding("fail" if apart > AHEAD_FAIL else "warn", "clock", sentence, "run NTP on both")]
    ahead = await condition.newest_us(site.database) - site.now_us
    if ahead > AHEAD_WARN:
        sentence = f"The newest version is {ago(ahead)} in the future: the clock was set back."
        remedy = "correct the clock; until then new versions carry times that run ahead"
        return [Finding("fail" if ahead > AHEAD_FAIL else "warn", "clock", sentence, remedy)]
    return [Finding("ok", "clock", "Clocks agree; nothing is dated in the future.")]


async def zones(site: Site) -> list[Finding]:
    """Time zone data for ours and those of the hospitals."""
    wanted = {site.settings.time_zone}
    if site.place is not None:
        registered = await sources.all_sources(cast(Store, site.place))
        wanted |= {str(source.config["zone"]) for source in registered if source.config.get("zone")}
    lost = [zone for zone in sorted(wanted) if not _known(zone)]
    if lost:
        remedy = "install tzdata, or correct the zone with `enlace adt source edit`"
        return [Finding("fail", "zones", f"There is no time zone data for {', '.join(lost)}.", remedy)]
    return [Finding("ok", "zones", f"Time zone data is there for {', '.join(sorted(wanted))}.")]


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except Exception:
        return False
    return True


async def clients(site: Site) -> list[Finding]:
    """Registered systems that can never get a token."""
    found: list[Finding] = []
    active = [client for client in await credentials.clients(site.database) if client.active]
    without = 0
    for client in active:
        if client.jwks is None and client.jwks_url is None:
            without += 1
            continue
        try:
            check_registration(client.jwks) if client.jwks is not None else check_registered_url(str(client.jwks_url))
        except BadKeySet as error:
            remedy = "`enlace client revoke`, then `enlace client add` with its present keys"
            found.append(Finding("warn", "clients", f"Client {client.id}: {error}", remedy))
    if without and not site.settings.sandbox:
        sentence = f"{without} active clients have no key set, so they can get no token."
        found.append(Finding("warn", "clients", sentence, "`enlace client list` shows them: register them anew"))
    only = f", {without} without one (sandbox tokens and logins only)" if without else ""
    fine = f"{len(active) - without} active clients with a key set that can be used{only}."
    return found or [Finding("ok", "clients", fine)]


async def feeds(site: Site) -> list[Finding]:
    """One line for each registered hospital that has not been heard, or of which something is told."""
    limit, store = site.settings.feed_silence_hours, cast(Store, site.database)
    found, heard = [], 0
    told = await feed_hours.watches(store)
    for source in await sources.all_sources(store):
        if not source.active:
            continue
        last = await condition.last_heard_us(site.database, source.name)
        alarms = [watch for watch in told if watch.source == source.name]
        remedy = f"ask the interface team of {source.organization}; `enlace adt inbox` shows what came"
        if last is None:
            found.append(Finding("warn", "feeds", f"{source.name} was never heard.", remedy))
        elif alarms:
            found += [Finding("warn", "feeds", f"{source.name}: {watch.detail}", remedy) for watch in alarms]
        elif site.now_us - last > limit * HOUR and not await _usual(store, source.name, site.now_us):
            silent = f"{source.name} has been silent for {ago(site.now_us - last)} (limit {limit} h)."
            found.append(Finding("warn", "feeds", silent, remedy))
        else:
            heard += 1
    return found or [Finding("ok", "feeds", f"{heard} registered feeds, none silent for longer than is usual.")]


async def _usual(store: Store, name: str, now_us: int) -> bool:
    """Whether enough is known of a feed that the worker tells when its silence is not usual."""
    since = await feed_hours.known_since(store, name)
    return since is not None and now_us - since > (LEAST_WEEKS + 1) * 7 * 24 * HOUR


async def queue(site: Site) -> list[Finding]:
    found = []
    jobs = await condition.queue(site.database, site.now_us)
    late = site.now_us - jobs.late_us if jobs.late_us is not None else 0
    if late > LATE_WARN:
        sentence = f"{jobs.due} jobs are due, the oldest for {ago(late)}."
        level: Level = "fail" if late > LATE_FAIL else "warn"
        found.append(Finding(level, "queue", sentence, "start `enlace worker`, or one more; see its log"))
    if jobs.dead:
        remedy = "`enlace jobs list`; when the cause is gone `enlace jobs retry`, or `enlace adt replay --state failed`"
        found.append(Finding("warn", "queue", f"{jobs.dead} jobs failed for good.", remedy))
    return found or [Finding("ok", "queue", f"{jobs.due} jobs are due, none late, none dead.")]


async def workers(site: Site) -> list[Finding]:
    count = await condition.processes(site.database, site.now_us)
    if not count:
        remedy = "start it: `enlace serve --all`, or serve, worker and adt-listener"
        return [Finding("warn", "workers", "No process of the service is running.", remedy)]
    jobs = await condition.queue(site.database, site.now_us)
    if jobs.late_us is not None and site.now_us - jobs.late_us > LATE_WARN:
        sentence = f"{count} processes run, but nobody does the work that is due."
        return [Finding("fail", "workers", sentence, "start `enlace worker`; see its log")]
    return [Finding("ok", "workers", f"{count} processes of the service are running.")]


async def messages(site: Site) -> list[Finding]:
    """What waits for a person in the inbox of ADT messages."""
    counts = await condition.inbox_counts(site.database, STATES)
    unmatched = await condition.unmatched(site.database, LOOK)
    usual = sum(count for reason, count in unmatched.items() if reason in USUAL)
    waiting = {state: count for state, count in counts.items() if count}
    waiting |= {f"unmatched ({reason})": count for reason, count in sorted(unmatched.items()) if reason not in USUAL}
    if not waiting:
        of_strangers = f" {usual} unmatched are of people who are not members here, as is usual." if usual else ""
        return [Finding("ok", "messages", f"No message waits for a person.{of_strangers}")]
    shown = ", ".join(f"{count} {what}" for what, count in waiting.items())
    remedy = f"`enlace adt inbox --state {next(iter(waiting)).split(' ')[0]}`; afterwards `enlace adt replay`"
    return [Finding("warn", "messages", f"Messages that need a person: {shown}.", remedy)]


async def backup(site: Site) -> list[Finding]:
    last, limit = await backup_marker.last_backup(site.database), site.settings.backup_age_hours
    remedy = "`enlace backup /backups/enlace-DATE.backup`, daily"
    if last is None:
        return [Finding("warn", "backup", "No backup was made.", remedy)]
    age = site.now_us - last.at_us
    sentence = f"The last backup is {ago(age)} old (limit {limit} h), {last.size // machine.MB} MB."
    return [
        Finding(site.grave if age > limit * HOUR else "ok", "backup", sentence, remedy if age > limit * HOUR else "")
    ]


async def seals(site: Site) -> list[Finding]:
    """The worker seals the audit within ten seconds, and puts the receipt into a file of the owner's."""
    told, found = site.settings.audit_receipts, list[Finding]()
    if told.exists() and told.stat().st_mode & 0o077:
        sentence = f"Others on this machine may read or change the audit's receipts in {told}."
        found.append(Finding("warn", "seals", sentence, f"chmod 600 {shlex.quote(str(told))}"))
    since = await audit_seals.unsealed_since_us(site.database)
    late = site.now_us - since if since is not None else 0
    if late > LATE_WARN:
        sentence = f"The audit has not been sealed for {ago(late)}."
        level: Level = site.grave if late > LATE_FAIL else "warn"
        found.append(Finding(level, "seals", sentence, "start `enlace worker`, which seals it; see its log"))
    count = await audit_seals.last_number(site.database)
    return found or [Finding("ok", "seals", f"The audit is sealed, {count} times so far.")]


async def audit(site: Site) -> list[Finding]:
    """Only with --deep: it reads the whole table."""
    found = await chain.verify(site.database)
    if found.broken:
        slot, seq = found.broken[0]
        sentence = f"The audit chain is broken at {len(found.broken)} places, first at slot {slot}, row {seq}."
        remedy = "somebody changed the audit table: keep the database as it is, compare with the last backup"
        return [Finding("fail", "audit", sentence, remedy)]
    return [Finding("ok", "audit", f"{found.rows} audit rows follow from each other.")]


CHECKS = (
    Check("settings", "", machine.settings),
    Check("keys", "", machine.keys),
    Check("outbound", "", machine.outbound),
    Check("mail", "", delivery.mail),
    Check("sms", "", delivery.sms),
    Check("certificate", "", delivery.certificate),
    Check("files", "", machine.files),
    Check("disk", "", machine.disk),
    Check("ports", "", machine.ports),
    Check("ntp", "", machine.ntp),
    Check("database", "", database),
    Check("durability", "database", durability),
    Check("space", "database", space),
    Check("migrations", "database", migrations),
    Check("index", "schema", index),
    Check("labels", "schema", labels),
    Check("emergencies", "schema", emergencies),
    Check("clock", "schema", clock),
    Check("zones", "schema", zones),
    Check("clients", "schema", clients),
    Check("feeds", "schema", feeds),
    Check("queue", "schema", queue),
    Check("workers", "schema", workers),
    Check("messages", "schema", messages),
    Check("subscriptions", "schema", subscriptions),
    Check("partners", "schema", partners),
    Check("directory", "schema", directory),
    Check("notices", "schema", delivery.notices),
    Check("backup", "schema", backup),
    Check("seals", "schema", seals),
    Check("audit", "deep", audit),
)
"""In the order in which a person looks: what all else rests on comes first."""
