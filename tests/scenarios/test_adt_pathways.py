"""The simulator's pathways and the reducer check each other: every telling, with every fault, ends as its table says.

5 tellings of each pathway, 200 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run. Pathways that give a stay
another number or another person need the database: test_crash.py.
"""

import os
import random

import pytest

from mappers.hl7v2.simulate import MINUTE
from mappers.hl7v2.simulate_faults import FAULTS, faulty
from mappers.hl7v2.simulate_pathways import Expected, Pathway, Sent, pathways, tell
from mappers.hl7v2.source import SourceConfig
from service.workflow.message_reading import read
from service.workflow.stay_events import StoredEvent
from service.workflow.stay_milestones import milestones
from service.workflow.stays import StayState, reduce

COUNT = 200 if os.environ.get("ENLACE_TEST_DEEP") else 5
END = 1_772_568_000_000_000
ANN = {"cin": "91000001A", "mrn": "M1", "family": "Roe", "given": "Ann", "birth_date": "1980-05-17", "sex": "F"}
BEA = {**ANN, "cin": "91000002B", "mrn": "M2", "given": "Bea", "birth_date": "1971-01-02"}
VIA = {"application": "NET", "facility": "NETWORK"}
SHAPES: tuple[dict[str, object], ...] = (
    {}, {"enhanced": True, "npi": "1234567893"}, {"via": VIA}, {"cin_in": "bic", "oid": "1.2.3"},
    {"skew_us": -9 * MINUTE}, {"skew_us": 8 * MINUTE, "zone": "America/Denver"},
)  # fmt: skip
ONE_KEY = [name for name, row in pathways().items() if not any("was" in step for step in row["steps"])]
SEED = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)


def words(state: StayState) -> tuple[str, ...]:
    """What stands told, as Expected says it."""
    return tuple(sorted(f"discharge {m.detail}" if m.kind == "discharge" else m.kind for m in milestones(state)))


def told(
    path: Pathway, rng: random.Random, names: list[str]
) -> tuple[list[Sent], tuple[Expected, ...], dict[str, object]]:
    shape = rng.choice(SHAPES)
    hospitals = ({"name": "East", "facility": "EAST", **shape}, {"name": "West", "facility": "WEST", **shape})
    story = tell(path, rng, (ANN, BEA), hospitals, END, str(rng.randrange(10**6)))
    return [one.sent for one in faulty(rng, story.messages, names)], story.expected, shape


@pytest.mark.parametrize("name", ONE_KEY)
def test_the_reducer_agrees_with_the_pathway(name: str) -> None:
    print(f"repeat with ENLACE_TEST_SEED={SEED}")
    rng = random.Random(f"{SEED}-{name}")
    for _ in range(COUNT):
        names = [fault for fault in FAULTS if rng.random() < 0.6]
        sent, expected, shape = told(pathways()[name], rng, names)
        source = SourceConfig("sim", zone=str(shape.get("zone", "America/Los_Angeles")))
        stays: dict[tuple[str, str], list[StoredEvent]] = {}
        for number, one in enumerate(sent):
            for event in read(one.payload, source, END + 3600_000_000).events:
                if event.visit is not None:
                    key = (event.stay.visit_number, event.stay.visit_authority)
                    stays.setdefault(key, []).append(StoredEvent(event, str(number), END + 3600_000_000 + number))
        assert len(stays) == len(expected)
        for truth in expected:
            authority = str(shape.get("oid") or truth.hospital.upper())
            state = reduce(stays[truth.visit, authority])
            got = (state.status, state.disposition or "", state.start_us, state.end_us, words(state))
            assert got == (truth.status, truth.disposition, truth.start_us, truth.end_us, truth.alerts), (names, shape)
            assert truth.klass in ("", state.klass)
