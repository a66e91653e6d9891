"""What has ended and tells nobody anything any more goes: else tokens, codes, claims and sign-ins would fill the store.

Each is kept as long as its reuse has to be noticed; T20 and B4, B7 of ../shared/facts/security.md 1.
"""

from service.store import authorizations, credentials, deliveries, identities, notices, reply_links
from service.store.change import Statement

DAY_US = 86_400_000_000
CODES_US = DAY_US
REFRESH_US = 7 * DAY_US
TOKENS_US = DAY_US


def forget_ended(now_us: int) -> list[Statement]:
    """For the worker, from time to time. A claim that has ended is anybody's anyhow."""
    return [
        Statement("DELETE FROM claim WHERE expires_us <= ?", (now_us,)),
        credentials.forget_expired_tokens(now_us - TOKENS_US),
        authorizations.forget_codes(now_us - CODES_US),
        authorizations.forget_refresh(now_us - REFRESH_US),
        identities.forget_attempts(now_us),
        *deliveries.forget(now_us - deliveries.KEPT_US, now_us),
        notices.forget(now_us - notices.KEPT_US),
        *reply_links.forget(now_us),
    ]
