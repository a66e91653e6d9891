"""What an app may ask a person for, and what each scope means in plain words for the screen on which they agree.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html; check B8.
Pure. Of resource scopes only `user/` and `patient/` belong to a person's app; `system/` is for backend services.
"""

from collections.abc import Collection, Iterable

from service.auth import scope_sets, scopes
from service.auth.scopes import Scope

WORDS = {
    "openid": "Know who you are",
    "fhirUser": "Know which practitioner of the directory you are",
    "launch/patient": "Open one member whom you choose below",
    "online_access": "Go on by itself while you are signed in here",
    "offline_access": "Go on by itself for up to 90 days, also after you sign out here",
}
"""Scopes beside those of resources, granted as whole words."""
CONTEXTS = ("user", "patient")

_LETTERS = {"c": "add", "r": "read", "u": "change", "d": "delete", "s": "search"}
_TYPES = {
    "*": "everything",
    "Patient": "name, birth date, address and numbers",
    "Practitioner": "the directory of practitioners",
    "PractitionerRole": "the roles of practitioners",
    "Organization": "the directory of organizations",
    "Observation": "measurements and answers",
    "Condition": "diagnoses and problems",
    "CarePlan": "care plans",
    "CareTeam": "care teams",
    "Encounter": "visits and hospital stays",
    "EpisodeOfCare": "ECM enrollment",
    "ServiceRequest": "referrals",
    "Task": "tasks",
    "Communication": "alerts and messages",
    "Coverage": "coverage",
    "Consent": "consents",
    "DocumentReference": "documents",
    "Goal": "goals",
    "Procedure": "procedures",
    "QuestionnaireResponse": "filled-in questionnaires",
}


def offered(asked: str, registered: str) -> tuple[str, ...]:
    """What of the asked scopes can be granted, words first; raises scopes.InvalidScope."""
    wanted = [scope for scope in scopes.requested(asked) if scope.context in CONTEXTS]
    held = [scope for scope in scopes.requested(registered) if scope.context in CONTEXTS]
    given = asked.split(" ")
    words = [word for word in WORDS if word in given]
    offer = (*words, *map(str, scopes.check_many(scope_sets.intersect(wanted, held))))
    if len(" ".join(offer)) > scopes.MAX_TEXT:
        raise scopes.InvalidScope("What would be granted is too long: ask for fewer scopes.")
    return offer


def held_now(granted: str, registered: str) -> str:
    """What of a granted text the app is registered for now; "" where nothing can be said of it."""
    try:
        return " ".join(offered(granted, registered))
    except scopes.InvalidScope:
        return ""


def chosen(offer: Iterable[str], ticked: Collection[str]) -> str:
    """The text that is granted: what the person left ticked of what was offered, in that order."""
    return " ".join(scope for scope in offer if scope in ticked)


def narrowed(granted: str, asked: str) -> str:
    """For a refresh that asks for less; raises scopes.InvalidScope where it asks for more or for nothing."""
    held = granted.split(" ")
    words = [word for word in WORDS if word in held and word in asked.split(" ")]
    wanted = scopes.requested(asked)
    if not scope_sets.is_subset(wanted, scopes.requested(granted)) or not (words or wanted):
        raise scopes.InvalidScope("A refresh asks for what was granted, or for less.")
    return " ".join((*words, scopes.text_of(wanted))).strip(" ")


def needs_patient(granted: Iterable[str]) -> bool:
    """Whether one member has to be chosen: `patient/` scopes mean nothing without."""
    return any(scope == "launch/patient" or scope.startswith("patient/") for scope in granted)


def plain(text: str) -> str:
    """One scope as a person reads it: who, what, and with which restriction."""
    if text in WORDS:
        return WORDS[text]
    scope: Scope = scopes.parse_scope(text)
    verbs = [_LETTERS[letter] for letter in scopes.CRUDS if letter in scope.letters]
    done = " and ".join((", ".join(verbs[:-1]), verbs[-1])) if len(verbs) > 1 else verbs[0]
    of = "of that member" if scope.context == "patient" else "that you see in Enlace"
    what = _TYPES.get(scope.rtype, scope.rtype)
    only = f", only where {text.partition('?')[2].replace('&', ' and ')}" if "?" in text else ""
    return f"{done[0].upper()}{done[1:]}: {what} {of}{only}"
