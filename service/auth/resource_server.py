"""Bearer tokens of another authorization server (ENLACE_AUTH_MODE=resource-server): JWTs, checked at each request.

https://www.rfc-editor.org/rfc/rfc9068 ; A2 and A3 of ../shared/facts/security.md 5. Deny by default: a claim that is
absent, of another shape, or that the operator's table does not map, is no access. A token that names a second audience
is refused too: that audience could use it here.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from service.auth.issuer_file import Issuer
from service.auth.jwks import MAX_KID, RSA_BITS
from service.auth.jwt_reader import Unverified, read_jwt
from service.auth.key_sets import KeySets
from service.auth.refusal import ClientRefused
from service.auth.registration import CLIENT_ID
from service.auth.scopes import InvalidScope, compile_allows, requested, text_of
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.store.credentials import Place, RegisteredClient

ALGORITHMS = {"RS256": ("RSA", ""), "RS384": ("RSA", ""), "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384")}
TYPES = ("at+jwt", "application/at+jwt", "JWT")
SKEW_S = 30
"""How far the issuer's clock may be ahead; `exp` is kept to the second."""
MAX_LIFE_S = 3600
"""Nobody tells us of a revocation: what lives longer than an hour is refused."""

_HEADER = re.compile(r"bearer +([A-Za-z0-9_.-]+)", re.ASCII | re.IGNORECASE)
_CHALLENGE = 'Bearer realm="enlace"'
_NEEDED = "A valid access token of the issuer that /fhir/.well-known/smart-configuration names is needed."
_REFUSED_HEADERS = ("crit", "jwk", "jku", "x5u", "b64", "zip")
_QUERY_NAMES = frozenset({"access_token", "client_assertion"})
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)


class ResourceServer:
    """The checks of one issuer. key_sets: fetches through the egress guard, kept as the answer's Cache-Control says."""

    def __init__(self, issuer: Issuer, key_sets: KeySets):
        self.issuer = issuer
        self._key_sets = key_sets
        self._holder = RegisteredClient("issuer", issuer.issuer, "", "", "", jwks_url=issuer.jwks_url)

    async def caller(self, authorization: str | None, query_keys: Collection[str], now_us: int) -> Caller:
        """Raises FhirError: 401 for anything but a good token, 400 for one in the URL, 503 where keys cannot be had."""
        text = _token(authorization, query_keys)
        try:
            jwt = _read(text)
            keys = await self._key_sets.of(self._holder, jwt.header["kid"], now_us)
            _check_signature(jwt, keys)
            return self._mapped(jwt, now_us)
        except ClientRefused as refused:
            if refused.reason == "keys-fetch":
                text = "The keys of the token's issuer cannot be had now: try again."
                raise FhirError(Category.UNAVAILABLE, text, {"Retry-After": "5"}, reason="issuer-keys") from None
            raise _refused(refused.reason) from None
        except FhirError:
            raise
        except Exception as error:  # whatever a library or a strange value does: nobody is authenticated
            raise _refused("unexpected") from error

    def _mapped(self, jwt: Unverified, now_us: int) -> Caller:
        claims, names, issuer = jwt.claims, self.issuer.claims, self.issuer
        if claims.get("iss") != issuer.issuer:
            raise ClientRefused("iss")
        if claims.get("aud") not in (issuer.audience, [issuer.audience]):
            raise ClientRefused("aud")
        _check_times(claims, now_us / 1_000_000)
        client = claims.get(names["client"])
        if not isinstance(client, str) or not CLIENT_ID.fullmatch(client):
            raise ClientRefused("client")
        organization = _of(issuer.organizations, claims.get(names["organization"]), "organization")
        role = Role(_of(issuer.roles, claims.get(names["role"]), "role"))
        person = None
        if names["person"] in claims:
            person = _of(issuer.people, claims[names["person"]], "person")
        elif role is Role.LCM:
            raise ClientRefused("person")
        purpose = _of(issuer.purposes, claims.get(names["purpose"]), "purpose") if "purpose" in names else "TREAT"
        patient = _patient(claims.get(names["patient"]))
        scopes = _scopes(claims.get(names["scope"]), person is not None)
        allows = compile_allows(scopes, patient is not None)
        token = sha256(jwt.text.encode()).digest()[-6:].hex()
        return Caller(client, role, organization, person, scopes, allows, purpose, patient=patient, token=token)


