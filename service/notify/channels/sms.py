"""SMS by one HTTPS gateway, in a shape that a few lines turn into any provider's own (docs/operator.md).

POST ENLACE_SMS_URL, Authorization: Bearer ENLACE_SMS_TOKEN, Idempotency-Key: the message's id, and the JSON
{"to": "+15551234567", "text": "...", "reference": id, "language": "en"}. 2xx: taken, with {"id": "..."} as the receipt
if it says one. 400, 404, 410, 422: the number cannot be reached, ever. All else is tried again.
"""

import re

import orjson

from service.egress import Answer, Egress, EgressFailed, EgressRefused
from service.notify.channels import answers
from service.notify.model import Message, Outcome, Result

MOST_CHARACTERS = 480
_TEL = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_PUNCTUATION = re.compile(r"[-. ()]")
_NEVER = frozenset({400, 404, 410, 422})
_OURS = frozenset({401, 403})
TIMEOUT_S = 10.0


def telephone(address: str) -> str:
    """tel:+1-555-123-4567 as +15551234567 (RFC 3966, E.164); "" where it is no such number."""
    text = _PUNCTUATION.sub("", address.removeprefix("tel:"))
    return text if _TEL.match(text) else ""


class Sms:
    def __init__(self, egress: Egress, url: str, token: str):
        self._egress = egress
        self._url = url
        self._token = token

    def __repr__(self) -> str:
        return "Sms()"

    async def send(self, message: Message) -> Result:
        to = telephone(message.to)
        text = message.text.strip()
        if not to or not text or len(text) > MOST_CHARACTERS:
            return Result(Outcome.REFUSED, reason="message-form" if to else "address-form")
        body = {"to": to, "text": text, "reference": message.id, "language": message.language}
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Idempotency-Key": message.id}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = await self._egress.request(
                "POST", self._url, content=orjson.dumps(body), headers=headers, timeout_s=TIMEOUT_S
            )
        except EgressRefused as error:  # of the gateway's address, not of the person's: an operator can mend it
            return Result(Outcome.FAILED, reason=error.reason)
        except EgressFailed as error:
            return Result(Outcome.FAILED, reason=error.reason)
        return _judged(answer)


def _judged(answer: Answer) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Result(Outcome.OK, status, receipt=_receipt(answer.body))
    if status in _NEVER:
        return Result(Outcome.REFUSED, status, "not-taken")
    if status in _OURS:
        return Result(Outcome.FAILED, status, "credentials")
    return Result(Outcome.FAILED, status, answers.failure(status))


def _receipt(body: bytes) -> str:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return answers.receipt(str(answer.get("id", ""))) if isinstance(answer, dict) else ""
