"""XML bytes -> elements with their lines, within limits: https://hl7.org/fhir/R4/xml.html

The parser is expat: it can open no file and no connection, and a DOCTYPE stops it before any entity is declared, so
that nothing expands. Depth and number of values are counted while it reads, before anything is built of them. The
narrative's div is kept as the text that was sent (`narrative.py` judges it).
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from fhir_profiles.narrative import XHTML

FHIR = "http://hl7.org/fhir"
SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
BOM = b"\xef\xbb\xbf"
_ATTRIBUTES = {"id", "url", "value"}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,40}")


class Limits(NamedTuple):
    """values: elements of a resource, of each entry of a Bundle; all: in a Bundle together."""

    depth: int
    values: int
    string: int
    all: int


class XmlFault(Exception):
    """What is wrong, as (line, path of the element or "", rule and remedy), perhaps several."""

    def __init__(self, *problems: tuple[int, str, str], code: str = "structure"):
        self.problems = problems
        self.code = code
        super().__init__(f"{len(problems)} problem(s)")


@dataclass(slots=True)
class Node:
    """One element of FHIR's namespace. div: the text of a narrative's div, which has no other parts."""

    name: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)
    div: str | None = None


def tree_of(data: bytes, limits: Limits) -> Node:
    """The root element of a document in UTF-8. XmlFault where it is no such document, or costs too much."""
    data = data.removeprefix(BOM)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise XmlFault((line, "", "The body is not UTF-8: encode it as UTF-8.")) from None
    return _Builder(data, limits).root()


class _Builder:
    def __init__(self, data: bytes, limits: Limits):
        self._data, self._limits = data, limits
        self._open: list[Node] = []
        self._root: Node | None = None
        self._values = self._before = 0
        self._declared: dict[str | None, str | None] = {}
        """Namespaces that the element declares which comes next."""
        self._inside = 0
        """Open elements of a div, itself included."""
        self._from = 0
        parser = expat.ParserCreate("utf-8", " ")
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def root(self) -> Node:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise XmlFault((error.lineno, "", f"This is no well-formed XML: {what}.")) from None
        assert self._root is not None  # expat refuses a document without an element
        return self._root

    def _fault(self, text: str, code: str = "structure") -> XmlFault:
        path = ".".join(node.name for node in self._open)
        return XmlFault((self._parser.CurrentLineNumber, path, text), code=code)

    def _doctype(self, *_: object) -> None:
        raise self._fault("A DOCTYPE is not allowed: remove it, and write characters instead of entities.")

    def _declare(self, prefix: str | None, space: str | None) -> None:
        self._declared[prefix] = space

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            raise self._fault("The XML declaration names another encoding than UTF-8: encode the body as UTF-8.")

    def _count(self, attributes: dict[str, str]) -> None:
        self._values += 1
        most = self._limits
        if self._values - self._before > most.values or self._values > most.all:
            raise self._fault(f"The XML has more than {most.values} values: send it in parts.", "too-costly")
        if len(self._open) + self._inside >= most.depth:
            raise self._fault(f"The XML is nested more than {most.depth} levels deep: flatten it.", "too-costly")
        if attributes and max(map(len, attributes.values())) > most.string:
            raise self._fault("A string is longer than 1 MB: use a Binary.", "too-long")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        declared, self._declared = self._declared, {}
        self._count(attributes)
        space, local, prefix = [*name.split(" "), ""][:3] if " " in name else ("", name, "")
        if self._inside or (space == XHTML and local == "div" and self._open):
            if not self._inside:
                self._from = self._parser.CurrentByteIndex
            if prefix or (not self._inside and declared.get(None) != XHTML):
                raise self._fault(f'Declare XHTML on the div itself, without a prefix: <div xmlns="{XHTML}">.')
            self._inside += 1
            return
        if space != FHIR:
            raise self._fault(f'Every element belongs to the namespace {FHIR}: write xmlns="{FHIR}" on the outer one.')
        if not NAME.fullmatch(local):
            raise self._fault("An element here has a name that R4 gives to none: remove it.")
        if len(self._open) == 1 and self._open[0].name == "Bundle":
            self._before = self._values
        node = Node(local, self._parser.CurrentLineNumber, self._plain(attributes))
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        self._open.append(node)

    def _plain(self, attributes: dict[str, str]) -> dict[str, str]:
        """Without schemaLocation and its like, which say nothing about the resource."""
        if attributes.keys() <= _ATTRIBUTES:
            return attributes
        found = {name: value for name, value in attributes.items() if not name.startswith(SCHEMA_INSTANCE + " ")}
        if not found.keys() <= _ATTRIBUTES:
            raise self._fault("An element has the attributes value, id and (an extension) url only: remove the others.")
        return found

    def _end(self, _name: str) -> None:
        if not self._inside:
            self._open.pop()
            return
        self._inside -= 1
        if not self._inside:
            at = self._parser.CurrentByteIndex
            if self._data[at : at + 5] != b"</div":  # <div/> has no end tag of its own
                raise self._fault("The div is empty: a narrative has text or a picture (txt-2).")
            text = self._data[self._from : self._data.index(b">", at) + 1].decode("utf-8")
            if len(text) > self._limits.string:
                raise self._fault("A string is longer than 1 MB: use a Binary.", "too-long")
            self._open[-1].children.append(Node("div", self._parser.CurrentLineNumber, div=text))

    def _text(self, data: str) -> None:
        if not self._inside and not data.isspace():
            raise self._fault('Text stands in the attribute value, not between tags: <family value="..."/>.')
