"""Narrative by allow-list: https://hl7.org/fhir/R4/narrative.html#xhtml

Active content is refused, never stripped: what is accepted comes back whole. The parser is expat, without DOCTYPE and
entities. Beside R4's list, forms are refused that an HTML parser reads otherwise than an XML parser does (CDATA,
processing instructions, `<!-->`), since pages show narratives as HTML, and pictures from elsewhere, which would tell
their host who reads the record.
"""

import re
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
ELEMENTS = frozenset(
    (
        "a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 "
        "h4 h5 h6 hr i img kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul "
        "var"
    ).split()
)
ATTRIBUTES = frozenset(
    (
        "abbr align alt axis border cellpadding cellspacing char charoff cite class colspan dir frame headers height "
        "href id lang name rowspan rules scope span src start style summary title type valign width"
    ).split()
)
LINK = re.compile(r"(?:https?://|mailto:|tel:|#|[^:]*$)", re.IGNORECASE)
PICTURE = re.compile(r"#|data:image/(?:png|jpeg|gif);base64,[A-Za-z0-9+/=\s]*$")
ACTIVE_STYLE = re.compile(
    r"url\s*\(|expression|javascript|@import|behaviou?r|binding|\\|/\*|position\s*:", re.IGNORECASE
)
CONTROL = re.compile(r"[\x00-\x20]")


class _Refused(Exception):
    """Stops expat at the first thing that is not allowed; the text is the rule."""


class _Reader:
    def __init__(self) -> None:
        self.depth = 0
        self.content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space != XHTML:
            raise _Refused(f"Every element belongs to the namespace {XHTML}: declare it on the outer div.")
        if self.depth == 0 and local != "div":
            raise _Refused("A narrative is one div element.")
        if local not in ELEMENTS:
            raise _Refused("Only the basic formatting elements of HTML 4 are allowed: no scripts, forms or frames.")
        self.depth += 1
        self.content = self.content or local == "img"
        for attribute, value in attributes.items():
            _check_attribute(local, attribute, value)

    def end(self, _name: str) -> None:
        self.depth -= 1

    def text(self, data: str) -> None:
        self.content = self.content or not data.isspace()


def _check_attribute(element: str, attribute: str, value: str) -> None:
    if attribute == "http://www.w3.org/XML/1998/namespace lang":
        return
    if attribute not in ATTRIBUTES:
        raise _Refused("This attribute is not allowed in a narrative: no event handlers, forms or scripts.")
    if attribute == "style" and ACTIVE_STYLE.search(value):
        raise _Refused("A style may not load, run or position anything: keep to plain formatting.")
    if attribute in ("href", "cite") and not LINK.match(CONTROL.sub("", value)):
        raise _Refused("A link starts with https:, http:, mailto:, tel: or #.")
    if attribute == "src" and not (element == "img" and PICTURE.match(value)):
        raise _Refused("A picture is given inside the resource (#id or data:image/png, jpeg, gif), not by address.")


def _comment(data: str) -> None:
    if data.startswith((">", "->")) or "--!" in data or data.endswith(("<!-", "-")):
        raise _Refused("This comment reads otherwise in HTML: remove it.")


def _refuse(text: str) -> None:
    raise _Refused(text)


def narrative_problem(div: str) -> str | None:
    """The rule that a `Narrative.div` breaks, with its remedy, or None."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.CommentHandler = _comment
    parser.StartCdataSectionHandler = lambda: _refuse("CDATA is not allowed in a narrative: escape the text instead.")
    parser.ProcessingInstructionHandler = lambda *_: _refuse("Processing instructions are not allowed in a narrative.")
    parser.StartDoctypeDeclHandler = lambda *_: _refuse("A DOCTYPE is not allowed in a narrative.")
    parser.XmlDeclHandler = lambda *_: _refuse("An XML declaration is not allowed in a narrative.")
    try:
        parser.Parse(div, True)
    except _Refused as refused:
        return str(refused)
    except (expat.ExpatError, UnicodeError):
        return "The div is not well-formed XHTML: close each element, escape & and <, use no named HTML entities."
    return None if reader.content else "A narrative has text or a picture in its div (txt-2): write some."
