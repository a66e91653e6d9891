"""What a notice says: of one thing, or of all that quiet hours and digests collected. Numbers and a link only. Pure."""

from collections import Counter
from collections.abc import Iterable

from service.notify.notices import terms
from service.notify.texts import Said, said, spoken


def of_one(kind: str, language: str, link: str) -> Said:
    return said(f"notice.{kind}", language, count=1, link=link)


def of_many(kinds: Iterable[str], language: str, link: str, also: Said | None = None) -> Said:
    """One summary: how many of each kind, in the order of the table. also: who is in hospital now (in_hospital.py)."""
    counted = Counter(kinds)
    words = [f"{row.words[spoken(language)]}: {counted[kind]}" for kind, row in terms().items() if counted[kind]]
    whole = said("notice.digest", language, count=counted.total(), link=link)
    first, blank, rest = whole.text.partition("\n\n")
    lines = "\n".join([*words, *([f"\n{also.text}"] if also else [])])
    sms = f"{whole.sms} {', '.join(words)}" + (f". {also.sms}" if also else "")
    return Said(whole.subject, f"{first}\n\n{lines}{blank}{rest}", sms)
