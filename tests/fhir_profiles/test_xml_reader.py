"""XML in: what JSON can say is read; what is wrong is named with line and element; what is hostile ends at once."""

import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles.xml_reader import resource_of
from fhir_profiles.xml_text import xml_of
from fhir_profiles.xml_tree import Limits, XmlFault
from tests.fhir_profiles.examples import valid

LIMITS = Limits(64, 50_000, 1 << 20, 250_000)
NS = 'xmlns="http://hl7.org/fhir"'
COUNT = 20_000 if os.environ.get("ENLACE_TEST_DEEP") else 1_000


def read(text: str | bytes, limits: Limits = LIMITS) -> Any:
    return resource_of(text.encode() if isinstance(text, str) else text, limits)


def fault(text: str | bytes, limits: Limits = LIMITS) -> list[tuple[int, str, str]]:
    with pytest.raises(XmlFault) as caught:
        read(text, limits)
    return list(caught.value.problems)


@pytest.fixture
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name looked up, a connection or a file opened is a failed test."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("the parser reached outside")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr("builtins.open", forbidden)


LAUGHS = '<!ENTITY l0 "ha">' + "".join(f'<!ENTITY l{i} "&l{i - 1};&l{i - 1};">' for i in range(1, 30))
BLOWUP = '<!ENTITY a "' + "x" * 50_000 + '">'
OUTSIDE = '<!ENTITY x SYSTEM "http://169.254.169.254/">'
PARAMETER = '<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd">%x;'
XINCLUDE = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


def patient(inside: str, subset: str = "") -> str:
    doctype = f"<!DOCTYPE Patient [{subset}]>" if subset else ""
    return f"{doctype}<Patient {NS}>{inside}</Patient>"


