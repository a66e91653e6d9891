"""Every reason that a channel or the guard gives has its sentence."""

import re
from pathlib import Path

from service.notify.failure_words import WORDS, in_words

SERVICE = Path(__file__).parents[3] / "service"
GIVEN = re.compile(r'(?:reason=|EgressRefused\(|EgressFailed\(|raise Refused\()"([a-z0-9-]+)"')
TABLE = re.compile(r'^\s+\((?:aiosmtplib|ssl)\.\w+, "([a-z-]+)"\)', re.M)
FINE = {"stored", "nothing-to-tell"}
"""Of what arrived, or had not to be sent."""


def test_each_reason_has_its_words() -> None:
    files = [SERVICE / "egress.py", *(SERVICE / "notify" / "channels").glob("*.py"), SERVICE / "notify" / "attempts.py"]
    texts = [path.read_text("utf-8") for path in files]
    found = {code for text in texts for code in (*GIVEN.findall(text), *TABLE.findall(text))} - FINE
    assert len(found) > 15 and found <= WORDS.keys(), found - WORDS.keys()


def test_a_sentence_ends_with_the_status_and_an_unknown_reason_is_said() -> None:
    assert in_words("http-5xx", 503) == "The receiver failed (5xx). Look at its log. Status 503."
    assert in_words("comet") == "It did not arrive (comet)."
