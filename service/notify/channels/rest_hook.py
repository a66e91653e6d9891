"""rest-hook: POST of the notification Bundle by the guarded client, signed.
https://hl7.org/fhir/R4/subscription.html#2.46.7.1
"""

from service.egress import Answer, Egress, EgressFailed, EgressRefused
from service.notify.bundles import as_payload
from service.notify.channel_headers import parsed
from service.notify.channels import answers
from service.notify.model import Message, Outcome, Result
from service.notify.signing import signed

SHORTEST_S, LONGEST_S = 1.0, 30.0
_RECEIPTS = ("x-request-id", "x-correlation-id")
GONE = 410


class RestHook:
    """egress: made by table.egress_of. What the receiver answers beside its status is read and dropped."""

    def __init__(self, egress: Egress):
        self._egress = egress

    async def send(self, message: Message) -> Result:
        try:
            body = as_payload(message.body or b"", message.mime)
            headers = parsed(message.headers) | {"Content-Type": message.mime}
        except ValueError:
            return Result(Outcome.REFUSED, reason="message-form")
        headers |= signed(message.id, message.at_us, body, message.secrets)
        timeout_s = min(max(message.timeout_s, SHORTEST_S), LONGEST_S)
        try:
            answer = await self._egress.request(
                "POST", message.to, content=body, headers=headers, timeout_s=timeout_s, keep_body=False
            )
        except EgressRefused as error:
            return Result(Outcome.REFUSED, reason=error.reason)
        except EgressFailed as error:
            return Result(Outcome.FAILED, reason=error.reason)
        return judged(answer)


def judged(answer: Answer) -> Result:
    """2xx arrived; 410: the receiver is gone for good; all else may be better later. Redirects are not followed."""
    status = answer.status
    if 200 <= status < 300:
        return Result(Outcome.OK, status, receipt=receipt_of(answer))
    if status == GONE:
        return Result(Outcome.REFUSED, status, "gone")
    return Result(Outcome.FAILED, status, answers.failure(status))


def receipt_of(answer: Answer) -> str:
    return next((given for name in _RECEIPTS if (given := answers.receipt(answer.headers.get(name, "")))), "")
