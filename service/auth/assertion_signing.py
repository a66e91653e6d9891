"""Our side of private_key_jwt: assertions by which this service signs in at a partner's server, and their public keys.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html. The keys are those of `enlace keys`,
published a second time under a kid of their own for the algorithm that SMART demands (RS384).
"""

import json
from collections.abc import Iterable
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey

from service.auth.signing_keys import SigningKeys
from service.store.credentials import CredentialStore

ALGORITHM = "RS384"
LIFE_S = 240
"""SMART allows five minutes; one is left for clocks that differ."""
SECOND = 1_000_000


def kid_of(kid: str) -> str:
    return f"{kid}-rs384"


def twins(keys: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The published keys once more, as those who verify our assertions need them."""
    return [{**key, "kid": kid_of(str(key["kid"])), "alg": ALGORITHM} for key in keys]


async def assertion(keys: SigningKeys, store: CredentialStore, client_id: str, token_url: str, now_us: int) -> str:
    """A signed assertion, good for one use at this token endpoint."""
    key = await keys.signer(store, now_us)
    private = {name: value for name, value in key.as_dict(private=True).items() if name not in ("alg", "use", "kid")}
    now = now_us // SECOND
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "jti": store.clock.new_id(),
        "iat": now,
        "exp": now + LIFE_S,
    }
    header = {"alg": ALGORITHM, "kid": kid_of(str(key.kid)), "typ": "JWT"}
    return jws.serialize_compact(
        header, json.dumps(claims).encode(), RSAKey.import_key(private), algorithms=[ALGORITHM]
    )
