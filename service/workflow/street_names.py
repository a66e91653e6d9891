"""The name of a street out of a line of an address: 12 N. Alder St Apt 3 and 12 ALDER STREET are both of Alder.

The same number in the same ZIP stands in many streets; how a street is written differs from sender to sender, its name
rarely. Words: USPS Publication 28, appendices B and C (https://pe.usps.com/text/pub28/welcome.htm).
"""

import re

from service.workflow.person_names import PARTICLES

KINDS = frozenset(
    "st street ave av avenue blvd boulevard rd road dr drive ln lane ct court cir circle way pl place ter terrace "
    "pkwy parkway hwy highway sq square trl trail aly alley plz plaza loop row walk run pass path calle "
    "avenida camino".split()
)
DIRECTIONS = frozenset("n s e w ne nw se sw north south east west".split())
UNIT = re.compile(r"\b(apt|apartment|unit|ste|suite|spc|space|room|rm|fl|floor|lot|bldg|building|trlr)\b.*")
NUMBER = re.compile(r"\d+[a-z]?")


def street_name(text: str) -> str:
    """text: a line in comparing form (person_names.plain), which begins with the number. "" where it names none."""
    words = [w for w in UNIT.sub("", text).split()[1:] if not NUMBER.fullmatch(w)]
    for left_out in (KINDS | DIRECTIONS | PARTICLES, KINDS):
        if named := [w for w in words if w not in left_out]:
            # K Street, N Street and Calle Real are streets as well.
            return named[0]
    return ""
