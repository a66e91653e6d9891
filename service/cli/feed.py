"""The synthetic ADT feed over the members and hospitals that the database holds, paced, over a real MLLP connection.

Who is in a hospital is read again and again while it plays: a member is in one place at a time, whoever sends.
"""

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from fhir_profiles import Resource
from mappers.hl7v2.simulate_feed import OpenStay, feed
from service.access.context import parse
from service.cli.mllp_client import Connection
from service.search.dates import parse as instant
from service.store import roster, sources
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.sandbox_messages import member_facts

MEMBERS = 2000
POSITIVE = frozenset({"AA", "CA"})
LOOK_S = 1.0
"""So often is read who is in a hospital."""
_OURS = re.compile(r"V\d+-\d+")
_CLASSES = {"EMER": "E", "AMB": "O"}
"""Encounter.class -> PV1-2; all others are inpatients."""


class County:
    """Whom and where the messages are about. hospitals: (reference, facts for a message).

    away: CINs of members who are in a hospital or a nursing facility.
    """

    def __init__(self, people: Sequence[Resource], hospitals: Sequence[tuple[str, dict[str, Any]]]):
        facts = {f"Patient/{person['id']}": member_facts(person) for person in people}
        self.members = {reference: found for reference, found in facts.items() if found}
        self.hospitals = hospitals
        self.away: set[str] = set()

    async def look(self, store: Store) -> list[Resource]:
        """Reads who is away; the Encounters of the members among them."""
        stays: list[Resource] = [parse(body) for body in await roster.open_stays(store)]
        ours = [stay for stay in stays if _about(stay) in self.members]
        self.away.clear()
        self.away.update(str(self.members[_about(stay)]["cin"]) for stay in ours)
        return ours

    def unended(self, stays: Sequence[Resource]) -> list[OpenStay]:
        """Those that an earlier feed left open when it was stopped."""
        found = []
        for stay in stays:
            numbers = (str(i.get("value") or "") for i in stay.get("identifier") or ())
            visit = next((number for number in numbers if _OURS.fullmatch(number)), "")
            place = (stay.get("serviceProvider") or {}).get("reference")
            hospital = next((facts for reference, facts in self.hospitals if reference == place), None)
            start = (stay.get("period") or {}).get("start")
            if visit and hospital and start:
                kind = _CLASSES.get(str(stay["class"].get("code")), "I")
                found.append(OpenStay(self.members[_about(stay)], hospital, visit, kind, instant(start)[0]))
        return found


def _about(stay: Resource) -> str:
    return str((stay.get("subject") or {}).get("reference"))


def _hospitals(source: RegisteredSource) -> list[tuple[str, dict[str, Any]]]:
    """The hospital that sends, or each of those for which a network does."""
    config, sender = source.config, {"application": source.application, "facility": source.facility}
    facts = {"zone": config.get("zone", "America/Los_Angeles"), "enhanced": config.get("ack_mode") == "enhanced"}
    behind: dict[str, dict[str, Any]] = config.get("facilities") or {}
    if not behind:
        return [(source.organization, {"name": config.get("display") or source.name, **sender, **facts})]
    found = []
    for key, row in behind.items():
        known = {"npi": key} if key.isdigit() else {}
        place = {"name": row.get("display") or key, "facility": key, "via": sender, **known, **facts}
        found.append((str(row["organization"]), place | ({"zone": row["zone"]} if row.get("zone") else {})))
    return found


async def county(store: Store) -> County:
    """Raises OSError, a sentence, where there is nobody to play with."""
    people = [parse(body) for body in await roster.patients(store, MEMBERS)]
    hospitals = [place for s in await sources.all_sources(store) if s.active for place in _hospitals(s)]
    found = County(people, hospitals)
    if not found.members or not hospitals:
        raise OSError(0, "There are no members or no sending systems: run `enlace seed` first")
    return found


async def messages(
    store: Store, around: County, seed: int, gap_us: int, *, resume: bool = False
) -> Iterator[tuple[int, bytes]]:
    """An endless feed of the stored members at the registered hospitals, from now on. resume: see play_feed."""
    stays = await around.look(store)
    unended = around.unended(stays) if resume else []
    start, members, hospitals = store.clock.now_us(), list(around.members.values()), [h for _, h in around.hospitals]
    number = seed ^ (start // 1_000_000)
    return feed(number, members, hospitals, start, gap_us=gap_us, away=around.away, unended=unended)


async def play_feed(
    store: Store, where: tuple[str, int], *, rate: float, seconds: float, seed: int, resume: bool = False
) -> tuple[int, int]:
    """Sends at `rate` messages a second for `seconds`; (sent, accepted). No time in a message is in the future.

    resume: stays that an earlier feed left open are ended. Only where no other feed plays: they may be its own.
    """
    around = await county(store)
    stream = await messages(store, around, seed, int(1_000_000 / rate), resume=resume)
    jitter = random.Random(seed)
    sent = accepted = 0
    loop = asyncio.get_running_loop()
    started = looked = loop.time()
    async with Connection(*where) as connection:
        while loop.time() - started < seconds:
            if loop.time() - looked > LOOK_S:
                await around.look(store)
                looked = loop.time()
            _, message = next(stream)
            sent += 1
            accepted += await connection.send(message) in POSITIVE
            due = started + (sent + jitter.uniform(0.0, 0.04)) / rate  # never early: its times would be in the future
            await asyncio.sleep(max(0.0, due - loop.time()))
    return sent, accepted
