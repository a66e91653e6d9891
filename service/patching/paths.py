"""The FHIRPath that a patch may use, parsed: names, [n], where(), first(), last(), ofType(), as(), extension().

https://hl7.org/fhir/R4/fhirpatch.html asks for simple FHIRPath; anything else is refused by name.
"""

import re
from decimal import Decimal
from typing import Any, NamedTuple

from service.patching.operations import Refused

MAX_PATH = 1_000
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]{0,60})|`(?P<quoted>[A-Za-z_][A-Za-z0-9_]{0,60})`"
    r"|'(?P<text>(?:[^'\\]|\\.)*+)'|(?P<number>-?[0-9]{1,18}(?:\.[0-9]{1,18})?)|(?P<sign>[.()\[\]=]))"
)
_ESCAPES = {"'": "'", '"': '"', "`": "`", "\\": "\\", "/": "/", "n": "\n", "r": "\r", "t": "\t", "f": "\f"}
SUBSET = "names, [n], where(a = 'b'), first(), last(), ofType(T), as(T) and extension('url')"


class Name(NamedTuple):
    name: str


class Index(NamedTuple):
    """-1: the last."""

    number: int


class OfType(NamedTuple):
    type: str


class Where(NamedTuple):
    """All hold: (names that lead from the element to a value, the value)."""

    conditions: tuple[tuple[tuple[str, ...], Any], ...]


Step = Name | Index | OfType | Where


def parse(text: Any) -> tuple[Step, ...]:
    """The steps of a path; Refused with what it holds beyond the subset."""
    if not isinstance(text, str) or not text.strip():
        raise Refused("path must be a FHIRPath such as Patient.name[0].given", code="required")
    if len(text) > MAX_PATH:
        raise Refused(f"path is longer than {MAX_PATH} characters", code="too-long")
    return _Parser(text).path()


class _Parser:
    def __init__(self, text: str):
        self._tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if not match or match.lastgroup is None:
                raise Refused(f"path cannot be read from character {at + 1} on: it takes {SUBSET}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def path(self) -> tuple[Step, ...]:
        steps: list[Step] = [*self._step()]
        while self._at < len(self._tokens):
            if self._is("["):
                steps.append(Index(int(self._take("number", "a number in [ ]"))))
                self._sign("]")
            else:
                self._sign(".")
                steps += self._step()
        if any(isinstance(step, Index) and step.number < -1 for step in steps):
            raise Refused("an index in path counts from 0")
        return tuple(steps)

    def _step(self) -> tuple[Step, ...]:
        kind, name = self._next("a name")
        if kind not in ("name", "quoted"):
            raise Refused(f"path takes {SUBSET}")
        if kind == "quoted" or not self._is("("):
            return (Name(name),)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise Refused(f"path uses the function {name}(): it takes {SUBSET}", code="not-supported")
        steps: tuple[Step, ...] = function(self)
        self._sign(")")
        return steps

    def conditions(self) -> tuple[Step]:
        found = [self._condition()]
        while self._at < len(self._tokens) and self._tokens[self._at] == ("name", "and"):
            self._at += 1
            found.append(self._condition())
        return (Where(tuple(found)),)

    def _condition(self) -> tuple[tuple[str, ...], Any]:
        names = [self._take("name", "an element in where()")]
        while self._is("."):
            names.append(self._take("name", "an element in where()"))
        self._sign("=")
        return tuple(names), self.literal()

    def literal(self) -> Any:
        kind, text = self._next("a value to compare with")
        match kind:
            case "text":
                return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL)
            case "number":
                return Decimal(text)
            case "name" if text in ("true", "false"):
                return text == "true"
        raise Refused("where() compares with a text in single quotes, a number, true or false")

    def type_name(self) -> str:
        name = self._take("name", "a type")
        return self._take("name", "a type") if name == "FHIR" and self._is(".") else name

    def _next(self, what: str) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Refused(f"path ends where {what} is needed")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str, what: str) -> str:
        found, text = self._next(what)
        if found != kind:
            raise Refused(f"path needs {what}: it takes {SUBSET}")
        return text

    def _is(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _sign(self, sign: str) -> None:
        if not self._is(sign):
            raise Refused(f"path needs a {sign} here: it takes {SUBSET}")


_FUNCTIONS: dict[str, Any] = {
    "where": _Parser.conditions,
    "first": lambda _parser: (Index(0),),
    "last": lambda _parser: (Index(-1),),
    "ofType": lambda parser: (OfType(parser.type_name()),),
    "as": lambda parser: (OfType(parser.type_name()),),
    "extension": lambda parser: (Name("extension"), Where(((("url",), parser.literal()),))),
}
