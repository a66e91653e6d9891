"""The four members whose stories are told, as data: Sonja, Felix, Susan and Albert. All invented.

Stories: facts/california.md C.8, 1 to 4. The key is the member's number; it gives the lead care manager (people.py).
"""

from dataclasses import dataclass

from service.cli.seed.directory import PLANS, Party


@dataclass(frozen=True)
class StoryPerson:
    """born: month and day; town: place in TOWNS; started: days since ECM began; pofs: populations of focus."""

    given: str
    middle: str
    family: str
    gender: str
    age: int
    born: tuple[int, int]
    street: str
    town: int
    pofs: tuple[str, ...]
    started: int
    plan: Party
    homeless: bool = False
    language: str = "en"


SONJA, FELIX, SUSAN, ALBERT = range(4)

STORY_PEOPLE = {
    # 62, alone in a ground-floor studio; Valley Oak, Maria Lopez.
    SONJA: StoryPerson(
        *("Sonja", "Ruth", "Marwick", "female", 62, (1, 14), "18 Alder Court, Unit 3", 0),
        pofs=("5",),
        started=184,
        plan=PLANS[0],
    ),
    # 72, with his wife Teresa, months in a nursing facility after a stroke; River Bend, Pa Nhia Vang.
    FELIX: StoryPerson(
        *("Felix", "Anselm", "Amador", "male", 72, (5, 9), "205 Plum Orchard Way, Apt 12", 1),
        pofs=("6",),
        started=145,
        plan=PLANS[1],
    ),
    # 41, between shelters and friends' sofas; Sunrise Street Medicine, Tess Okoro, who met her on the street.
    SUSAN: StoryPerson(
        *("Susan", "June", "Tolliver", "female", 41, (8, 27), "", 2),
        pofs=("1a", "3a"),
        started=162,
        plan=PLANS[0],
        homeless=True,
    ),
    # 58, in a rented room without a refrigerator; Valley Oak, Devon Ashby.
    ALBERT: StoryPerson(
        *("Albert", "Moses", "Kessling", "male", 58, (11, 2), "77 Raisin Alley, Room 4", 0),
        pofs=("2a",),
        started=104,
        plan=PLANS[1],
    ),
}
