"""The ladder of retries: pure, so all of it is walked."""

import random

from service.notify import backoff
from service.notify.model import Outcome

SECOND, HOUR = 1_000_000, 3_600_000_000


def test_pauses_double_from_a_second_to_an_hour_and_are_drawn_from_zero() -> None:
    longest = [backoff.pause_us(n, lambda: 1.0) // SECOND for n in range(1, 15)]
    assert longest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
    assert backoff.pause_us(10**6, lambda: 1.0) == HOUR and backoff.pause_us(5, lambda: 0.0) == 0


def test_it_is_given_up_after_72_hours_and_not_before() -> None:
    for seed in range(20):
        draw, now, failures, since = random.Random(seed).random, 1_000, 0, 0
        while True:
            made = backoff.failed(failures, since, now, Outcome.FAILED, 0, draw)
            failures, since = made.failures, made.since_us
            assert made.over == (now - since >= 72 * HOUR) and made.due_us >= now
            if made.over:
                break
            now = max(made.due_us, now + 1)
        assert now - since == 72 * HOUR, "the last attempt is made when the time is over"
        assert 70 < failures < 300


def test_a_refusal_is_tried_three_times() -> None:
    over = [backoff.failed(n, 5, 10, Outcome.REFUSED, n + 1, lambda: 0.5).over for n in range(3)]
    assert over == [False, False, True]
    assert not backoff.failed(50, 5, 10, Outcome.REFUSED, 1, lambda: 0.5).over


def test_three_handshakes_fall_within_a_minute() -> None:
    for draw in (lambda: 0.0, lambda: 1.0):
        now, failures, since = 0, 0, 0
        for _ in range(2):
            made = backoff.handshake_failed(failures, since, now, draw)
            assert not made.over
            failures, since, now = made.failures, made.since_us, made.due_us
        assert now < 60 * SECOND and backoff.handshake_failed(failures, since, now, draw).over
