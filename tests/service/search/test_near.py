"""near: places by their distance, in each unit, across the 180th meridian; what is no place; what is refused."""

import pytest

from service.search.criteria import AnyOf, HasNear
from service.search.index_rows import IndexRows
from service.search.near import DEFAULT_KM, clause, position
from service.search.syntax import Refused
from tests.service.search.memory import holds

STOCKTON, LODI = (37.9577, -121.29078), (38.1302, -121.2724)  # 19.3 km apart


def found(value: str, place: tuple[float, float]) -> bool:
    return holds(clause(1, [value]), IndexRows(numbers=((1, *place),)), "l1", 0)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", True),
        ("|20", True),
        ("|19|km", False),
        ("|20|km", True),
        ("|11.9|mi", False),
        ("|12.5|[mi_us]", True),
        ("|12.5|mi_us", True),
        ("|19000|m", False),
        ("|20000|m", True),
    ],
)
def test_distances(rest: str, expected: bool):
    assert found("37.9577|-121.29078" + rest, LODI) is expected


def test_without_a_distance():
    assert clause(7, ["38|-121"]) == HasNear(7, 38.0, -121.0, DEFAULT_KM)
    assert not found("34.05|-118.24", LODI)


def test_over_the_180th_meridian():
    assert found("0|179.99|5|km", (0.0, -179.99))


def test_several_points():
    both = clause(1, ["34|-118", "38.13|-121.27"])
    assert isinstance(both, AnyOf) and len(both.clauses) == 2


@pytest.mark.parametrize(
    "value",
    [
        "38",
        "38|",
        "|",
        "38|-121|x",
        "38|-121|5|furlong",
        "91|0",
        "0|181",
        "38|-121|0",
        "38|-121|-3",
        "38|-121|99999",
        "38|-121|5|km|x",
        "gt38|-121",
        "38|-121|gt5",
        "north|west",
        "38|-121||km|",
    ],
)
def test_what_is_refused(value: str):
    with pytest.raises(Refused):
        clause(1, [value])


@pytest.mark.parametrize(
    "value", [{}, {"latitude": 3}, {"latitude": 91, "longitude": 0}, {"latitude": 0, "longitude": -181}]
)
def test_what_is_no_place_on_earth(value: dict):
    assert position(value) is None
