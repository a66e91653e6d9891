"""Takes versions out of the search index: a part of the commit, in its transaction."""

from array import array
from collections.abc import Generator

from service.store.steps import DeleteIn, DeletePairs, FetchIn, Rows, Step


def drop_index(vids: list[int]) -> Generator[Step, Rows, None]:
    """Takes the former versions out of the index, exactly: their keys were kept with them."""
    ordered = sorted(vids)
    pairs: list[tuple[int, int]] = []
    for vid, kept in (yield FetchIn("version", "vid, keys", "vid", ordered)):
        old = array("q")
        old.frombytes(kept or b"")
        pairs += [(key, vid) for key in old]
    if pairs:
        yield DeletePairs(sorted(pairs))
    for table in ("ix_date", "ix_str", "ix_num", "ref"):
        yield DeleteIn(table, "vid", ordered)
