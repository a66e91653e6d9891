"""Random values for resources, and random searches over them: every clause, nested, with every kind of sort."""

import random
from dataclasses import dataclass, replace

from service.search import strings
from service.search.criteria import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    Criteria,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasNear,
    HasNumber,
    HasString,
    Include,
    Linked,
    Not,
    Sort,
    Updated,
    Within,
)
from service.search.index_rows import IndexRows
from service.search.keys import Keys
from service.store.change import Write
from service.store.slots import updated_us
from tests.service.store.oracle import Memory

TYPES = ("Task", "ServiceRequest", "Patient", "EpisodeOfCare", "Group")
WORDS = ("Ana", "ana", "Añá", "Bérénice", "be", "na%e", "na_e", "Zoë Ana", "x" * 250 + "ana", "x" * 250 + "Ana")
INCLUDES = {
    "Task": [Include("Task", "focus"), Include("Task", "subject"), Include("Task", "owner", "Organization")],
    "ServiceRequest": [Include("Task", "focus", reverse=True), Include("ServiceRequest", "requester")],
    "Patient": [Include("Task", "subject", "Patient", reverse=True), Include("EpisodeOfCare", "patient", reverse=True)],
}
ITERATED = [
    Include("Task", "focus", iterate=True),
    Include("ServiceRequest", "subject", iterate=True),
    Include("EpisodeOfCare", "patient", reverse=True, iterate=True),
]


def decorated(keys: Keys, chance: random.Random, write: Write) -> Write:
    """More rows: several values of one parameter, ranges that start together, none at all."""

    def some(most: int = 3) -> range:
        return range(chance.choice((0, 1, 1, 2, most)))

    def value(name: str) -> int:
        return keys.values(write.rtype, name)

    index = write.index
    starts = [chance.randrange(8) * 1000 for _ in some()]
    amounts = [chance.choice((-1.5, 0.0, 2.0, 2.25, 1e9)) for _ in some()]
    places = [(chance.uniform(-90, 90), chance.choice((-179.9, 179.9, -121.0, 0.0))) for _ in some()]
    more = IndexRows(
        keys=(*index.keys, *{keys.token(write.rtype, "x-code", None, f"c{chance.randrange(4)}") for _ in some()}),
        dates=(*index.dates, *{(value("x-date"), lo, lo + chance.choice((1, 1000, 5000))) for lo in starts}),
        strings=(*index.strings, *{(value("x-name"), strings.stored(chance.choice(WORDS))) for _ in some()}),
        numbers=(
            *index.numbers,
            *{(value("x-number"), lo, lo + chance.choice((0, 0, 1))) for lo in amounts},
            *{(value("x-near"), latitude, longitude) for latitude, longitude in places},
        ),
        edges=index.edges,
    )
    return replace(write, index=more)


