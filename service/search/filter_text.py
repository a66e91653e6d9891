"""The text of a _filter -> its tree: comparisons, and, or, not, brackets; nothing is looked up here.

Source: https://hl7.org/fhir/R4/search_filter.html. `and` and `or` are taken from left to right, none before the other.
"""

import json
import re
from dataclasses import dataclass

from service.search.syntax import Refused

MAX_FILTER = 2_000
"""Characters of one filter."""
MAX_TERMS = 50
"""Comparisons in all filters of one search."""
MAX_DEPTH = 8
"""Brackets inside each other."""

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\\x00-\x1f]|\\.)*")|([()\[\]])|([^\s()\[\]"]+))')
_SPACE = re.compile(r"\s*\Z")


@dataclass(frozen=True)
class Term:
    """`path operator value`, from place `at` of the text on."""

    path: str
    operator: str
    value: str
    at: int


@dataclass(frozen=True)
class Both:
    """`word` is and, or."""

    word: str
    parts: tuple["Tree", ...]


@dataclass(frozen=True)
class Negated:
    part: "Tree"


Tree = Term | Both | Negated


@dataclass(frozen=True)
class _Word:
    text: str
    at: int
    kind: str  # "string", "bracket", "word"


def read(text: str) -> Tree:
    """Raises Refused, with the place and never the text."""
    if len(text) > MAX_FILTER:
        raise Refused(f"takes at most {MAX_FILTER} characters", "too-long")
    reader = _Reader(_words(text))
    tree = reader.whole(0)
    reader.end()
    return tree


def _words(text: str) -> list[_Word]:
    words, at = [], 0
    while not _SPACE.match(text, at):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refused(f"has a string without an end, or a wrong character, at place {at + 1}")
        string, bracket, word = found.groups()
        kind = "string" if string is not None else "bracket" if bracket else "word"
        words.append(_Word(string or bracket or word, found.end() - len(string or bracket or word) + 1, kind))
        at = found.end()
    return words


class _Reader:
    def __init__(self, words: list[_Word]):
        self._words, self._next, self._terms = words, 0, 0

    def whole(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise Refused(f"takes at most {MAX_DEPTH} brackets inside each other", "too-costly")
        tree = self._one(depth)
        while (word := self._peek()) and word.kind == "word" and word.text in ("and", "or"):
            self._next += 1
            right = self._one(depth)
            same = isinstance(tree, Both) and tree.word == word.text
            tree = Both(word.text, (*tree.parts, right) if isinstance(tree, Both) and same else (tree, right))
        return tree

    def end(self) -> None:
        if word := self._peek():
            raise Refused(f"is not understood from place {word.at} on: 'and', 'or' or the end belongs there")

    def _one(self, depth: int) -> Tree:
        word = self._take("a parameter")
        if word.text == "not" and self._is("("):
            return Negated(self._bracket(depth))
        if word.text == "(":
            self._next -= 1
            return self._bracket(depth)
        return self._term(word)

    def _bracket(self, depth: int) -> Tree:
        self._next += 1
        tree = self.whole(depth + 1)
        closing = self._take("')'")
        if closing.text != ")":
            raise Refused(f"is not understood at place {closing.at}: ')' belongs there")
        return tree

    def _term(self, path: _Word) -> Term:
        if path.kind != "word":
            raise Refused(f"is not understood at place {path.at}: a parameter, 'not(' or '(' belongs there")
        if self._is("["):
            raise Refused("takes no filter in square brackets: each comparison stands by itself", "not-supported")
        operator, value = self._take("an operator"), self._take("a value")
        if operator.kind != "word" or value.kind == "bracket":
            raise Refused(f"is not understood at place {operator.at}: an operator and a value belong there")
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise Refused(f"takes at most {MAX_TERMS} comparisons", "too-costly")
        if value.kind == "word":
            return Term(path.text, operator.text, value.text, path.at)
        try:
            return Term(path.text, operator.text, json.loads(value.text), path.at)
        except ValueError:
            raise Refused(f"has a string with a wrong escape at place {value.at}") from None

    def _peek(self) -> _Word | None:
        return self._words[self._next] if self._next < len(self._words) else None

    def _is(self, text: str) -> bool:
        word = self._peek()
        return word is not None and word.kind == "bracket" and word.text == text

    def _take(self, what: str) -> _Word:
        word = self._peek()
        if word is None:
            raise Refused(f"ends where {what} belongs")
        self._next += 1
        return word
