"""Messages once more into the queue; those of a sender registered since take its name. Before it: feed_trial.py"""

from dataclasses import dataclass

from mappers.hl7v2.header import Unreadable, content_hash, peek
from service.store import inbox, sources
from service.store.change import Change, Claim, ClaimTaken, Job, Stale, Statement
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.inbox import Received
from service.store.sources import RegisteredSource

TRIES = 5
CHUNK = 500


@dataclass
class Replayed:
    """queued: will be processed again. repeated: the sender has sent them again under its name, so nothing is left.

    purged: what they held is deleted, so nothing can come of them.
    """

    queued: int = 0
    repeated: int = 0
    purged: int = 0


async def replay_messages(store: Store, rows: list[Received], *, vouched: bool = False) -> Replayed:
    """In order of arrival. Each chunk is decided again where a sender repeats one of its messages just now.

    vouched: a person named these very messages, so that those whose sender had proven nothing count for the source
    that they say they are of. By a filter they do not.
    """
    known = await sources.all_sources(store)
    kept = [row for row in sorted(rows, key=lambda row: row.id) if row.state != "purged"]
    done = Replayed(purged=len(rows) - len(kept))
    rows = kept
    for start in range(0, len(rows), CHUNK):
        for _ in range(TRIES):
            change, repeated = await _decide(store, rows[start : start + CHUNK], known, vouched)
            try:
                await store.commit(change)
                break
            except (ClaimTaken, Stale):
                continue
        else:
            raise Unavailable("The same messages keep arriving: run the replay again.")
        done.queued += len(change.jobs)
        done.repeated += repeated
    return done


async def _decide(
    store: Store, rows: list[Received], known: list[RegisteredSource], vouched: bool
) -> tuple[Change, int]:
    """(what to commit, how many came again under the sender's name)"""
    change, repeated = Change(), 0
    names = {source.name for source in known}
    for row in rows:
        source, digest = (
            (row.source, "") if row.source in names else await sender_now(store, row, known, vouched=vouched)
        )
        if source != row.source:
            claim = Claim(store.keys.of("inbox", source, row.control_id, digest), row.id)
            again = await inbox.repeated(store, source, row.control_id, bytes.fromhex(digest))
            if again or claim.key in {c.key for c in change.claims}:
                change.statements.append(_repeated(row, store.clock.now_us()))
                repeated += 1
                continue
            change.claims.append(claim)
            change.statements += inbox.renamed(
                row.id, source, store.keys.of("inbox", row.source, row.control_id, digest)
            )
        change.jobs.append(
            Job("adt.apply", {"inbox": row.id}, ordering_key=f"source:{source}", dedupe=f"replay:{row.id}")
        )
    return change, repeated


def _repeated(row: Received, now_us: int) -> Statement:
    return inbox.handled(row.id, "ignored", "repeated", patient="", stay="", now_us=now_us)


async def sender_now(
    store: Store, row: Received, known: list[RegisteredSource], *, vouched: bool = False
) -> tuple[str, str]:
    """(name of the source, content hash) by MSH-3 and MSH-4, as on arrival; the old name where it has none."""
    if row.source.startswith(sources.UNPROVEN) and not vouched:
        return row.source, ""
    message = await inbox.message(store, row.id)
    header = peek(message[0]) if message else None
    if message is None or header is None or isinstance(header, Unreadable):
        return row.source, ""
    by_sender = {(s.application, s.facility): s.name for s in known if s.active}
    application, facility = header.sender
    name = by_sender.get((application, facility)) or by_sender.get(("", facility)) or row.source
    return name, content_hash(message[0])
