"""JSON out with every digit of a decimal as it came in: https://hl7.org/fhir/R4/datatypes.html#decimal"""

from decimal import Decimal

import orjson

from fhir_profiles import Resource


def decimal_text(number: Decimal) -> str:
    """A decimal in JSON by its own digits: 1.50 stays 1.50, and 0.00000010 does not become 1.0E-7.

    Raises ValueError for NaN and infinities, which JSON cannot say.
    """
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("JSON has no NaN or infinity.")
    return f"{number:f}" if exponent <= 0 and number.adjusted() > -40 else str(number)


def _default(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(decimal_text(value))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def write_json(value: Resource | list[Resource] | object) -> bytes:
    """A JSON value as compact UTF-8 bytes; TypeError for what is no JSON value."""
    return orjson.dumps(value, default=_default)
