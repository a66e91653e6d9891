"""A number of JSON or XML text with its own digits, within limits. https://hl7.org/fhir/R4/datatypes.html#decimal"""

from decimal import Decimal

MAX_NUMBER = 64
MAX_EXPONENT = 400


class BadNumber(ValueError):
    """The text is the rule that the number breaks, and its remedy."""


def number(text: str) -> int | Decimal:
    """An integer of up to 18 digits as int, every other number as Decimal with its digits. text: of JSON's form."""
    if len(text) > MAX_NUMBER:
        raise BadNumber(f"A number has more than {MAX_NUMBER} characters: shorten it.")
    digits = text.removeprefix("-")
    if digits.isdigit() and len(digits) <= 18 and text != "-0":
        return int(text)
    found = Decimal(text)
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int) or max(abs(exponent), abs(found.adjusted())) > MAX_EXPONENT:
        raise BadNumber(f"A number has an exponent beyond {MAX_EXPONENT}: no quantity needs it.")
    return found
