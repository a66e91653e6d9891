"""What is mutated, and the tests that must notice: the fastest that decide about it, most telling first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """group: decide, restriction or token. path: of the module, from the root of the tree."""

    group: str
    path: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".")


_CONSENT = "tests/service/access/consent/"
_ACCESS = "tests/service/access/"
_AUTH = "tests/service/auth/"
_STORE = "tests/service/store/"
_SMART = "tests/service/api/smart/"

_RULES = _STORE + "test_visible_consent.py::test_each_thing_that_a_rule_names_must_fit"
_SEEN = (_STORE + "test_visible.py", _RULES, _ACCESS + "test_three_forms.py")
_TOKEN = (
    _AUTH + "test_token_rows.py",
    _AUTH + "test_bearer.py",
)
_ASSERTIONS = (
    *(_AUTH + "test_jwt_reader.py", _AUTH + "test_assertion_edges.py"),
    *(_AUTH + "test_assertions.py", _AUTH + "test_assertion_claims.py", _AUTH + "test_assertion_damage.py"),
    *_TOKEN,
)

SUBJECTS = (
    Subject("decide", "service/access/consent/decide.py", (_CONSENT + "test_decide.py",)),
    Subject("decide", "service/access/consent/provisions.py", (_CONSENT + "test_compile.py", _CONSENT)),
    Subject(
        "decide",
        "service/access/consent/evidence.py",
        (_CONSENT + "test_evidence.py", "tests/service/workflow/test_consent_parties.py"),
    ),
    Subject("restriction", "service/store/visible_consent.py", (_RULES, _STORE + "test_visible_consent.py")),
    Subject("restriction", "service/store/visible_scope.py", (_STORE + "test_visible_scope.py",)),
    Subject("restriction", "service/store/visible.py", _SEEN),
    Subject("restriction", "service/access/scoping.py", (_ACCESS + "test_reach.py",)),
    Subject(
        "restriction",
        "service/access/tripwire.py",
        (_ACCESS + "test_judged.py", *_SEEN, _ACCESS + "test_tripwire.py"),
    ),
    Subject("restriction", "service/search/fits.py", ("tests/service/search/test_fits.py",)),
    Subject("token", "service/auth/jwt_reader.py", _ASSERTIONS),
    Subject("token", "service/auth/assertions.py", _ASSERTIONS),
    Subject("token", "service/auth/jwks.py", (_AUTH + "test_jwks.py", *_ASSERTIONS, _AUTH + "test_key_sets.py")),
    Subject("token", "service/auth/scope_syntax.py", (_AUTH + "test_scopes.py",)),
    Subject("token", "service/auth/scope_queries.py", (_AUTH + "test_scopes.py",)),
    Subject("token", "service/auth/scope_sets.py", (_AUTH + "test_scopes.py",)),
    Subject("token", "service/auth/scopes.py", (_AUTH + "test_scopes.py",)),
    Subject("token", "service/auth/tokens.py", (_AUTH + "test_bearer.py", *_TOKEN)),
    Subject("token", "service/auth/bearer.py", (_AUTH + "test_caller_of.py", *_TOKEN)),
    Subject(
        "token",
        "service/auth/backend_services.py",
        (_SMART + "test_token_edges.py", _SMART + "test_token.py", _SMART + "test_replay.py"),
    ),
)
