"""Names as hospitals and plans write them, brought to one form for comparing; never stored, never shown.

Rules: facts/adt.md section 5 (Normalise). NFKD without marks: https://unicode.org/reports/tr15/
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

SUFFIXES = {"jr": "2", "junior": "2", "ii": "2", "sr": "1", "senior": "1", "iii": "3", "iv": "4"}
PARTICLES = frozenset({"de", "del", "la", "las", "los", "el", "da", "dos", "di", "van", "von", "der", "den", "al", "y"})
NICKNAMES = (
    {"jose", "pepe"}, {"francisco", "pancho", "paco"}, {"guadalupe", "lupe"}, {"jesus", "chuy"},
    {"ignacio", "nacho"}, {"rosario", "chayo"}, {"dolores", "lola"}, {"enrique", "quique", "kike"},
    {"roberto", "beto"}, {"william", "bill", "will", "billy"}, {"robert", "bob", "rob", "bobby"},
    {"richard", "rick", "dick", "ricky"}, {"james", "jim", "jimmy"}, {"michael", "mike"}, {"joseph", "joe", "joey"},
    {"thomas", "tom", "tommy"}, {"charles", "chuck", "charlie"}, {"edward", "ed", "eddie"}, {"daniel", "dan", "danny"},
    {"anthony", "tony"}, {"antonio", "tony", "tono"}, {"christopher", "chris"}, {"matthew", "matt"},
    {"elizabeth", "liz", "beth", "betty"}, {"margaret", "peggy", "maggie"}, {"katherine", "kathy", "kate", "katie"},
    {"patricia", "pat", "patty"}, {"jennifer", "jenny", "jen"}, {"deborah", "debbie", "deb"}, {"susan", "sue"},
)  # fmt: skip
COMPOUND = frozenset(
    {"maria", "ma", "mary", "marie", "ana", "rosa", "luz", "jose", "juan", "luis", "miguel", "carlos", "jesus",
     "mohammad", "mohammed", "mohamed", "muhammad", "mohamad", "abdul", "abdel", "abd"}
)  # fmt: skip
"""First names that siblings share: Maria Elena and Maria Luisa, Muhammad Ali and Muhammad Hassan."""
APOSTROPHES = re.compile("['`\u2018\u2019\u02bc]")
NEWBORN = re.compile(r"\b(baby|bb|bg|newborn|infant|nb)\s*(boy|girl|male|female)?\s*[ab12]?\b|\b(boy|girl)\s*[ab]?$")


@lru_cache(maxsize=16_384)
def plain(text: str) -> str:
    """Lower case, no accents, letters and digits; everything else is one space."""
    marked = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(c for c in marked if not unicodedata.combining(c))
    return re.sub(r"[^\w]+|_", " ", APOSTROPHES.sub("", bare)).strip()


@lru_cache(maxsize=16_384)
def family_keys(family: str) -> frozenset[str]:
    """The whole surname run together, and each part that can stand alone: GARCIA-LOPEZ, GARCIA LOPEZ, GARCIA.

    Particles go with the whole only; suffixes are no part of it. Empty where nothing is left.
    """
    words = [w for w in plain(family).split() if w not in SUFFIXES]
    alone = [w for w in words if w not in PARTICLES]
    whole = "".join(words)
    keys = {whole, "".join(alone)} | {w for w in alone if len(w) > 1}
    return frozenset(k for k in keys if k)


def same_family(one: str, other: str) -> bool:
    return bool(family_keys(one) & family_keys(other))


@lru_cache(maxsize=16_384)
def _scripts(text: str) -> frozenset[str]:
    """LATIN, CYRILLIC, CJK, HANGUL and so on, of its letters."""
    return frozenset(unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha())


def comparable(one: str, other: str) -> bool:
    """False where the names are written in different scripts: then they cannot differ, nor agree."""
    if one.isascii() and other.isascii():
        return True
    a, b = _scripts(one), _scripts(other)
    return not a or not b or bool(a & b)


def suffix_of(family: str, suffix: str) -> str:
    """ "1" for Sr, "2" for Jr or II, and so on; "" where none is written."""
    for word in (*plain(suffix).split(), *plain(family).split()[1:]):
        if word in SUFFIXES:
            return SUFFIXES[word]
    return ""


def same_given(one: Sequence[str], other: Sequence[str]) -> bool:
    """First names equal or a known short form; a second name or initial on both sides must not differ.

    Twins are named Jose Luis and Jose Maria: the second name is all that tells them apart.
    """
    a, b = [w for g in one for w in plain(g).split()], [w for g in other for w in plain(g).split()]
    if not a or not b or len(a[0]) < 2 or len(b[0]) < 2:
        return False
    if a[0] != b[0] and not any(a[0] in group and b[0] in group for group in NICKNAMES):
        return False
    if len(a) == 1 or len(b) == 1:
        return True
    if len(a[1]) == 1 or len(b[1]) == 1:
        return a[1][0] == b[1][0]
    return a[1] == b[1]


def half_given(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether first names agree (same_given) in a part only that brothers or sisters may share."""
    a, b = [w for g in one for w in plain(g).split()], [w for g in other for w in plain(g).split()]
    return (
        bool(a and b)
        and bool({a[0], b[0]} & COMPOUND)
        and not (len(a) > 1 and len(b) > 1 and len(a[1]) > 1 and len(b[1]) > 1)
    )


def newborn_name(given: Sequence[str]) -> bool:
    """BABY GIRL, BG, NEWBORN MALE: the mother's name, address and telephone come with it."""
    return bool(NEWBORN.search(plain(" ".join(given))))
