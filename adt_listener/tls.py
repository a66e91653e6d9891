"""The names under which a sender's certificate is known.

MLLP has no security of its own (facts/adt.md 3). A sender shows a certificate of the authority that the settings name;
the sources list which certificate speaks for them (SourceConfig.certificates).
"""

from hashlib import sha256
from typing import Any

NAMES = {"DNS": "dns", "URI": "uri", "IP Address": "ip"}


def identities(connection: Any) -> frozenset[str]:
    """What the peer's certificate proves: "sha256:<hex>" of it, its alternative names, "cn:<common name>".

    connection: the SSL object of a transport, None on a plain one: then nothing is proven.
    """
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if not der:
        return frozenset()
    facts = connection.getpeercert() or {}
    found = {f"sha256:{sha256(der).hexdigest()}"}
    found |= {f"{NAMES[kind]}:{value.lower()}" for kind, value in facts.get("subjectAltName", ()) if kind in NAMES}
    pairs = (pair for part in facts.get("subject", ()) for pair in part)
    return frozenset(found | {f"cn:{value.lower()}" for name, value in pairs if name == "commonName"})
