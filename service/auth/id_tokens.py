"""id_tokens for apps: who signed in, RS256; check B6 of ../shared/facts/security.md 1.5.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
"""

from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from service.auth.authorization import Authorization
from service.auth.signing_keys import ID_TOKEN_S

ALGORITHM = "RS256"


def id_token(key: RSAKey, issuer: str, client_id: str, granted: Authorization, now_us: int) -> str:
    """The signed token. fhirUser only where that scope was granted too."""
    now_s = now_us // 1_000_000
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": subject(granted.person),
        "aud": client_id,
        "iat": now_s,
        "exp": now_s + ID_TOKEN_S,
        "auth_time": granted.auth_s,
    }
    if granted.nonce:
        claims["nonce"] = granted.nonce
    if "fhirUser" in granted.scopes.split(" "):
        claims["fhirUser"] = fhir_user(issuer, granted.person)
    return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def subject(person: str) -> str:
    """`sub`: the id of the Practitioner, which never changes and is never given to another."""
    return person.partition("/")[2]


def fhir_user(issuer: str, person: str) -> str:
    return f"{issuer}/fhir/{person}"
