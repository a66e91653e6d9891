"""Takes versions out of the search index: a part of the commit, in its transaction."""

from array import array
from collections.abc import Mapping, Sequence

from service.store.steps import DeleteIn, DeletePairs, Part


def index_removal(vids: Sequence[int], kept: Mapping[int, bytes | None]) -> list[Part]:
    """Takes the former versions out of the index, exactly. kept: the keys that were stored with them, by vid."""
    ordered = sorted(vids)
    pairs: list[tuple[int, int]] = []
    for vid in ordered:
        old = array("q")
        old.frombytes(kept.get(vid) or b"")
        pairs += [(key, vid) for key in old]
    tables = [DeleteIn(table, "vid", ordered) for table in ("ix_date", "ix_str", "ix_num", "ref")]
    return [DeletePairs(sorted(pairs)), *tables] if pairs else [*tables]
