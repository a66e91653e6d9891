"""What an HTTP answer of a receiver or gateway says beside yes: why it failed, and which receipt it gave."""

import re

_RECEIPT = re.compile(r"[A-Za-z0-9._:/+=-]{1,200}\Z")


def failure(status: int) -> str:
    """The reason of a status that is no 2xx, as failure_words.py names it. Redirects are not followed."""
    return "redirect" if 300 <= status < 400 else f"http-{status // 100}xx"


def receipt(text: str) -> str:
    """The id that was given, "" where it is none that may stand in the ledger."""
    return text if _RECEIPT.match(text) else ""
