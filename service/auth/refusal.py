"""Why the authorization server says no: the error of https://www.rfc-editor.org/rfc/rfc6749#section-5.2, our reason.

`reason` is a short code for the audit row and the log; the caller sees only `error` and a fixed sentence, so that an
unknown client, a wrong key and a replay look alike.
"""

_SENTENCES = {
    "invalid_client": "Client authentication failed.",
    "invalid_request": "The request is malformed.",
    "invalid_scope": "None of the requested scopes can be granted to this client.",
    "unsupported_grant_type": "This grant type is not supported: see grant_types_supported of the SMART configuration.",
    "invalid_token": "A valid access token is needed.",
    "slow_down": "Too many requests; try again after Retry-After.",
}


class OAuthRefused(Exception):
    """One refusal: HTTP status, OAuth error code, internal reason. `retry_after_s` for 429 only."""

    def __init__(self, status: int, error: str, reason: str, *, sentence: str = "", retry_after_s: int = 0):
        self.status = status
        self.error = error
        self.reason = reason
        self.sentence = sentence or _SENTENCES[error]
        self.retry_after_s = retry_after_s
        super().__init__(reason)

    def body(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.sentence}


class ClientRefused(OAuthRefused):
    """401 invalid_client, whatever the reason was."""

    def __init__(self, reason: str):
        super().__init__(401, "invalid_client", reason)


def bad_request(reason: str, sentence: str) -> OAuthRefused:
    return OAuthRefused(400, "invalid_request", reason, sentence=sentence)
