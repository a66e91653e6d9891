"""Prefixes of date searches: eq ne gt ge lt le sa eb ap -> bounds on stored ranges.

Source: https://hl7.org/fhir/R4/search.html#prefix
"""

from datetime import tzinfo

from service.search import dates
from service.search.criteria import Between
from service.search.syntax import Refused

PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")


def prefix_and_range(value: str, zone: tzinfo) -> tuple[str, dates.Range]:
    """A "+" of a zone that reached us as a space is taken as the "+" it was."""
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    if prefix not in PREFIXES:
        raise Refused(f"takes one of the prefixes {' '.join(PREFIXES)} before a date")
    try:
        return prefix, dates.parse(text.replace(" ", "+"), zone)
    except ValueError:
        forms = "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with zone"
        raise Refused(f"takes dates that exist, as {forms}") from None


def between(prefix: str, span: dates.Range, now_us: int) -> list[Between]:
    """Bounds on a stored range [lo, hi) for a search range [start, end): any of them fits.

    ge and le take what reaches into the value too, as HAPI does: by the letter a plan that ends on the day is not on or
    after it. ap widens the range by a tenth of its distance from now: https://hl7.org/fhir/R4/search.html#prefix
    """
    start, end = span
    match prefix:
        case "eq":
            return [Between(lo_ge=start, hi_le=end)]
        case "ne":
            return [Between(lo_ge=start, hi_le=end, negate=True)]
        case "gt":
            return [Between(hi_gt=end)]
        case "lt":
            return [Between(lo_lt=start)]
        case "ge":
            return [Between(hi_gt=start)]
        case "le":
            return [Between(lo_lt=end)]
        case "sa":
            return [Between(lo_ge=end)]
        case "eb":
            return [Between(hi_le=start)]
    start, end = approximate(span, now_us)
    return [Between(lo_lt=end, hi_gt=start)]


def approximate(span: dates.Range, now_us: int) -> dates.Range:
    slack = abs(now_us - span[0]) // 10
    return span[0] - slack, span[1] + slack
