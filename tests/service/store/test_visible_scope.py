"""What scopes leave, as SQL and as scoping.reached says it of the same rows."""

from dataclasses import replace

from service.access.scoping import reached
from service.search.criteria import HasEdge, HasKey
from service.search.index_rows import IndexRows
from service.search.restriction import EVERYTHING, Reach, Restriction, See
from service.store.change import Change, Statement
from service.store.columns import COLUMNS
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import visible
from service.store.visible_scope import scoped

LAB, OTHER, OWNED, AWAY = HasKey((11,), 0), HasKey((12,), 0), HasEdge((1,), (21,)), HasEdge((1,), (22,))
ALTERNATIVES: list[tuple[tuple[Reach, ...], bool]] = [
    ((), False),
    ((Reach(),), True),
    *(((Reach((one,)),), wanted) for one, wanted in ((LAB, True), (OTHER, False), (OWNED, True), (AWAY, False))),
    ((Reach((LAB, OWNED)),), True),
    *(((Reach(pair),), False) for pair in ((LAB, AWAY), (OTHER, OWNED), (OTHER, AWAY))),
    *(((Reach((), patient),), patient == 5) for patient in (5, 6)),
    *(((Reach((LAB,), patient),), patient == 5) for patient in (5, 6)),
    ((Reach((OTHER,), 5),), False),
    ((Reach((OTHER,)), Reach((LAB,))), True),
    ((Reach((LAB,)), Reach((OTHER,))), True),
    ((Reach((OTHER,)), Reach((AWAY,))), False),
    ((Reach((LAB,), 6), Reach((OTHER,), 5)), False),
    ((Reach((LAB, AWAY)), Reach((OTHER, OWNED))), False),
]


async def test_each_alternative_in_sql_is_what_reached_says(store: Store) -> None:
    values = {"resource": (1, "Observation", "a", 50, 1, 0, 5, 0, 7), "ref": (1, 21, 50), "ix": (11, 50)}
    for table, row in values.items():
        names = ", ".join(COLUMNS[table])
        insert = Statement(f"INSERT INTO {table} ({names}) VALUES ({marks(len(row))})", row)
        await store.commit(Change(statements=[insert]))
    seen = Restriction((7,), (7,), {"Observation": See.PANEL}, 1)
    for alternatives, wanted in ALTERNATIVES:
        assert reached(alternatives, IndexRows(keys=(11,), edges=((1, 21),)), 5) is wanted
        narrowed = {"Observation": alternatives, "Task": ()}
        for restriction in (replace(seen, narrowed=narrowed), replace(EVERYTHING, narrowed=narrowed)):
            for vid, there in (("", True), ("50", True), ("51", False)):
                condition, params = visible("r", "Observation", restriction, vid=vid)
                found = await store.fetch(f"SELECT 1 FROM resource r WHERE {condition}", params)
                asks = any(one.clauses for one in alternatives)
                assert bool(found) is (wanted and (there or not asks)), (alternatives, vid)
    assert scoped("r", "Observation", seen) == ("", [])


async def test_the_alias_asked_about_may_be_one_of_a_search(store: Store) -> None:
    """Its clauses have aliases of their own: x1 would be the table that it asks."""
    insert = Statement(f"INSERT INTO ix ({', '.join(COLUMNS['ix'])}) VALUES (11, 50)", ())
    await store.commit(Change(statements=[insert]))
    seen = replace(EVERYTHING, narrowed={"Observation": (Reach((LAB,)),), "Task": ()})
    condition, params = scoped("x1", "Observation", seen)
    assert not await store.fetch(f"SELECT 1 FROM (SELECT 51 AS vid) x1 WHERE {condition}", params)
    assert await store.fetch(f"SELECT 1 FROM (SELECT 50 AS vid) x1 WHERE {condition}", params)
    assert scoped("x1", "Task", seen) == ("1 = 0", [])