@dataclass
class Searches:
    """Makes searches whose values mostly occur."""

    memory: Memory
    chance: random.Random

    def __post_init__(self) -> None:
        self.of_type = {rtype: [w for w in self.memory.writes if w.rtype == rtype] for rtype in TYPES}

    @property
    def keys(self) -> Keys:
        return self.memory.store.keys

    def criteria(self) -> Criteria:
        rtype = self.chance.choice(TYPES)
        clauses = tuple(self.clause(rtype, 2) for _ in range(self.chance.choice((0, 1, 1, 2, 3))))
        sort = tuple(self.sort(rtype) for _ in range(self.chance.choice((1, 1, 2, 3))))
        includes = self.chance.sample(INCLUDES.get(rtype, []) + ITERATED, self.chance.choice((0, 0, 2)))
        return Criteria(rtype, clauses, sort, self.chance.choice((3, 7, 50)), includes=tuple(includes))

    def sort(self, rtype: str) -> Sort:
        def value(name: str) -> tuple[int, ...]:
            return (self.keys.values(rtype, name),)

        by, keys = self.chance.choice(
            [
                ("_lastUpdated", ()),
                ("_id", ()),
                ("date", value("x-date")),
                ("string", value("x-name")),
                ("number", value("x-number")),
                ("code", tuple(self.keys.token(rtype, "x-code", None, f"c{n}") for n in (2, 0, 1))),
                ("reference", tuple(self.chance.sample(self.params(rtype), 1))),
            ]
        )
        return Sort(by, self.chance.random() < 0.5, keys)

    def params(self, rtype: str) -> list[int]:
        return sorted({param for w in self.of_type[rtype] for param, _ in w.index.edges}) or [0]

    def clause(self, rtype: str, depth: int) -> Clause:
        kinds = [self.key, self.edge, self.date, self.number, self.near, self.string, self.ids, self.updated]
        kinds += [self.forward, self.backward, self.all_of, self.any_of, self.no] if depth else []
        return self.chance.choice(kinds)(rtype, depth)

    def one(self, rtype: str) -> Write:
        return self.chance.choice(self.of_type[rtype])

    def key(self, rtype: str, _depth: int) -> Clause:
        made = [self.keys.token(rtype, "x-code", None, f"c{self.chance.randrange(5)}") for _ in range(2)]
        kinds = self.chance.choice((made, made[:1], [self.chance.choice(self.one(rtype).index.keys)]))
        return HasKey(tuple(kinds), self.chance.randrange(9), self.chance.random() < 0.2)

    def edge(self, rtype: str, _depth: int) -> Clause:
        pairs = [pair for _ in range(3) for pair in self.one(rtype).index.edges[:2]] or [(0, 0)]
        few = self.chance.sample(pairs, 1) if self.chance.random() < 0.5 else pairs
        return HasEdge(*(tuple(dict.fromkeys(p)) for p in zip(*few, strict=True)), self.chance.random() < 0.2)

    def date(self, rtype: str, _depth: int) -> Clause:
        return HasDate(self.keys.values(rtype, "x-date"), tuple(self.bounds(Between, (0, 1000, 4000, 6001))))

    def number(self, rtype: str, _depth: int) -> Clause:
        return HasNumber(self.keys.values(rtype, "x-number"), tuple(self.bounds(Within, (-1.5, 0.0, 2.25, 3.0))))

    def bounds(self, kind: type, values: tuple[float, ...]) -> list:  # type: ignore[type-arg]
        made = []
        for _ in range(self.chance.choice((1, 1, 2))):
            names = self.chance.sample(("lo_ge", "lo_lt", "hi_le", "hi_gt"), self.chance.choice((1, 2)))
            bound = {name: self.chance.choice(values) for name in names}
            made.append(kind(**bound, negate=self.chance.random() < 0.2))
        return made

    def near(self, rtype: str, _depth: int) -> Clause:
        latitude, longitude = self.chance.uniform(-90, 90), self.chance.choice((180.0, -179.0, -121.5, 3.0))
        return HasNear(self.keys.values(rtype, "x-near"), latitude, longitude, self.chance.choice((10, 900, 9000)))

    def string(self, rtype: str, _depth: int) -> Clause:
        match = self.chance.choice(("prefix", "exact", "contains"))
        values = [self.chance.choice((*WORDS, "n", "a%", "xx", "ere")) for _ in range(self.chance.choice((1, 2)))]
        form = strings.stored if match == "exact" else strings.normalise
        return HasString(self.keys.values(rtype, "x-name"), tuple(map(form, values)), match)

    def ids(self, rtype: str, _depth: int) -> Clause:
        return HasId(tuple({self.one(rtype).fhir_id for _ in range(4)} | {"nobody"}))

    def updated(self, rtype: str, _depth: int) -> Clause:
        at = [updated_us(self.memory.vids[self.one(rtype).reference]) for _ in range(2)]
        spans = [(at[0], None), (None, at[0]), (min(at), max(at))]
        return Updated(tuple(self.chance.sample(spans, self.chance.choice((1, 1, 2)))))

    def forward(self, rtype: str, depth: int) -> Clause:
        reached = [
            (param, self.memory.by_key[target].rtype)
            for param, target in self.one(rtype).index.edges
            if target in self.memory.by_key
        ]
        param, other = self.chance.choice([pair for pair in reached if pair[1] in TYPES] or [(0, "Patient")])
        return Linked(
            (param,), other, tuple(self.clause(other, depth - 1) for _ in range(self.chance.choice((1, 1, 2))))
        )

    def backward(self, rtype: str, depth: int) -> Clause:
        key = self.keys.resource(self.one(rtype).reference)
        found = [(param, w.rtype) for w in self.memory.writes for param, target in w.index.edges if target == key]
        param, other = self.chance.choice([pair for pair in found if pair[1] in TYPES] or [(0, "Task")])
        return Linked((param,), other, (self.clause(other, depth - 1),), reverse=True)

    def all_of(self, rtype: str, depth: int) -> Clause:
        return AllOf(tuple(self.clause(rtype, depth - 1) for _ in range(self.chance.choice((0, 1, 2)))))

    def any_of(self, rtype: str, depth: int) -> Clause:
        return AnyOf(tuple(self.clause(rtype, depth - 1) for _ in range(self.chance.choice((0, 1, 2, 3)))))

    def no(self, rtype: str, depth: int) -> Clause:
        return Not(self.clause(rtype, depth - 1))
