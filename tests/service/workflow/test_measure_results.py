"""Scores and percentiles are exact; small cells are hidden, and what they could be worked out from."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from service.workflow.measure_definitions import CALCULATIONS, named, shipped, strata
from service.workflow.measure_results import NOT_YET, Cell, Cells, durations, hundredths, percentile
from service.workflow.measure_small_cells import guarded
from service.workflow.measure_traits import SEVERAL, Traits, traits

RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"


@given(st.lists(st.integers(0, 40), min_size=1), st.integers(0, 5))
def test_percentiles_are_of_nearest_rank_over_all_parts(hours: list[int], not_yet: int):
    rows = [("", "", one, 1) for one in hours] + [("", "", None, not_yet)] * bool(not_yet)
    found = percentile(durations(rows), 50)["", ""]
    assert dict(found.counts) == {"initial-population": len(hours) + not_yet, "measure-population": len(hours)}
    assert found.score == hundredths(statistics.median_low(hours), 24)
    at_p90 = percentile(durations(rows), 90)["", ""].score
    assert sum(hundredths(one, 24) <= at_p90 for one in hours) * 10 >= 9 * len(hours)
    assert NOT_YET not in hours


def test_halves_go_up_and_nothing_is_divided_by_nothing():
    assert [hundredths(100 * 1, of) for of in (3, 8, 0)] == [3333, 1250, None]
    assert hundredths(1, 8) == 13
    assert percentile(durations([("", "", None, 3)]), 50)["", ""].score is None


def made(**counts: tuple[int, ...]) -> Cells:
    names = ("initial-population", "denominator", "numerator")
    return {
        ("", "") if name == "all" else ("need", name): Cell(tuple(zip(names, one, strict=False)))
        for name, one in counts.items()
    }


def shown(cells: Cells, limit: int = 11) -> dict[str, int]:
    return {value or "all": one.shown for (_, value), one in guarded(cells, limit).items()}


def test_a_small_count_is_hidden_and_so_is_what_gives_it_away():
    assert shown(made(all=(50,), a=(40,), b=(10,))) == {"all": 1, "a": 0, "b": 0}
    assert shown(made(all=(70,), a=(40,), b=(8,), c=(7,), d=(15,))) == {"all": 1, "a": 1, "b": 0, "c": 0, "d": 1}
    assert shown(made(all=(70,), a=(40,), b=(2,), c=(3,), d=(25,)))["d"] == 0, "b and c together are small as well"
    assert shown(made(all=(0,), a=(0,))) == {"all": 1, "a": 1}, "nobody is nobody's business"
    assert shown(made(all=(5,))) == {"all": 0}
    assert shown(made(all=(5,)), 0) == {"all": 1}


def test_what_is_left_of_a_count_is_a_count_too():
    assert shown(made(all=(100, 50, 45))) == {"all": 2}
    assert shown(made(all=(100, 95, 40))) == {"all": 1}
    assert shown(made(all=(100, 100, 40))) == {"all": 3}


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (sum(p), p[1])), min_size=1, max_size=7)
)
def test_of_a_stratifier_that_adds_up_no_small_number_can_be_worked_out(strata_: list[tuple[int, int]]):
    cells = made(**{f"s{n}": one for n, one in enumerate(strata_)})
    cells["", ""] = Cell(
        (("initial-population", sum(a for a, _ in strata_)), ("denominator", sum(b for _, b in strata_)))
    )
    found = guarded(cells, 11)
    for place in (0, 1):
        if found["", ""].shown <= place:
            continue
        hidden = [one.cell.counts[place][1] for at, one in found.items() if at[0] and one.shown <= place]
        left = sum(hidden)
        assert left == 0 or left >= 11
        assert len([count for count in hidden if count]) != 1 or not any(
            one.shown > place and one.cell.counts[place][1] for at, one in found.items() if at[0]
        )


def test_traits_of_a_patient():
    def said(*codes: str) -> dict[str, object]:
        parts = [{"url": "ombCategory", "valueCoding": {"code": code}} for code in codes]
        return {"url": RACE, "extension": [*parts, {"url": "text", "valueString": "said"}]}

    spoken = [
        {"language": {"coding": [{"code": "en-US"}]}},
        {"language": {"coding": [{"code": "es-MX"}]}, "preferred": True},
    ]
    assert traits({"extension": [said("2106-3")], "communication": spoken}) == Traits("2106-3", "", "es")
    assert traits({"extension": [said("2106-3", "2054-5")]}).race == SEVERAL
    assert traits({"extension": [said()], "communication": [{}]}) == Traits() == traits(None)


def test_each_measure_has_a_definition_that_says_what_it_counts():
    for name, measure in shipped().items():
        assert [group["code"]["text"] for group in measure["group"]] == list(CALCULATIONS[name].groups)
        assert len({tuple(s["code"]["text"] for s in group["stratifier"]) for group in measure["group"]}) == 1
        assert strata(measure) and len(measure["definition"]) > 4
        for written in (name, measure["url"], f"{measure['url']}|{measure['version']}", f"Measure/{name}"):
            assert named(written) is measure
    assert named(f"{measure['url']}|9") is None is named("")
