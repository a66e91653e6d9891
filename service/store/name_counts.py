"""SQL of how common a name or an address is on the roster: counts that stop early, since "very" needs no number."""

from service.store.engine import Store

MOST = 2_000


async def members(store: Store) -> int:
    rows = await store.fetch("SELECT count(*) FROM ix i WHERE i.key = ?", (store.keys.marker("Patient"),), heavy=True)
    return int(rows[0][0])


async def with_name(store: Store, param: str, word: str) -> int:
    """Members of whom a name (param family or given) begins with the word, in the form of the index; at most MOST."""
    rows = await store.fetch(
        "SELECT count(*) FROM (SELECT 1 FROM ix_str WHERE key = ? AND val >= ? AND val < ? LIMIT ?) AS counted",
        (store.keys.values("Patient", param), word, word + "!", MOST),
    )
    return int(rows[0][0])
