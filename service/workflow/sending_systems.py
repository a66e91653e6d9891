"""A registered sending system as the mappers want it, and which of them a message comes from."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from mappers.hl7v2.source import FacilityConfig, SourceConfig
from service.store.engine import Store
from service.store.sources import RegisteredSource, all_sources, named


def config_of(source: RegisteredSource) -> SourceConfig:
    """What must be known of a sender that its messages do not say: zone, charset, facility, codes, ACK mode."""
    c = source.config
    return SourceConfig(
        name=source.name,
        facility=source.organization,
        facility_display=c.get("display", ""),
        zone=c.get("zone", "America/Los_Angeles"),
        charset=c.get("charset", ""),
        class_map=c.get("class_map", {}) | _by_capitals(c.get("class_map", {})),
        ack_mode=c.get("ack_mode"),
        reply_always=c.get("reply_always", True),
        cin_authorities=tuple(c.get("cin_authorities", ())),
        processing_ids=tuple(c.get("processing_ids", ("P",))),
        disposition_map=_by_capitals(c.get("disposition_map", {})),
        authorities=_by_capitals(c.get("authorities", {})),
        facilities={
            key.strip().upper(): FacilityConfig(one["organization"], one.get("display", ""), one.get("zone", ""))
            for key, one in c.get("facilities", {}).items()
        },
        certificates=tuple(one if one.startswith("client:") else one.lower() for one in c.get("certificates", ())),
        hours=c.get("hours", {}),
    )


def _by_capitals(told: Mapping[str, str]) -> dict[str, str]:
    """Senders write the same word in capitals and not."""
    return {key.strip().upper(): value for key, value in told.items()}


async def source_of(store: Store, name: str) -> SourceConfig | None:
    found = await named(store, name)
    return config_of(found) if found else None


SOURCES_S = 2.0

Peer = frozenset[str]
"""What the other end has proven: names of its certificate (adt_listener/tls.py), or of its client (`client_peer`)."""


def client_peer(client_id: str, organization: str) -> Peer:
    """Who sends over HTTP, where a token says so."""
    return frozenset({f"client:{client_id}", f"organization:{organization}"})


def may_speak(source: SourceConfig, peer: Peer | None) -> bool:
    """Whether this end may send as that source. None: the operator, who may.

    Nobody has proven anything on a plain line: it is good for the sources that ask for no certificate. Who has proven
    who they are speaks for the sources that list them, and for those of their own organization. One of several
    hospitals behind a source (a network's) does not speak for the others: it would write into their stays.
    """
    if peer is None:
        return True
    if not peer:
        return not source.certificates
    places = {one.reference for one in source.facilities.values()} - {""}
    owner = source.facility or (next(iter(places)) if len(places) == 1 else "")
    return not peer.isdisjoint({*source.certificates, *([f"organization:{owner}"] if owner else [])})


@dataclass
class Senders:
    """The registered senders of a store; the list is read again after two seconds."""

    store: Store
    known: dict[tuple[str, str], SourceConfig] = field(default_factory=dict)
    read_at: float = -1e9

    async def notifying(self, sender: tuple[str, str], peer: Peer | None) -> tuple[SourceConfig | None, bool]:
        """As `speaking`, of a notification over FHIR: its header names an endpoint that is the sender's own affair, so
        the one source for which its client may speak is its source, too."""
        found, unproven = await self.speaking(sender, peer)
        own = [one for one in self.known.values() if peer and may_speak(one, peer)]
        return (own[0], False) if found is None and len(own) == 1 else (found, unproven)

    async def speaking(self, sender: tuple[str, str], peer: Peer | None) -> tuple[SourceConfig | None, bool]:
        """(the source of a message with this MSH-3/MSH-4, whether it says to be one that its end may not speak for).

        A certificate that one source alone lists makes the message that source's: an HIE has many MSH-4.
        """
        if time.monotonic() - self.read_at > SOURCES_S:
            found = await all_sources(self.store)
            self.known = {(s.application, s.facility): config_of(s) for s in found if s.active}
            self.read_at = time.monotonic()
        claimed = self.known.get(sender) or self.known.get(("", sender[1]))
        if claimed and may_speak(claimed, peer):
            return claimed, False
        own = [one for one in self.known.values() if peer and not peer.isdisjoint(one.certificates)]
        return (own[0], False) if len(own) == 1 else (None, claimed is not None)
