"""What stands in the URL of a reply link, and its one-time codes: made from the secret key, so that neither is stored.

A table of links, or a copy of it, opens none: it holds keyed hashes, and the address sealed. Pure.
"""

import base64
import hmac
import re
from dataclasses import dataclass

import orjson

from service.auth.sealing import seal, unseal

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without letters that are read as one another on paper."""
LETTERS = 20
"""98 bits: nobody guesses one."""
_TOKEN = re.compile(f"[{ALPHABET}]{{{LETTERS}}}")
CODE_US = 10 * 60_000_000
"""So long does a one-time code count."""
MOST_TRIES = 5


@dataclass(frozen=True)
class Contact:
    """Where the organization is told. channel: email or sms. language: en or es."""

    channel: str
    to: str
    language: str


def token_of(key: bytes, task: str, organization: str, made_us: int) -> str:
    """What stands in the URL, the same each time it is made: in groups of four letters, as people type it."""
    number = int.from_bytes(_mac(key, "token", task, organization, str(made_us)), "big")
    letters = ""
    for _ in range(LETTERS):
        number, place = divmod(number, len(ALPHABET))
        letters += ALPHABET[place]
    return "-".join(letters[start : start + 4] for start in range(0, LETTERS, 4))


def link_of(key: bytes, token: str) -> str:
    """How the store knows a link; "" of what cannot be one."""
    letters = token.upper().replace("-", "").replace(" ", "")
    return _mac(key, "link", letters).hex() if _TOKEN.fullmatch(letters) else ""


def digits_of(key: bytes, link: str, codes_sent: int, code_expires_us: int) -> str:
    """The six digits of the code that was sent as the so-manieth, as who sends it makes them again."""
    number = int.from_bytes(_mac(key, "code", link, str(codes_sent), str(code_expires_us))[:8], "big")
    return f"{number % 1_000_000:06d}"


def code_hash(key: bytes, link: str, digits: str) -> str:
    return _mac(key, "digits", link, digits).hex()


def session_hash(key: bytes, cookie: str) -> str:
    return _mac(key, "session", cookie).hex()


def form_token(key: bytes, nonce: str) -> str:
    """What a form carries beside the cookie `nonce`: nobody who lacks the key can make the pair."""
    return _mac(key, "form", nonce).hex()


def sealed(key: bytes, link: str, contact: Contact) -> str:
    text = orjson.dumps([contact.channel, contact.to, contact.language])
    return base64.b64encode(seal(key, f"reply-link {link}", text)).decode()


def opened(key: bytes, link: str, text: str) -> Contact:
    """Raises SealBroken."""
    return Contact(*orjson.loads(unseal(key, f"reply-link {link}", base64.b64decode(text))))


def masked(contact: Contact) -> str:
    """As the page names it: enough to know one's own address, too little to learn another's."""
    if contact.channel == "email":
        name, _, host = contact.to.removeprefix("mailto:").partition("@")
        return f"{name[:1]}***@{host[:1]}***.{host.rpartition('.')[2]}"
    return f"***{re.sub('[^0-9]', '', contact.to)[-2:]}"


def _mac(key: bytes, *parts: str) -> bytes:
    return hmac.new(key, "\0".join(("reply", *parts)).encode(), "sha256").digest()
