"""The screen on which a person lets an app call the FHIR API for them: B1, B2, B8-B10 of ../shared/facts/security.md.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-standalone-launch ; the rules are in
service/auth/authorization.py. Both requests check everything anew: nothing about them is kept between the two.
"""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.auth.authorization import (
    Addressed,
    Authorization,
    AuthorizationRequest,
    NotAddressed,
    SentBack,
    address,
    answer_address,
    checked,
    form_target,
    parameters,
)
from service.auth.authorization_code import new_code
from service.auth.authorization_scopes import chosen, needs_patient, plain
from service.auth.authorization_tokens import caller_for
from service.auth.backend_services import AuthServer
from service.auth.client_rules import CLIENT_ID
from service.errors import Category
from service.log_events import APP_AUTHORIZED, APP_REFUSED, log
from service.store import authorizations, credentials, sessions
from service.store.change import AuditRow, Change
from service.web.authorize_members import Members, members
from service.web.rendering import CSP, HEADERS, render
from service.web.sees import named
from service.web.session import (
    STALE_FORM,
    NotSignedIn,
    PageRefused,
    SignedIn,
    check_csrf,
    require,
    shared_of,
    signed_in,
)

MAX_FORM = 32 * 1024
MAX_FIELDS = 200
_CHOOSE = "Choose a member first."
_NOT_YOURS = "This member is not among yours. Choose another."


@dataclass(frozen=True)
class _Screen:
    """What stands on the page beside the request itself."""

    ticked: Collection[str]
    found: Members
    name: str = ""
    problem: str = ""


async def show(request: Request) -> Response:
    """GET /auth/authorize: sign in first where nobody is, then the screen."""
    query = request.url.query
    at = await _address(request, query)
    who = await signed_in(request)
    if who is None:
        if parameters(query).get("prompt") == "none":
            return _back(request, at, SentBack("login_required", "login", "Nobody is signed in."))
        return RedirectResponse(f"/login?next={quote(f'/auth/authorize?{query}', safe='')}", 303, HEADERS)
    _check_person(who)
    try:
        asked = _checked(request, query, at)
        if asked.prompt == "none":
            raise SentBack("interaction_required", "prompt", "The person decides on a screen each time.")
    except SentBack as error:
        return await _sent_back(request, who, at, error)
    return await _screen(request, who, asked, query, _Screen(asked.offer, await _found(who, asked, "")))


async def decide(request: Request) -> Response:
    """POST /auth/authorize: find a member, allow, or refuse."""
    who = await require(request)
    fields = await _fields(request)
    form = dict(fields)
    check_csrf(form, who.session)
    _check_person(who)
    query = form.get("request", "")
    at = await _address(request, query)
    try:
        asked = _checked(request, query, at)
        ticked = {value for name, value in fields if name == "scope"}
        granted = chosen(asked.offer, ticked)
        if form.get("step") == "refuse" or (form.get("step") == "allow" and not granted):
            raise SentBack("access_denied", "person", "The person did not agree.")
    except SentBack as error:
        return await _sent_back(request, who, at, error)
    name = form.get("find", "")
    if form.get("step") != "allow":
        return await _screen(request, who, asked, query, _Screen(ticked, await _found(who, asked, name), name))
    patient = form.get("patient") if needs_patient(granted.split(" ")) else None
    agreed = await _agreed(who, asked, granted, patient)
    problem = await _problem(request, who, agreed)
    if problem:
        found = await _found(who, asked, name)
        return await _screen(request, who, asked, query, _Screen(ticked, found, name, problem))
    return await _allowed(request, who, asked, agreed)


async def _address(request: Request, query: str) -> Addressed:
    if request.app.state.auth.issuer_configuration:
        text = "Apps are let in by your organization's own authorization server, not here."
        raise PageRefused(Category.NOT_FOUND, text, "external-issuer")
    try:
        given = parameters(query)
        named = given.get("client_id", "")
        known = CLIENT_ID.fullmatch(named)
        return address(given, await credentials.client_by_id(shared_of(request).store, named) if known else None)
    except NotAddressed as error:
        raise PageRefused(Category.MALFORMED, error.sentence, error.reason) from None


def _checked(request: Request, query: str, at: Addressed) -> AuthorizationRequest:
    return checked(parameters(query), at, shared_of(request).behaviour.base_url)


def _check_person(who: SignedIn) -> None:
    if who.session.caller.person is None:
        sentence = "Apps are let in by a person: sign in as one. Systems use their own keys."
        raise PageRefused(Category.FORBIDDEN, sentence, "no-person")


