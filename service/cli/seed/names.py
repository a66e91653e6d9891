"""Names and streets of the made-up county: data alone; whoever bears such a name is not meant."""

GIVEN = {
    "female": (
        "Adela", "Brisa", "Carmen", "Dalia", "Esme", "Fern", "Gwen", "Hoa", "Ivy", "Jolene", "Kalia", "Lupe", "Mai",
        "Nadia", "Odessa", "Priya", "Renata", "Socorro", "Thuy", "Vera", "Wanda", "Ximena", "Yesenia", "Zora",
    ),
    "male": (
        "Abel", "Bao", "Cruz", "Dmitri", "Elias", "Fong", "Gabino", "Harjit", "Ismael", "Jesse", "Kou", "Leandro",
        "Marcus", "Nestor", "Omar", "Pavel", "Quentin", "Ramiro", "Silas", "Tou", "Ulises", "Vicente", "Walt", "Yuri",
    ),
}
FAMILY = (
    "Abernathy", "Bracamontes", "Cisneros", "Dhaliwal", "Estacio", "Fairweather", "Gallardo", "Her", "Ibanez",
    "Jaramillo", "Kinsella", "Lor", "Montelongo", "Nguyen", "Ochoa", "Pangilinan", "Quezada", "Rosales", "Sandoval",
    "Thao", "Urrutia", "Villasenor", "Whitcombe", "Xiong", "Yarbrough", "Zamudio", "Bellweather", "Corrigan",
    "Dorantes", "Espinel", "Fontaine", "Greenleaf", "Hollister", "Inclan", "Joaquin",
)
MIDDLE = ("", "", "A", "", "L", "", "M", "", "R")
STREETS = (
    "Packer Lane", "Old Ditch Road", "Quail Crossing", "Plum Orchard Way", "Tractor Row", "Canal Bank Street",
    "Windmill Court", "Raisin Alley", "Cottonwood Bend", "Heron Slough Road", "Almond Husk Lane", "Levee Top Drive",
)
AREA_CODES = ("209", "559", "661", "530", "916", "951", "760")
LANGUAGES = ("en", "en", "es", "en", "es", "en", "hmn", "en", "vi", "es", "en", "tl", "pa", "en")
