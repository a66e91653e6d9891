"""What `enlace partners` says of how a partner's server tells us of changes."""

from typing import TYPE_CHECKING

from service.clock import instant

if TYPE_CHECKING:
    from service.store.partner_notices import Notices
    from service.store.partners import Partner


def of_notices(one: "Partner", told: "Notices | None") -> dict[str, str]:
    """What is known of our Subscription there; it is asked at its interval in any case."""
    return {
        "wanted": one.notices,
        "status": told.status if told else "",
        "since": instant(told.since_us) if told and told.since_us else "",
        "last": instant(one.told_us) if one.told_us else "",
        "error": told.error if told else "",
        "next_check": instant(told.due_us) if told and told.due_us else "",
    }


def sentence(one: "Partner", told: "Notices | None") -> str:
    asked = f"It is asked every {one.every_s // 60} minutes."
    facts = of_notices(one, told)
    if told is None:
        why = "as you said" if one.notices == "poll" else "since nothing was sent to it yet"
        return f"Notices: none, {why}. {asked}" if one.direction != "pull" else ""
    words = {
        "active": f"it tells us of changes since {facts['since']}",
        "requested": "asked for, not active there yet",
        "making": "just being asked for",
        "lost": "it told us of changes, and does no more",
    }
    parts = [words.get(told.status, "it tells us of no changes")]
    parts += [f"last one {facts['last']}"] if facts["last"] else []
    parts += [f"last error {told.error}, looked after again from {facts['next_check']}"] if told.error else []
    return f"Notices: {'; '.join(parts)}. {asked}"
