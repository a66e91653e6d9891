"""What introspection and revocation have to do with the tokens of people's apps.

https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html and https://www.rfc-editor.org/rfc/rfc7009#section-2.1
"""

from collections.abc import Mapping

from service.auth.authorization_clients import app_at
from service.auth.backend_services import AuthServer
from service.auth.id_tokens import fhir_user, subject
from service.store import authorizations
from service.store.change import Change
from service.store.credentials import RegisteredClient


async def told(server: AuthServer, digest: bytes) -> dict[str, str]:
    """The launch context of a person's token, and who it was where an id_token was issued; {} for others."""
    row = await authorizations.family_token(server.store, digest)
    if row is None:
        return {}
    words = row.scopes.split(" ")
    facts = {"patient": row.patient.partition("/")[2]} if row.patient else {}
    if "openid" in words and row.person:
        facts |= {"iss": server.base_url, "sub": subject(row.person)}
        if "fhirUser" in words:
            facts["fhirUser"] = fhir_user(server.base_url, row.person)
    return facts


async def public_client(
    server: AuthServer, form: Mapping[str, str], authorization: str | None
) -> RegisteredClient | None:
    """For revocation: a public app has nothing to prove itself with but the token that it gives up."""
    if authorization is not None or "client_id" not in form or "client_assertion" in form:
        return None
    return (await app_at(server, form, authorization, 0)).client


async def ended(server: AuthServer, digest: bytes, now_us: int, only: str | None) -> Change:
    """Ends the family of a refresh token; only: where it is that client's. An access token ends by itself alone."""
    row = await authorizations.refresh_row(server.store, digest)
    if row is None or only not in (None, row.client_id):
        return Change()
    return authorizations.end_family(server.store.keys, row.family, now_us)
