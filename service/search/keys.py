"""Hashed index keys: one 64-bit number per (type, parameter, value); see ../shared/stack.md section 3, design D.

The hash is keyed with a secret of the database, so that no client can craft a collision.
"""

import hashlib
import struct
from functools import lru_cache, partial

_HALF = 0xFFFFFFFF
_UNPACK = struct.Struct("<q").unpack


class Keys:
    """Makes the keys of one database; the same functions serve writing (values.py) and searching (query.py)."""

    def __init__(self, secret: bytes):
        self._base = hashlib.blake2b(digest_size=8, key=secret[:64])
        self._resource = lru_cache(maxsize=16_384)(partial(self.of, "R"))  # half of all keys; the same ones come again

    def of(self, *parts: str) -> int:
        """Signed 64-bit hash of the parts, separated so that ("a","bc") and ("ab","c") differ."""
        digest = self._base.copy()
        digest.update("\x1f".join(parts).encode("utf-8", "surrogatepass"))
        return int(_UNPACK(digest.digest())[0])

    def sealed(self, number: int) -> str:
        """A number of 64 bits as 16 hex digits that tell nothing of it (a Feistel of 4 rounds); `opened` reads it."""
        left, right = number >> 32 & _HALF, number & _HALF
        for turn in range(4):
            left, right = right, left ^ self._turned(turn, right)
        return f"{left:08x}{right:08x}"

    def opened(self, text: str) -> int:
        """The number of 16 hex digits; of what nobody sealed, any number."""
        left, right = int(text[:8], 16), int(text[8:], 16)
        for turn in (3, 2, 1, 0):
            left, right = right ^ self._turned(turn, left), left
        return left << 32 | right

    def _turned(self, turn: int, half: int) -> int:
        return self.of("number", str(turn), str(half)) & _HALF

    def resource(self, reference: str) -> int:
        """Key of a resource by its relative reference "Task/123", or of an absolute URL or urn that we do not hold."""
        return self._resource(reference)

    def marker(self, rtype: str) -> int:
        """Every current resource of a type has this key: bare searches, _lastUpdated and negations run over it."""
        return self.of("T", rtype)

    def token(self, rtype: str, param: str, system: str | None, code: str | None) -> int:
        """system None: any system ("code"); "": no system ("|code"); code None: any code of the system ("system|")."""
        if system is None:
            return self.of("C", rtype, param, code or "")
        if code is None:
            return self.of("S", rtype, param, system)
        return self.of("SC", rtype, param, system, code)

    def of_type(self, rtype: str, param: str, system: str, code: str, value: str) -> int:
        """An identifier by its type and value."""
        return self.of("OT", rtype, param, system, code, value)

    def pair(self, rtype: str, name: str, reference: str) -> int:
        """A composite whose second component is a reference; name holds the first."""
        return self.of("CR", rtype, name, reference)

    def uri(self, rtype: str, param: str, value: str) -> int:
        return self.of("U", rtype, param, value)

    def present(self, rtype: str, param: str) -> int:
        """For :missing: the resource has at least one value of the parameter."""
        return self.of("P", rtype, param)

    def values(self, rtype: str, param: str) -> int:
        """Key under which ix_date, ix_str and ix_num rows of a parameter stand."""
        return self.of("V", rtype, param)

    def author(self, rtype: str, organization: int) -> int:
        """Every current resource of a type that the organization (its resource key) wrote."""
        return self.of("O", rtype, str(organization))

    def identifier(self, rtype: str, param: str, system: str | None, value: str | None) -> int:
        """Logical reference: Reference.identifier searched by `param:identifier`."""
        return self.token(rtype, param + ":identifier", system, value)


PATIENT_EDGE = "@patient"
"""The compartment as an edge: from each resource of a patient to that Patient (never a search parameter)."""
CANDIDATE_EDGE = "@candidate"
"""From a referral Task that is open and unowned to each organization that it is offered to (access/panels.py)."""


def edge(rtype: str, param: str) -> int:
    """Number of a reference parameter in table `ref`: 31 bits, the same in every database."""
    digest = hashlib.blake2b(f"{rtype}.{param}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") & 0x7FFFFFFF
