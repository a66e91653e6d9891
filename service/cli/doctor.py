"""`enlace doctor`: is this installation well? One line a check, with the next step; it writes nothing, never breaks."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import Json
from service.clock import Clock, SystemClock
from service.log_events import where
from service.settings import Settings, SettingsError, load, variable

if TYPE_CHECKING:  # reading the checks costs every other verb its start time
    from service.cli.doctor_site import Check, Finding, Site

LIMIT_S = 5.0
STATEMENT_MS = 4000


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also verify the whole audit chain.")] = False,
    as_json: Json = False,
) -> None:
    """Check the installation: settings, keys, disk, ports, database, clock, feeds, queue, backup.

    Example: enlace doctor --deep
    """
    findings = asyncio.run(examine(os.environ, SystemClock(), deep=deep))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for found in findings:
            step = f"  -> {found.next}" if found.next else ""
            typer.echo(f"{found.level:<4}  {found.name:<10}  {found.sentence}{step}")
    if any(found.level == "fail" for found in findings):
        raise typer.Exit(1)


async def examine(
    environ: Mapping[str, str], clock: Clock, *, deep: bool = False, checks: "tuple[Check, ...] | None" = None
) -> "list[Finding]":
    """Every check alone: one that fails, hangs or breaks leaves the others theirs."""
    from service.cli.doctor_checks import CHECKS

    findings: list[Finding] = []
    usable = True
    unseen: list[str] = []
    async with _site(environ, clock, deep) as site:
        for check in CHECKS if checks is None else checks:
            if check.needs == "deep" and not deep:
                continue
            if _impossible(check, site, usable):
                unseen.append(check.name)
                continue
            found = await _run(check, site)
            findings += found
            if check.name == "migrations":
                usable = all(finding.level != "fail" for finding in found)
        return findings + _unseen(unseen, site)


def _impossible(check: "Check", site: "Site", usable: bool) -> bool:
    """Whether what the check asks is not there."""
    return bool(check.needs and site.place is None) or (check.needs in ("schema", "deep") and not usable)


def _unseen(names: list[str], site: "Site") -> "list[Finding]":
    """One line for all that could not be looked at."""
    from service.cli.doctor_site import Finding

    if not names:
        return []
    lacking, step = ("the database", "database") if site.place is None else ("tables of this version", "migrations")
    return [Finding("warn", "the rest", f"Not looked at without {lacking}: {', '.join(names)}.", f"see {step}")]


async def _run(check: "Check", site: "Site") -> "list[Finding]":
    from service.cli.doctor_site import Finding

    limit = None if check.needs == "deep" else LIMIT_S
    try:
        return await asyncio.wait_for(check.run(site), limit)
    except TimeoutError:
        sentence = f"No answer within {LIMIT_S:g} s."
        return [
            Finding("fail", check.name, sentence, "the machine or the database is overloaded, or hangs: see its log")
        ]
    except Exception as error:  # the doctor must not fall ill itself; the text may hold what is nobody's business
        facts = where(error)
        sentence = f"The check itself broke ({facts['error']} at {facts['at']})."
        return [Finding("fail", check.name, sentence, "see the lines above; if they are well, report this sentence")]


@asynccontextmanager
async def _site(environ: Mapping[str, str], clock: Clock, deep: bool) -> "AsyncIterator[Site]":
    from service.cli.doctor_site import Site
    from service.store.backup_archive import BackupError
    from service.store.backup_places import open_place

    settings, problems = readable(environ)
    place, trouble = None, ""
    if any(problem.startswith(variable("database_url")) for problem in problems):
        trouble = "ENLACE_DATABASE_URL has a bad value: see settings."
    else:
        url = settings.database_url.get_secret_value()
        try:
            place = await asyncio.wait_for(open_place(url, statement_ms=0 if deep else STATEMENT_MS), LIMIT_S)
        except BackupError as error:
            trouble = str(error)
        except Exception as error:  # TimeoutError, and all that a broken server or file may do
            trouble = f"The database cannot be opened ({type(error).__name__}): check it and ENLACE_DATABASE_URL."
    try:
        yield Site(settings, problems, place, trouble, clock.now_us(), deep)
    finally:
        if place is not None:
            await place.close()


def readable(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings without those that are wrong, and what is wrong with these."""
    try:
        return load(environ), ()
    except SettingsError as error:
        problems = error.problems
    named = {problem.split(" ")[0] for problem in problems}
    try:
        return load({name: value for name, value in environ.items() if name not in named}), problems
    except SettingsError:
        return load({}), problems