async def _found(who: SignedIn, asked: AuthorizationRequest, name: str) -> Members:
    return await members(who, name) if needs_patient(asked.offer) else Members()


async def _problem(request: Request, who: SignedIn, agreed: Authorization) -> str:
    """B9: the member is in the person's own panel now; "" where nothing stands against it."""
    if not needs_patient(agreed.scopes.split(" ")):
        return ""
    if not agreed.patient:
        return _CHOOSE
    server: AuthServer = request.app.state.auth
    caller = caller_for("", agreed, who.session.caller.scopes)
    return "" if agreed.patient.startswith("Patient/") and await server.sees(caller, agreed.patient) else _NOT_YOURS


async def _agreed(who: SignedIn, asked: AuthorizationRequest, granted: str, patient: str | None) -> Authorization:
    session, caller = who.session, who.session.caller
    row = await sessions.session_row(who.ctx.store, session.digest)
    origin = await authorizations.login_of(who.ctx.store, session.digest)
    if row is None or origin is None or caller.person is None:
        raise NotSignedIn
    login_client, account = origin
    return Authorization(
        redirect_uri=asked.at.redirect_uri,
        challenge=asked.challenge,
        scopes=granted,
        person=caller.person,
        organization=caller.organization,
        role=str(caller.role),
        purpose=caller.purpose,
        patient=patient,
        nonce=asked.nonce,
        auth_s=row.created_us // 1_000_000,
        session=session.digest.hex(),
        login_client=login_client,
        account=account,
    )


async def _allowed(request: Request, who: SignedIn, asked: AuthorizationRequest, agreed: Authorization) -> Response:
    ctx, app = who.ctx, asked.at.app
    code, statements = new_code(app.id, ctx.new_id(), agreed, ctx.now_us)
    patients = (agreed.patient,) if agreed.patient else ()
    change = Change(statements=statements, audit=[_audit(who, app.id, patients=patients)])
    if who.touch is not None:
        change.statements.append(who.touch)
    await ctx.store.commit(change)
    log(APP_AUTHORIZED, client=app.id, role=who.session.caller.role)
    return _redirect(answer_address(asked.at, _issuer(request), code=code))


async def _sent_back(request: Request, who: SignedIn, at: Addressed, error: SentBack) -> Response:
    row = _audit(who, at.app.id, outcome=4, reason=error.reason)
    await who.ctx.store.commit(Change(audit=[row]))
    return _back(request, at, error)


def _back(request: Request, at: Addressed, error: SentBack) -> Response:
    log(APP_REFUSED, client=at.app.id, reason=error.reason)
    facts = {"error": error.error, "error_description": error.sentence}
    return _redirect(answer_address(at, _issuer(request), **facts))


def _redirect(location: str) -> Response:
    response = Response(status_code=303, headers=HEADERS)
    # Starlette would quote the address anew; the registered part goes out as it is registered.
    response.headers["location"] = location
    return response


def _issuer(request: Request) -> str:
    return shared_of(request).settings.base_url


def _audit(
    who: SignedIn, client: str, *, patients: tuple[str, ...] = (), outcome: int = 0, reason: str = ""
) -> AuditRow:
    return who.ctx.audit("E", "authorize", f"client/{client}", patients, outcome=outcome, reason=reason)


async def _screen(
    request: Request, who: SignedIn, asked: AuthorizationRequest, query: str, screen: _Screen
) -> Response:
    app = asked.at.app
    response = render(
        "authorize.html",
        400 if screen.problem else 200,
        app=app.name,
        back=asked.at.redirect_uri,
        rows=[(text, plain(text), text in screen.ticked) for text in asked.offer],
        choose=needs_patient(asked.offer),
        screen=screen,
        request=query,
        csrf=who.session.csrf,
        name=await named(who),
        nav=(),
    )
    # Browsers hold the redirect after a form against form-action as well.
    target = form_target(asked.at.redirect_uri)
    response.headers["content-security-policy"] = CSP.replace("form-action 'self'", f"form-action 'self' {target}")
    return response


async def _fields(request: Request) -> list[tuple[str, str]]:
    """The fields of our own form; scopes come several times. Whose form it is, its token tells."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "cross-site")
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise PageRefused(Category.UNSUPPORTED_MEDIA, STALE_FORM, "form-type")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise PageRefused(Category.TOO_LARGE, STALE_FORM, "form-size")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise PageRefused(Category.MALFORMED, STALE_FORM, "form") from None
