"""SQL of places: the current Organizations and Locations, for their addresses."""

from service.store.engine import Store

MOST = 20_000


async def with_addresses(store: Store) -> list[bytes]:
    """Bodies of those that have an address, at most MOST of each type."""
    found: list[bytes] = []
    for rtype in ("Organization", "Location"):
        rows = await store.fetch(
            "SELECT v.body FROM ix i JOIN version v ON v.vid = i.vid WHERE i.key = ? LIMIT ?",
            (store.keys.present(rtype, "address"), MOST),
        )
        found += [bytes(row[0]) for row in rows]
    return found
