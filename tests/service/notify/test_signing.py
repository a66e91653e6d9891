"""Signatures as Standard Webhooks makes them; test_rest_hook.py checks what a receiver gets."""

import base64

from service.notify.signing import signed


def test_the_known_example() -> None:
    """Id, time, payload and secret of the tests of Standard Webhooks' own libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_999_999, b'{"test": 2432232314}', [secret])
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_one_signature_for_each_secret_and_none_without() -> None:
    both = signed("m", 1_000_000, b"x", [b"new", b"old"])["webhook-signature"].split(" ")
    assert both == [signed("m", 1_000_000, b"x", [secret])["webhook-signature"] for secret in (b"new", b"old")]
    assert "webhook-signature" not in signed("m", 1_000_000, b"x", [])
