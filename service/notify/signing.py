"""Signatures of deliveries by Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks

webhook-signature = "v1," + base64(HMAC-SHA256(secret, id "." seconds "." body)), one for each secret that counts, with
a space between: so a receiver that has the old or the new secret finds one that fits.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

SECOND_US = 1_000_000


def signed(message_id: str, at_us: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The three headers. at_us: time of this attempt, so that a receiver may refuse old ones."""
    seconds = str(at_us // SECOND_US)
    content = f"{message_id}.{seconds}.".encode() + body
    made = [base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets]
    headers = {"webhook-id": message_id, "webhook-timestamp": seconds}
    return headers | ({"webhook-signature": " ".join(f"v1,{one}" for one in made)} if made else {})
