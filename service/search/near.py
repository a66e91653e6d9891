"""`near` of Location: places within a distance of a point. Source: https://hl7.org/fhir/R4/location.html#positional"""

from collections.abc import Sequence
from typing import Any

from service.search import numbers
from service.search.criteria import AnyOf, Clause, HasNear
from service.search.syntax import Refused, split, unescape

DEFAULT_KM = 25.0
"""Where no distance is asked for: about what a member in the Central Valley travels to a clinic."""

FARTHEST_KM = 20_038.0
"""Half the way round the earth."""

KM = {"km": 1.0, "m": 0.001, "mi": 1.609344, "mi_us": 1.609347, "[mi_i]": 1.609344, "[mi_us]": 1.609347}

_FORM = f"takes latitude|longitude|distance|units in degrees; units are {', '.join(KM)}"


def position(value: Any) -> tuple[float, float] | None:
    """Latitude and longitude of a Location.position, None if it is none on this earth."""
    found = numbers.decimal(value.get("latitude")), numbers.decimal(value.get("longitude"))
    if found[0] is None or found[1] is None or abs(found[0]) > 90 or abs(found[1]) > 180:
        return None
    return numbers.clamped(found[0]), numbers.clamped(found[1])


def clause(key: int, values: Sequence[str]) -> Clause:
    found = tuple(dict.fromkeys(_near(key, value) for value in values))
    return found[0] if len(found) == 1 else AnyOf(found)


def _near(key: int, value: str) -> HasNear:
    parts = [unescape(part) for part in split(value, "|")]
    if not 2 <= len(parts) <= 4:
        raise Refused(_FORM)
    distance, unit = [*parts[2:], "", ""][:2]
    latitude, longitude = (
        _degrees(part, limit, name) for part, limit, name in zip(parts, (90, 180), _NAMES, strict=False)
    )
    if unit and unit not in KM:
        raise Refused(_FORM)
    km = _number(distance) * KM[unit or "km"] if distance else DEFAULT_KM
    if not 0 < km <= FARTHEST_KM:
        raise Refused(f"takes a distance above 0 and up to {FARTHEST_KM:.0f} km")
    return HasNear(key, latitude, longitude, km)


_NAMES = ("latitude", "longitude")


def _degrees(text: str, limit: int, name: str) -> float:
    degrees = _number(text)
    if abs(degrees) > limit:
        raise Refused(f"takes a {name} from -{limit} to {limit}")
    return degrees


def _number(text: str) -> float:
    try:
        prefix, number, _ = numbers.prefix_and_number(text)
    except Refused:
        raise Refused(_FORM) from None
    if prefix != "eq":
        raise Refused(_FORM)
    return numbers.clamped(number)