HOSTILE: dict[str, str | bytes] = {
    "billion laughs": patient('<id value="&l29;"/>', LAUGHS),
    "quadratic blowup": patient('<id value="&a;"/>' * 900, BLOWUP),
    "file entity": patient("&x;", '<!ENTITY x SYSTEM "file:///etc/passwd">'),
    "network entity": patient("&x;", OUTSIDE),
    "parameter entity": patient("", PARAMETER),
    "external DTD": f'<!DOCTYPE Patient SYSTEM "http://127.0.0.1/x.dtd"><Patient {NS}/>',
    "public DTD": f'<!DOCTYPE Patient PUBLIC "-//X//Y" "http://127.0.0.1/x.dtd"><Patient {NS}/>',
    "XInclude": patient(XINCLUDE),
    "unknown entity": patient('<id value="&nbsp;"/>'),
    "unknown entity in a narrative": patient(f"<text>{DIV}&x;</div></text>"),
    "depth": f"<Patient {NS}>" + "<contained><Patient>" * 5000,
    "depth in a narrative": patient(f"<text>{DIV * 100}"),
    "values": patient("<active/>" * 60_000),
    "values in a narrative": patient(f"<text>{DIV}{'<br/>' * 60_000}"),
    "many attributes": f"<Patient {NS} " + " ".join(f"a{i}='1'" for i in range(50_000)) + "/>",
    "UTF-16": patient("").encode("utf-16"),
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-Patient/>',
    "a lone surrogate": f"<Patient {NS}>".encode() + b"\xed\xa0\x80</Patient>",
    "U+0000": patient('<id value="&#0;"/>'),
    "control character": patient('<id value="&#1;"/>'),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_documents_are_refused(name: str, nothing_outside: None) -> None:
    (problem,) = fault(HOSTILE[name])
    assert problem[0] >= 1 and problem[2] and "passwd" not in problem[2]


def at(body: str) -> tuple[int, str]:
    """Line and path of the one fault of a Patient whose elements begin on line 2."""
    ((line, path, text),) = fault(f"<Patient {NS}>\n{body}\n</Patient>")
    assert text.endswith((".", ">", "?"))
    return line, path


@pytest.mark.parametrize(
    ("body", "line", "path"),
    [
        ('<shoe value="1"/>', 2, "Patient.shoe"),
        ('<id value="a"/>\n<activ value="true"/>', 3, "Patient.activ"),
        ('<active value="yes"/>', 2, "Patient.active"),
        ("<active/>", 2, "Patient.active"),
        ('<active value="true"/>\n<active value="true"/>', 3, "Patient.active"),
        ('<multipleBirthInteger value="1.5"/>', 2, "Patient.multipleBirthInteger"),
        ('<multipleBirthInteger value="01"/>', 2, "Patient.multipleBirthInteger"),
        ('<name>\n<family value="x"/>\n<given>y</given></name>', 4, "Patient.name.given"),
        ('<name value="x"/>', 2, "Patient.name[0]"),
        ('<name><id value="x"/></name>', 2, "Patient.name[0].id"),
        ('<name url="x"><family value="x"/></name>', 2, "Patient.name[0]"),
        ('<name href="x"/>', 2, "Patient"),
        ("<contained/>", 2, "Patient.contained[0]"),
        ("<contained><Shoe/></contained>", 2, "Patient.contained[0]"),
        ('<text><status value="generated"/><div>x</div></text>', 2, "Patient.text.div"),
        ('<text xmlns:h="http://www.w3.org/1999/xhtml"><h:div>x</h:div></text>', 2, "Patient.text"),
        ('<text><div xmlns="http://www.w3.org/1999/xhtml"/></text>', 2, "Patient.text"),
        ('<id xmlns="" value="x"/>', 2, "Patient"),
        ('<photo><size value="1e9999"/></photo>', 2, "Patient.photo[0].size"),
    ],
)
def test_faults_name_line_and_element(body: str, line: int, path: str) -> None:
    assert at(body) == (line, path)


def test_all_faults_come_at_once() -> None:
    body = '<active value="1"/>\n<shoe/>\n<birthDate/>'
    assert [(line, path) for line, path, _ in fault(f"<Patient {NS}>\n{body}</Patient>")] == [
        (3, "Patient.shoe"),
        (2, "Patient.active"),
        (4, "Patient.birthDate"),
    ]


@pytest.mark.parametrize("bad", ["", "x", "<Patient", "<Patient/>", "<a b='1' b='2'/>", f"<Shoe {NS}/>", "{}", "\x00"])
def test_what_is_no_resource(bad: str) -> None:
    assert fault(bad)


ACTIVE = ' <id value="a"/>\n<active value="true"/> '
SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd"'


@pytest.mark.parametrize(
    "text",
    [
        f'<Patient {NS}><id value="a"/><active value="true"/></Patient>',
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><!-- x -->\n{patient(ACTIVE)}',
        '<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/><f:id value="a"></f:id></f:Patient>',
        f"<Patient {NS} {SCHEMA}><id value='&#97;'/><active value='true'/></Patient>",
    ],
)
def test_ways_of_writing_that_say_the_same(text: str) -> None:
    assert read(text) == {"resourceType": "Patient", "id": "a", "active": True}


def test_a_narrative_is_kept_as_it_was_sent() -> None:
    div = "<div  xmlns=\"http://www.w3.org/1999/xhtml\"\n  lang='en'>a&#160;<br></br> <!-- c --> é</div >"
    found = read(f'<Patient {NS}><text><status value="generated"/>{div}</text></Patient>')
    assert found["text"]["div"] == div


def test_limits_at_their_edge() -> None:
    small = Limits(depth=6, values=5, string=10, all=12)
    name = '<name><given value="x"/></name>'
    assert read(patient(name * 2), small)
    assert "5 values" in fault(patient(name * 2 + "<active/>"), small)[0][2]
    assert read(patient('<id value="xxxxxxxxxx"/>'), small)
    assert "1 MB" in fault(patient('<id value="xxxxxxxxxxx"/>'), small)[0][2]
    deep = patient("<contained><Patient><contained><Patient><contained><Patient>")
    assert "levels" in fault(deep, LIMITS._replace(depth=6))[0][2]
    entry = '<entry><link><url value="x"/></link></entry>'
    assert len(read(f"<Bundle {NS}>{entry * 3}</Bundle>", small)["entry"]) == 3
    assert "values" in fault(f"<Bundle {NS}>{entry * 4}</Bundle>", small)[0][2]


def test_broken_documents_never_raise_anything_else() -> None:
    """Valid documents with some bytes changed, cut or doubled."""
    chance = random.Random(int(os.environ.get("ENLACE_TEST_SEED", "20260307")))
    documents = [xml_of(path.read_bytes()) for path in valid()]
    for _ in range(COUNT):
        text = bytearray(chance.choice(documents))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(text))
            match chance.randrange(3):
                case 0:
                    text[place] = chance.choice(b'<>&"/= x\x00\xff')
                case 1:
                    del text[place : place + chance.randint(1, 30)]
                case _:
                    text[place:place] = text[place : place + chance.randint(1, 60)]
        try:
            read(bytes(text))
        except XmlFault as found:
            assert all(line >= 1 and said for line, _, said in found.problems)