def standing(caller: Caller, place: Place) -> Caller:
    """The caller as the directory has it now: whatever the issuer says, who is inactive here has no access."""
    organization_active, person_active, above = place
    if not organization_active or not person_active:
        raise _refused("person-inactive" if organization_active else "organization-inactive")
    return replace(caller, above=tuple(f"Organization/{one}" for one in above))


def _token(authorization: str | None, query_keys: Collection[str]) -> str:
    if not _QUERY_NAMES.isdisjoint(name.lower() for name in query_keys):
        text = "A token in the URL is not accepted; send it in the Authorization header."
        raise FhirError(Category.MALFORMED, text, reason="token-in-query")
    match = _HEADER.fullmatch((authorization or "").strip(" "))
    if match is None:
        raise _refused("token-missing" if not authorization else "token-scheme", _CHALLENGE)
    return match[1]


def _read(text: str) -> Unverified:
    jwt = read_jwt(text)
    header = jwt.header
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise ClientRefused("alg")
    if header.get("typ") not in TYPES:
        raise ClientRefused("typ")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise ClientRefused("kid")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise ClientRefused(f"header-{name}")
    return jwt


def _check_signature(jwt: Unverified, keys: list[dict[str, Any]]) -> None:
    """Exactly one key fits kid and algorithm, and it made this signature."""
    kid, alg = jwt.header["kid"], jwt.header["alg"]
    kty, crv = ALGORITHMS[alg]
    fitting = [
        key
        for key in keys
        if (key.get("kid"), key.get("kty"), key.get("crv", "")) == (kid, kty, crv)
        and key.get("use", "sig") == "sig"
        and key.get("alg", alg) == alg
    ]
    if len(fitting) != 1:
        raise ClientRefused("kid-unknown")
    try:
        verified = jws.deserialize_compact(
            jwt.text,
            _public(fitting[0], kty),
            algorithms=["RS256", "RS384", "ES256", "ES384"],
            registry=jws.JWSRegistry(algorithms=["RS256", "RS384", "ES256", "ES384"], strict_check_header=False),
        )
    except Exception:
        raise ClientRefused("signature") from None
    if verified.headers() != jwt.header:
        raise ClientRefused("signature")  # the library read another header than the one that was checked


def _public(key: dict[str, Any], kty: str) -> RSAKey | ECKey:
    if kty == "EC":
        return ECKey.import_key({name: key[name] for name in ("kty", "crv", "x", "y")})
    rsa = RSAKey.import_key({name: key[name] for name in ("kty", "n", "e")})
    if rsa.public_key.public_numbers().n.bit_length() not in RSA_BITS:
        raise ClientRefused("keys")
    return rsa


def _check_times(claims: dict[str, Any], now: float) -> None:
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    for name, value in times.items():
        if value is None and name == "nbf" and name not in claims:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ClientRefused(name)
        times[name] = value
    exp, iat, nbf = times["exp"], times["iat"], times["nbf"]
    if exp is None or iat is None or now >= exp:
        raise ClientRefused("exp-past")
    if iat > now + SKEW_S or (nbf is not None and nbf > now + SKEW_S):
        raise ClientRefused("not-yet")
    if not 0 < exp - iat <= MAX_LIFE_S:
        raise ClientRefused("life")


def _of(table: dict[str, str], value: object, what: str) -> str:
    """What the operator's table says of a claim; unknown is no access."""
    if not isinstance(value, str) or value not in table:
        raise ClientRefused(what)
    return table[value]


def _patient(value: object) -> str | None:
    if value is None:
        return None
    text = value.removeprefix("Patient/") if isinstance(value, str) else ""
    if not _ID.fullmatch(text):
        raise ClientRefused("patient")
    return f"Patient/{text}"


def _scopes(value: object, person: bool) -> str:
    """Of a person `user/` and `patient/`, of a system `system/`: other contexts are dropped."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = " ".join(value)
    if not isinstance(value, str):
        raise ClientRefused("scope")
    contexts = ("user", "patient") if person else ("system",)
    try:
        return text_of(scope for scope in requested(value) if scope.context in contexts)
    except InvalidScope:
        raise ClientRefused("scope") from None


def _refused(reason: str, challenge: str = f'{_CHALLENGE}, error="invalid_token"') -> FhirError:
    return FhirError(Category.UNAUTHENTICATED, _NEEDED, headers={"WWW-Authenticate": challenge}, reason=reason)
