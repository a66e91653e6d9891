"""Streets are compared by name, however a sender writes the rest of the line."""

import pytest

from service.workflow.person_names import plain
from service.workflow.street_names import street_name

STREETS = {
    "12 Alder St Apt 3": "alder",
    "12 N. ALDER STREET": "alder",
    "1500 K Street": "k",
    "1500 N St": "n",
    "1500 Avenue B": "b",
    "12B 42nd Ave #7": "42nd",
    "7 El Camino Real": "real",
    "9 de la Vina St": "vina",
    "12": "",
    "12 Apt 3": "",
    "12 St": "",
}


@pytest.mark.parametrize("line", STREETS)
def test_name_of_a_street(line: str) -> None:
    assert street_name(plain(line)) == STREETS[line]
