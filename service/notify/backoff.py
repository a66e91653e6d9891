"""When a failed delivery is tried again, and when it is given up: pure.

Each pause is drawn from zero to a bound that doubles from a second to an hour ("full jitter": receivers that come back
are not met by all at once); after 72 hours without one success the subscription goes to error.
../shared/facts/security.md 6.2
"""

from collections.abc import Callable
from dataclasses import dataclass

from service.notify.model import Outcome

SECOND_US = 1_000_000
FIRST_S, LONGEST_S = 1, 3600
GIVEN_UP_US = 72 * 3600 * SECOND_US
REFUSED_IN_A_ROW = 3
"""So often is one tried that says that trying is of no use: a name that does not resolve today may tomorrow."""
HANDSHAKES_S = ((2.0, 8.0), (10.0, 30.0))
"""From and to, in seconds, before the second and third handshake: all within a minute."""

Draw = Callable[[], float]
"""A number from 0 up to 1: random.random."""


@dataclass(frozen=True)
class Failing:
    """How the subscription stands after a failure. over: it is given up."""

    failures: int
    since_us: int
    due_us: int
    over: bool


def pause_us(failures: int, draw: Draw) -> int:
    """After so many failures in a row (1: the first)."""
    bound_s = min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 20))
    return int(draw() * bound_s * SECOND_US)


def failed(failures: int, since_us: int, now_us: int, outcome: Outcome, refused: int, draw: Draw) -> Failing:
    """failures, since_us: before this failure, 0 where there was none. refused: how many refusals in a row, with it."""
    since_us = since_us or now_us
    over = now_us - since_us >= GIVEN_UP_US or (outcome is Outcome.REFUSED and refused >= REFUSED_IN_A_ROW)
    # The last attempt is made when the 72 hours are over, not an hour after.
    due_us = min(now_us + pause_us(failures + 1, draw), max(since_us + GIVEN_UP_US, now_us))
    return Failing(failures + 1, since_us, due_us, over)


def handshake_failed(failures: int, since_us: int, now_us: int, draw: Draw) -> Failing:
    """Three tries within a minute."""
    since_us = since_us or now_us
    if failures >= len(HANDSHAKES_S):
        return Failing(failures + 1, since_us, now_us, over=True)
    low, high = HANDSHAKES_S[failures]
    return Failing(failures + 1, since_us, now_us + int((low + draw() * (high - low)) * SECOND_US), over=False)
