"""A registered sending system as the mappers want it."""

from mappers.hl7v2.source import SourceConfig
from service.store.engine import Store
from service.store.sources import RegisteredSource, all_sources


def config_of(source: RegisteredSource) -> SourceConfig:
    """What must be known of a sender that its messages do not say: zone, charset, facility, codes, ACK mode."""
    c = source.config
    return SourceConfig(
        name=source.name,
        facility=source.organization,
        facility_display=c.get("display", ""),
        zone=c.get("zone", "America/Los_Angeles"),
        charset=c.get("charset", ""),
        class_map=c.get("class_map", {}),
        ack_mode=c.get("ack_mode"),
        reply_always=c.get("reply_always", True),
        cin_authorities=tuple(c.get("cin_authorities", ())),
        processing_ids=tuple(c.get("processing_ids", ("P",))),
    )


async def source_of(store: Store, name: str) -> SourceConfig | None:
    return next((config_of(s) for s in await all_sources(store) if s.name == name), None)
