"""Each reason that a channel or the guard can give is known in words (failure_words.py)."""

import re
from pathlib import Path

import service
from service.notify.failure_words import WORDS

ROOT = Path(service.__file__).parent
FILES = [ROOT / "egress.py", *sorted((ROOT / "notify" / "channels").glob("*.py"))]
GIVEN = re.compile(
    r'Egress(?:Refused|Failed)\("([a-z-]+)"|reason="([a-z-]+)"|Result\(Outcome\.(?:FAILED|REFUSED), status, "([a-z-]+)"'
    r'|, "([a-z-]+)"\),$|"([a-z-]+)" if |else "([a-z-]+)"',
    re.MULTILINE,
)


def test_each_reason_is_told_in_words() -> None:
    found = {reason for path in FILES for groups in GIVEN.findall(path.read_text()) for reason in groups if reason}
    assert {"gone", "no-tls", "address-form", "timeout", "credentials", "content", "recipient", "later"} <= found
    assert found - {"stored", "es", "en"} <= set(WORDS)
